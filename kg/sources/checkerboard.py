"""Checkerboard: a small graph with a known right answer, after the one in `implicit`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from kg.errors import DataError
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import Tables

SCHEMA = GraphSchema(
    nodes=(
        NodeType("user", "user", "User"),
        NodeType("basket", "bundle", "Basket"),
        NodeType("item", "item", "Item", title="title", text=("title",)),
        NodeType("colour", "attribute", "Colour", text=("id",)),
    ),
    edges=(
        EdgeType("made", "user", "basket", "interaction", time="time"),
        EdgeType("contains", "basket", "item", "membership"),
        EdgeType("has_colour", "item", "colour", "relation"),
    ),
)
_COLOURS = ("black", "white")
_THINGS = (
    "chair",
    "lamp",
    "table",
    "vase",
    "clock",
    "bowl",
    "mirror",
    "shelf",
    "kettle",
    "blanket",
)


@dataclass(frozen=True)
class Checkerboard:
    """Black users take black items, white users white ones, and each takes all of them but one.

    The item withheld from a user (`withheld`) is in none of their baskets, while the others of
    their colour take it: among the items that the user has not taken, it must come first.
    Basket t of a user was made at time t.

    Attributes:
        users: Half of them black; at least 4.
        items: Half of them black, each taken by somebody; even, at least 4.
        baskets: A user, at least 3. All but the last two cover every item of the user's colour
            but the withheld one, so that the last two can be held out for validation and test.
        cold: Further items, the colours in turn, that nobody takes: only their words and their
            colour are known.
        seed: Of who takes what when.
    """

    users: int = 20
    items: int = 20
    baskets: int = 6
    cold: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        if (
            self.users < 4
            or self.items < 4
            or self.items % 2
            or self.baskets < 3
            or self.cold < 0
        ):
            raise DataError(
                f"{self}: users >= 4, items >= 4 and even, baskets >= 3, cold >= 0"
            )

    @property
    def withheld(self) -> dict[str, str]:
        """The one item of a user's colour that the user never takes, by user id."""
        half = self.items // 2
        return {_user(u): _item(u % 2 + 2 * (u // 2 % half)) for u in range(self.users)}

    def load(self) -> Tables:
        """Make the tables: the same for the same settings."""
        rng = np.random.default_rng(self.seed)
        made: list[tuple[str, str, float]] = []
        contains: list[tuple[str, str]] = []
        for u in range(self.users):
            mine = [
                i
                for i in map(_item, range(u % 2, self.items, 2))
                if i != self.withheld[_user(u)]
            ]
            chunks = np.array_split(rng.permutation(mine), self.baskets - 2)
            size = max(2, len(chunks[0]))
            chunks += [
                rng.choice(mine, min(size, len(mine)), replace=False) for _ in range(2)
            ]
            for time, chunk in enumerate(chunks):
                made.append((_user(u), f"{_user(u)}-{time}", float(time)))
                contains += [(f"{_user(u)}-{time}", str(item)) for item in chunk]
        ids = range(self.items + self.cold)
        titles = [
            f"{_COLOURS[i % 2]} {_THINGS[i // 2 % len(_THINGS)]} number {i // 2}"
            for i in ids
        ]
        nodes = {
            "user": pa.table({"id": [_user(u) for u in range(self.users)]}),
            "basket": pa.table({"id": [basket for _, basket, _ in made]}),
            "item": pa.table({"id": [_item(i) for i in ids], "title": titles}),
            "colour": pa.table({"id": list(_COLOURS)}),
        }
        edges = {
            "made": pa.table(
                list(map(list, zip(*made, strict=True))), ["source", "target", "time"]
            ),
            "contains": pa.table(
                list(map(list, zip(*contains, strict=True))), ["source", "target"]
            ),
            "has_colour": pa.table(
                {
                    "source": [_item(i) for i in ids],
                    "target": [_COLOURS[i % 2] for i in ids],
                }
            ),
        }
        return Tables(SCHEMA, nodes, edges)

    @classmethod
    def example(cls) -> Tables:
        """The smallest that is still of use."""
        return cls(users=6, items=8, baskets=4, cold=2).load()


def _user(row: int) -> str:
    return f"u{row:03d}"


def _item(row: int) -> str:
    return f"i{row:03d}"
