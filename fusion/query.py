"""Query: the one question, its constraints, and what an answer is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kg.errors import InputError

MOST_ITEMS = 1000  # context items


def ids_of(values: Sequence[str], what: str = "items") -> tuple[str, ...]:
    """As a tuple; TypeError where it is one string, which would be read letter by letter."""
    if isinstance(values, str):
        raise InputError(
            f"{what} must be a sequence of ids, not the one string {values!r}",
            field=what,
        )
    return tuple(values)


@dataclass(frozen=True)
class Constraints:
    """What an answer must keep to; candidates are found among what it leaves.

    Attributes:
        exclude: Item ids never to return.
        within: Name of a property or relation and allowed values, e.g. (("department",
            ("GROCERY",)),), or as a mapping {"department": ["GROCERY"]}; an item must have one
            of them, of every name.
        without: The same of values that no item may have.
        between: Name of a numeric property and the least and the most it may be, both
            included, None where open; an item of which it is not known is left out.
        only: The only item ids to return: what is in stock; all where None.
        exclude_seen: Whether only to return what the user has not interacted with; to
            an anonymous user everything is new.
    """

    exclude: tuple[str, ...] = ()
    within: tuple[tuple[str, tuple[str, ...]], ...] = ()
    without: tuple[tuple[str, tuple[str, ...]], ...] = ()
    between: tuple[tuple[str, tuple[float | None, float | None]], ...] = ()
    only: tuple[str, ...] | None = None
    exclude_seen: bool = False

    def __post_init__(self) -> None:
        for name in ("within", "without", "between"):
            pairs = named_values(getattr(self, name), name, f"where.{name}")
            object.__setattr__(self, name, pairs)
        for what, values in (("exclude", self.exclude), ("only", self.only)):
            if isinstance(values, str):
                raise InputError(
                    f"{what} must be a sequence, not the one string {values!r}",
                    field=f"where.{what}",
                )
        for name, (least, most) in self.between:
            for value in (least, most):
                if value is not None and (
                    isinstance(value, bool) or not isinstance(value, int | float)
                ):
                    raise InputError(
                        f"between {name}: {value!r} is no number", field="where.between"
                    )
                if value is not None and math.isnan(value):
                    raise InputError(
                        f"between {name}: a bound must not be NaN",
                        field="where.between",
                    )
            if least is not None and most is not None and least > most:
                raise InputError(
                    f"between {name}: the least, {least}, is above the most, {most}",
                    field="where.between",
                )


def named_values(named: Any, what: str, field: str = "") -> tuple[tuple[str, Any], ...]:
    """A mapping, or pairs of a name and values, as pairs of tuples.

    Raises:
        TypeError: It is neither, or values are one string, which would be read letter by letter.
    """
    pairs = list(named.items() if isinstance(named, Mapping) else named)
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise InputError(
            f"{what} must be a mapping from names to values, or pairs of these, not {named!r}",
            field=field or what,
        )
    for name, values in pairs:
        if isinstance(values, str):
            raise InputError(
                f"{what} {name} must be a sequence, not the one string {values!r}",
                field=field or what,
            )
    return tuple((name, tuple(values)) for name, values in pairs)


@dataclass(frozen=True)
class Query:
    """Given some of user, items and words: which items come next?

    Attributes:
        user: A user's id; an unknown one is answered as an anonymous user.
        items: Ids of the context items; unknown ones are passed over. They are never returned.
            Where the graph has users who take items one after the other, the latest comes last.
        text: Words: a query, or the intent of a bundle.
        k: How many items to return, at least 1; more than there are returns all.
        where: What the answer must keep to.
    """

    user: str | None = None
    items: tuple[str, ...] = ()
    text: str | None = None
    k: int = 10
    where: Constraints = Constraints()

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", ids_of(self.items))
        if len(self.items) > MOST_ITEMS:
            raise InputError(
                f"{len(self.items)} items at hand are too many; at most {MOST_ITEMS} can be",
                field="items",
            )
        if self.k < 1:
            raise InputError(f"k must be at least 1, not {self.k}", field="k")


@dataclass(frozen=True)
class Recommendation:
    """One item of an answer.

    Attributes:
        id: The item's id.
        title: What people read.
        score: Higher is better; comparable within one answer.
        text_weight: Share of the text in the item's vector, 0..1; the rest is the graph's.
    """

    id: str
    title: str
    score: float
    text_weight: float
