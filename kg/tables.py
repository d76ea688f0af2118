"""Tables: the graph's facts as frozen Arrow tables, one a type, and rows for external ids."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kg.columns import plain_edges, plain_nodes
from kg.errors import DataError
from kg.schema import EdgeType, GraphSchema, NodeType

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


class Vocab:
    """External ids in row order; the row of an id is its position.

    Args:
        ids: Distinct, non-null strings.
    """

    def __init__(self, ids: pa.Array | pa.ChunkedArray | Iterable[str]) -> None:
        array = (
            ids
            if isinstance(ids, (pa.Array, pa.ChunkedArray))
            else pa.array(list(ids), pa.string())
        )
        self.ids: pa.Array = (
            array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        )

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {key: row for row, key in enumerate(self.ids.to_pylist())}

    def row(self, key: str) -> int:
        """The row of an id, -1 where it is unknown."""
        return self._rows.get(key, -1)

    def rows(self, keys: pa.Array | pa.ChunkedArray | Iterable[str]) -> IntArray:
        """The rows of many ids, -1 for each that is unknown."""
        if not isinstance(keys, (pa.Array, pa.ChunkedArray)):
            return np.array(
                [self.row(key) for key in keys], np.int64
            )  # Arrow would hash every id at each call
        return np.asarray(pc.index_in(keys, value_set=self.ids).fill_null(-1), np.int64)

    def key(self, row: int) -> str:
        """The id at a row."""
        return str(self.ids[row].as_py())


@dataclass(frozen=True)
class Tables:
    """All facts of a graph.

    Attributes:
        schema: The types.
        nodes: By node type name: columns "id" (string, unique) and the type's properties.
        edges: By edge type name: "source", "target" (string ids), and "weight", "time"
            (float64) where the type has them. Timestamps are days since 1970-01-01; numbers
            keep their own unit.

    Raises:
        DataError: A table is missing a column, an id is null or used twice, a weight is
            negative or NaN, or an edge points to a node that is not there.
    """

    schema: GraphSchema
    nodes: Mapping[str, pa.Table]
    edges: Mapping[str, pa.Table]

    def __post_init__(self) -> None:
        nodes = {
            n.name: _check_nodes(n, self.nodes.get(n.name)) for n in self.schema.nodes
        }
        edges = {
            e.name: _check_edges(e, self.edges.get(e.name), nodes)
            for e in self.schema.edges
        }
        for kind, given, known in (
            ("node", self.nodes, nodes),
            ("edge", self.edges, edges),
        ):
            extra = set(given) - set(known)
            if extra:
                raise DataError(
                    f"{kind} tables the schema does not name: {', '.join(sorted(extra))}"
                )
        object.__setattr__(self, "nodes", MappingProxyType(nodes))
        object.__setattr__(self, "edges", MappingProxyType(edges))

    def vocab(self, name: str) -> Vocab:
        """The ids of a node type in row order."""
        return Vocab(self.nodes[name]["id"])

    def texts(self, name: str) -> list[str]:
        """What the language model reads of each node of a type, "" where there is nothing."""
        table, node = self.nodes[name], self.schema.node(name)
        columns = [
            pc.cast(
                table["id" if c == node.id else c],
                pa.string(),
            ).to_pylist()
            for c in node.text
        ]
        if not columns:
            return [""] * len(table)
        return [
            ". ".join(v.strip() for v in row if v and v.strip())
            for row in zip(*columns, strict=True)
        ]

    def titles(self, name: str) -> list[str]:
        """What people read of each node of a type; the id where there is no title."""
        table, node = self.nodes[name], self.schema.node(name)
        ids: list[str] = table["id"].to_pylist()
        if not node.title or node.title == node.id:
            return ids
        titles = pc.cast(table[node.title], pa.string()).to_pylist()
        return [title or key for title, key in zip(titles, ids, strict=True)]

    def with_tables(
        self,
        nodes: Mapping[str, pa.Table] | None = None,
        edges: Mapping[str, pa.Table] | None = None,
    ) -> Self:
        """A copy with some tables exchanged."""
        return replace(
            self,
            nodes={**self.nodes, **(nodes or {})},
            edges={**self.edges, **(edges or {})},
        )

    def in_order(self) -> Self:
        """The same rows sorted by id, as every store gives them, whatever store they came from."""
        nodes = {name: table.sort_by("id") for name, table in self.nodes.items()}
        edges = {
            name: t.sort_by([(c, "ascending") for c in t.column_names])
            for name, t in self.edges.items()
        }
        return replace(self, nodes=nodes, edges=edges)

    def fingerprint(self) -> str:
        """SHA-256 of schema and contents.

        It is the same whatever the order of rows or the store they came from.
        """
        digest = hashlib.sha256(repr(sorted(self.schema.to_dict().items())).encode())
        for kind, tables in (("node", self.nodes), ("edge", self.edges)):
            for name, table in sorted(tables.items()):
                digest.update(f"{kind} {name} {table.column_names}".encode())
                digest.update(hash_rows(table))
        return digest.hexdigest()


def hash_rows(table: pa.Table) -> bytes:
    """SHA-256 over the rows' canonical text, sorted."""
    columns = [_canonical(table[c]) for c in table.column_names]
    if not columns or not len(table):
        return hashlib.sha256(b"").digest()
    rows = pc.binary_join_element_wise(
        *columns, "\x1f", null_handling="replace", null_replacement="\x00"
    )
    ordered = pc.take(rows, pc.sort_indices(rows))
    return hashlib.sha256("\x1e".join(ordered.to_pylist()).encode()).digest()


def _canonical(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_integer(column.type):
        with suppress(pa.ArrowInvalid):  # beyond 2^53 only the integer itself is exact
            column = column.cast(pa.float64())
    return column.cast(pa.string())


def _check_nodes(node: NodeType, table: pa.Table | None) -> pa.Table:
    if table is None:
        raise DataError(f"no table for node type {node.name!r}")
    table = plain_nodes(node, table)
    ids = table["id"]
    if pc.count_distinct(ids).as_py() != len(ids):
        counts = pc.value_counts(ids)
        twice = (
            counts.filter(pc.greater(counts.field("counts"), 1))
            .field("values")[0]
            .as_py()
        )
        raise DataError(f"node type {node.name!r}: id {twice!r} is used twice")
    return table.combine_chunks()


def _check_edges(
    edge: EdgeType,
    table: pa.Table | None,
    nodes: Mapping[str, pa.Table],
) -> pa.Table:
    if table is None:
        raise DataError(f"no table for edge type {edge.name!r}")
    table = plain_edges(edge, table).combine_chunks()
    for end, name in (("source", edge.source), ("target", edge.target)):
        known = pc.is_in(
            table[end],
            value_set=nodes[name]["id"].combine_chunks(),
        )
        if len(table) and not pc.all(known).as_py():
            lost = table[end].filter(pc.invert(known))
            example = lost[0].as_py()
            raise DataError(
                f"edge type {edge.name!r}: {len(lost)} edges have a {end} that is no "
                f"{name}: {example!r}"
            )
    return table
