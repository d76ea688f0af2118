"""GraphStore: the protocol of a store, and whole tables written to one and read back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import pyarrow as pa

from kg.columns import edge_schema
from kg.errors import StoreError
from kg.progress import tqdm
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import Tables


@runtime_checkable
class GraphStore(Protocol):
    """Nodes and edges by type, written and read as Arrow batches. Writes are idempotent upserts."""

    uri: str

    def schema(self) -> GraphSchema | None:
        """The schema saved by write_schema, None where there is none."""

    def write_schema(self, schema: GraphSchema) -> None:
        """Save the schema beside the data."""

    def write_nodes(self, node: NodeType, batches: Iterable[pa.RecordBatch]) -> int:
        """Upsert nodes keyed by id (columns as kg.columns.node_schema).

        Returns how many rows were sent.
        """

    def write_edges(
        self, edge: EdgeType, schema: GraphSchema, batches: Iterable[pa.RecordBatch]
    ) -> int:
        """Upsert edges keyed by their ends, and time where there is one; both ends must exist."""

    def read_nodes(self, node: NodeType) -> Iterator[pa.RecordBatch]:
        """All nodes of a type, memory bounded by the batch."""

    def read_edges(
        self, edge: EdgeType, schema: GraphSchema
    ) -> Iterator[pa.RecordBatch]:
        """All edges of a type, memory bounded by the batch."""

    def count(self, schema: GraphSchema) -> dict[str, int]:
        """Rows by node type name and edge type name."""

    def close(self) -> None:
        """Release the connection; harmless when called twice."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def write_tables(store: GraphStore, tables: Tables, batch_rows: int = 10_000) -> None:
    """Write schema, nodes, then edges."""
    store.write_schema(tables.schema)
    for node in tables.schema.nodes:
        store.write_nodes(
            node, _watched(node.name, tables.nodes[node.name], batch_rows)
        )
    for edge in tables.schema.edges:
        store.write_edges(
            edge,
            tables.schema,
            _watched(edge.name, tables.edges[edge.name], batch_rows),
        )


def _watched(name: str, table: pa.Table, batch_rows: int) -> Iterator[pa.RecordBatch]:
    with tqdm(
        total=len(table), desc=f"write {name}", unit_scale=True, disable=None
    ) as bar:
        for batch in table.to_batches(batch_rows):
            yield batch
            bar.update(len(batch))


def read_tables(store: GraphStore, schema: GraphSchema | None = None) -> Tables:
    """Read everything the schema names, rows sorted by id so that every store gives the same rows.

    Raises:
        StoreError: There is no schema, or the graph has no items.
        DataError: The data break the schema.
    """
    schema = schema or store.schema()
    if schema is None:
        raise StoreError(
            f"{store.uri} holds no schema; name a schema file in the recipe (schema = FILE)"
        )
    nodes = {}
    for node in schema.nodes:
        batches = list(store.read_nodes(node))
        names = ["id", *node.columns]
        table = (
            pa.Table.from_batches(batches)
            if batches
            else pa.table({n: pa.array([], pa.string()) for n in names})
        )
        nodes[node.name] = table
    if not len(nodes[schema.item.name]):
        raise StoreError(
            f"{store.uri} holds no node with the label {schema.item.label!r} (the items)"
        )
    edges = {}
    for edge in schema.edges:
        wanted = edge_schema(edge)
        edges[edge.name] = pa.Table.from_batches(
            list(store.read_edges(edge, schema)), wanted
        )
    return Tables(schema, nodes, edges).in_order()
