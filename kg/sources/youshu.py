"""Youshu: book lists and the users who interacted with them.

There are ids only, no words (Chen et al., 2019, "Matching User with Item Set").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from kg.errors import DataError
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import IntArray, Tables

SCHEMA = GraphSchema(
    nodes=(
        NodeType("user", "user", "User"),
        NodeType("list", "item", "BookList"),
        NodeType("book", "attribute", "Book"),
    ),
    edges=(
        EdgeType("took", "user", "list", "interaction", time="part"),
        EdgeType("holds", "list", "book", "relation"),
        EdgeType("read", "user", "book", "relation"),
    ),
)
_PARTS = (
    "user_bundle_train",
    "user_bundle_tune",
    "user_bundle_test",
)  # of the canonical split, in order
_SIZES = "Youshu_data_size"
_FILES = (*_PARTS, "bundle_item", "user_item", _SIZES)


@dataclass(frozen=True)
class Youshu:
    """Lists are what is recommended, so they are the items; their books are attributes.

    The data have no times: the time of a taking is the part of the canonical split that it is
    in, 0 training, 1 tuning, 2 test, so that `kg.split.time:TimeSplit` with train_until = 0
    and valid_until = 1 is that split.

    Attributes:
        path: The folder of the six text files.
    """

    path: str = "data/youshu"

    def load(self) -> Tables:
        """Read the files.

        Raises:
            DataError: A file is missing or holds something other than lines of numbers, or a
                number is too large.
        """
        return parse(
            {
                name: _read(Path(self.path) / f"{name}.txt", 3 if name == _SIZES else 2)
                for name in _FILES
            }
        )

    @classmethod
    def example(cls) -> Tables:
        """Six users, four lists each, eight lists of two books."""
        taken = [
            [(user, (user + n * (1 + user % 2)) % 8) for n in range(4)]
            for user in range(6)
        ]
        rows = {
            "user_bundle_train": [pair for pairs in taken for pair in pairs[:2]],
            "user_bundle_tune": [pairs[2] for pairs in taken],
            "user_bundle_test": [pairs[3] for pairs in taken],
            "bundle_item": [(n, (n + k) % 9) for n in range(8) for k in range(2)],
            "user_item": [
                (user, (user + k) % 9) for user in range(6) for k in range(3)
            ],
            _SIZES: [(6, 8, 9)],
        }
        return parse({name: np.array(lines) for name, lines in rows.items()})


def parse(files: Mapping[str, IntArray]) -> Tables:
    """The files' numbers, by name without ".txt", as a graph.

    Args:
        files: (N, 2) rows of user_bundle_train, _tune and _test, bundle_item and user_item;
            (1, 3) Youshu_data_size: how many users, lists and books there are.

    Raises:
        DataError: A number is not below its size, or a pair is in two parts of the split.
    """
    sizes = dict(zip(("user", "list", "book"), files[_SIZES][0].tolist(), strict=True))
    took = np.concatenate([files[name] for name in _PARTS])
    part = np.repeat(np.arange(3.0), [len(files[name]) for name in _PARTS])
    pairs, counts = np.unique(took, axis=0, return_counts=True)
    if (counts > 1).any():
        raise DataError(
            f"user_bundle: user and list {pairs[counts > 1][0].tolist()} are there twice"
        )
    nodes = {
        name: pa.table({"id": pa.array(map(str, range(size)), pa.string())})
        for name, size in sizes.items()
    }
    edges = {"took": took, "holds": files["bundle_item"], "read": files["user_item"]}
    tables = {}
    for edge in SCHEMA.edges:
        ends = [
            pa.array(column).cast(pa.string())
            for column in np.unique(edges[edge.name], axis=0).T
        ]
        if edge.time:
            ends = [
                pa.array(column).cast(pa.string()) for column in edges[edge.name].T
            ] + [pa.array(part)]
        tables[edge.name] = pa.table(ends, ["source", "target", "time"][: len(ends)])
    return Tables(SCHEMA, nodes, tables)


def _read(path: Path, columns: int) -> IntArray:
    """The numbers of a file of whitespace-separated columns."""
    try:
        lines = [
            line.split()
            for line in path.read_text(encoding="utf-8").splitlines()
            if line.strip()
        ]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: {getattr(error, 'strerror', None) or error}"
        ) from error
    bad = next(
        (
            n
            for n, line in enumerate(lines, 1)
            if len(line) != columns or not all(map(str.isdecimal, line))
        ),
        0,
    )
    if bad or not lines:
        raise DataError(
            f"{path}: {f'line {bad}' if bad else 'the file'} does not hold {columns} numbers a line"
        )
    return np.array(lines, np.int64)
