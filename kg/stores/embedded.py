"""The embedded store: a graph in one DuckDB file, no server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa

from kg.columns import edge_schema, node_schema, plain_edges, plain_nodes
from kg.errors import DataError, StoreError
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.stores.embedded_merge import STAGE, merge_stage, quote, stage_rows
from kg.stores.embedded_tables import (
    all_columns,
    edge_table,
    is_duckdb,
    node_table,
)

FORMAT = "1"
_META = "trousseau"
# Nothing is fetched from the network, and no Python variable is taken for a table.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}


class EmbeddedStore:
    """A GraphStore in one file; one writer, or any number of readers at once.

    There are no indexes: rows are staged and merged by hash joins, which loads a million edges
    in two seconds. Each write is one transaction: it happens wholly or not at all. Names that
    differ only in case cannot stand side by side.

    Args:
        path: The file.
        create: Open for writing, and make the file where there is none.

    Raises:
        StoreError: There is no such file, it is damaged or something else's, or another
            process is writing to it.
    """

    def __init__(self, path: str | Path, *, create: bool = False) -> None:
        self.uri = str(path)
        self._writable = create
        if not create and not Path(path).is_file():
            remedy = "load a graph into it with `python -m kg load`"
            raise StoreError(f"{path}: there is no such file; {remedy}")
        if Path(path).is_file() and not is_duckdb(Path(path)):
            raise StoreError(f"{path}: there is a file that is no graph; name another")
        try:
            self._connection = duckdb.connect(
                self.uri, read_only=not create, config=_CONFIG
            )
        except duckdb.Error as error:
            raise StoreError(f"{path}: {_remedy(error)}") from error
        try:
            self._check_format()
        except BaseException:
            self.close()
            raise

    def schema(self) -> GraphSchema | None:
        """The schema saved by write_schema, None where there is none."""
        text = self._meta("schema")
        try:
            return None if text is None else GraphSchema.from_dict(json.loads(text))
        except (DataError, ValueError) as error:
            raise StoreError(
                f"{self.uri}: the saved schema is damaged; write it again ({error})"
            ) from error

    def write_schema(self, schema: GraphSchema) -> None:
        """Save the schema beside the data."""
        with self._writing() as cursor:
            cursor.execute(f"DELETE FROM {_META} WHERE key = 'schema'")
            cursor.execute(
                f"INSERT INTO {_META} VALUES ('schema', ?)",
                [json.dumps(schema.to_dict())],
            )

    def write_nodes(self, node: NodeType, batches: Iterable[pa.RecordBatch]) -> int:
        """Upsert nodes keyed by id (columns as kg.columns.node_schema).

        Returns how many rows were sent.

        Raises:
            DataError: A column is missing or changes its type, or an id is null.
            StoreError: The store is open for reading only, or the disk fails.
        """
        parts = (plain_nodes(node, pa.Table.from_batches([b])) for b in batches)
        with self._writing() as cursor:
            sent = stage_rows(cursor, parts, f"node type {node.name!r}")
            if sent:
                self._merge(
                    cursor, node_table(node), ["id"], f"node type {node.name!r}"
                )
        return sent

    def write_edges(
        self, edge: EdgeType, schema: GraphSchema, batches: Iterable[pa.RecordBatch]
    ) -> int:
        """Upsert edges keyed by their ends, and time where there is one.

        Raises:
            DataError: As write_nodes; or an edge's end does not exist, and then nothing is written.
            StoreError: As write_nodes.
        """
        parts = (
            all_columns(plain_edges(edge, pa.Table.from_batches([b]))) for b in batches
        )
        with self._writing() as cursor:
            sent = stage_rows(cursor, parts, f"edge type {edge.name!r}")
            if sent:
                self._check_ends(cursor, edge, schema)
                self._merge(
                    cursor,
                    edge_table(edge, schema),
                    ["source", "target", "time"],
                    f"edge type {edge.name!r}",
                )
        return sent

    def read_nodes(self, node: NodeType) -> Iterator[pa.RecordBatch]:
        """All nodes of a type; a property that was never written is null."""
        there = self._columns(node_table(node))
        if there:
            wanted = [
                quote(n) if n in there else f"NULL::VARCHAR AS {quote(n)}"
                for n in node_schema(node)
            ]
            yield from self._read(
                f"SELECT {', '.join(wanted)} FROM {quote(node_table(node))}"
            )

    def read_edges(
        self, edge: EdgeType, schema: GraphSchema
    ) -> Iterator[pa.RecordBatch]:
        """All edges of a type.

        Where several have the same key, they are one and their weights add up.

        Raises:
            DataError: An edge has no time though its type has one.
        """
        table, wanted = edge_table(edge, schema), edge_schema(edge)
        if not self._columns(table):
            return
        weight = "coalesce(weight, 1.0)" if edge.time else "sum(coalesce(weight, 1.0))"
        columns = [f"{weight} AS weight" if n == "weight" else n for n in wanted.names]
        group = "" if edge.time else " GROUP BY source, target"
        query = f"SELECT {', '.join(columns)} FROM {quote(table)}{group}"
        for batch in self._read(query):
            yield from plain_edges(edge, pa.Table.from_batches([batch])).to_batches()

    def count(self, schema: GraphSchema) -> dict[str, int]:
        """Rows by node type name and edge type name."""
        tables = {n.name: node_table(n) for n in schema.nodes} | {
            e.name: edge_table(e, schema) for e in schema.edges
        }
        counts = {}
        for name, table in tables.items():
            counts[name] = 0
            if self._columns(table):
                rows = self._query(f"SELECT count(*) FROM {quote(table)}")
                counts[name] = int(rows[0][0])
        return counts

    def close(self) -> None:
        """Release the file; harmless when called twice."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check_format(self) -> None:
        tables = {
            row[0] for row in self._query("SELECT table_name FROM duckdb_tables()")
        }
        if not tables and self._writable:
            with self._writing() as cursor:
                cursor.execute(f"CREATE TABLE {_META} (key VARCHAR, value VARCHAR)")
                cursor.execute(f"INSERT INTO {_META} VALUES ('format', ?)", [FORMAT])
        elif _META not in tables:
            raise StoreError(
                f"{self.uri}: a DuckDB file, but not one of ours; name another file"
            )
        elif (found := self._meta("format")) != FORMAT:
            raise StoreError(
                f"{self.uri}: has format {found}, this version reads {FORMAT}; load the graph again"
            )

    def _meta(self, key: str) -> str | None:
        rows = self._query(f"SELECT value FROM {_META} WHERE key = ?", key)
        return str(rows[0][0]) if rows else None

    def _query(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        with self._errors():
            return self._connection.cursor().execute(query, list(values)).fetchall()

    def _columns(self, table: str) -> dict[str, str]:
        query = (
            "SELECT column_name, data_type FROM duckdb_columns() "
            "WHERE table_name = ? ORDER BY column_index"
        )
        return dict(self._query(query, table))

    def _read(self, query: str) -> Iterator[pa.RecordBatch]:
        with self._errors():
            yield from self._connection.cursor().sql(query).to_arrow_reader(10_000)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            raise StoreError(f"{self.uri}: {_remedy(error)}") from error

    @contextmanager
    def _writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        if not self._writable:
            raise StoreError(
                f"{self.uri}: open for reading only; open it with create=True to write"
            )
        with self._errors():
            cursor = self._connection.cursor().begin()
            try:
                yield cursor
                cursor.commit()
            finally:
                cursor.close()  # rolls back what was not committed

    def _merge(
        self,
        cursor: duckdb.DuckDBPyConnection,
        table: str,
        key: Sequence[str],
        where: str,
    ) -> None:
        alike = "WHERE lower(table_name) = lower(?)"
        query = f"SELECT table_name FROM duckdb_tables() {alike}"
        for (other,) in self._query(query, table):
            if other != table:
                raise DataError(
                    f"{where}: {table!r} and {other!r} differ only in case; rename one"
                )
        merge_stage(cursor, table, self._columns(table), key, where)

    def _check_ends(
        self, cursor: duckdb.DuckDBPyConnection, edge: EdgeType, schema: GraphSchema
    ) -> None:
        for end, name in (("source", edge.source), ("target", edge.target)):
            table = node_table(schema.node(name))
            known = (
                f"ANTI JOIN {quote(table)} n ON n.id = s.{end}"
                if self._columns(table)
                else ""
            )
            lost = cursor.execute(
                f"SELECT s.{end} FROM {quote(STAGE)} s {known} LIMIT 1"
            ).fetchone()
            if lost:
                raise DataError(
                    f"edge type {edge.name!r}: an edge has a {end} that is no {name}: {lost[0]!r}"
                )


def _remedy(error: duckdb.Error) -> str:
    text = str(error).partition("\n")[0]
    if "lock" in text.lower():
        return (
            "another process is using the file; close it there or wait until it is done"
        )
    if "different configuration" in text:
        return "already open in this process, for reading or for writing; close it there first"
    signs = ("not a valid DuckDB", "corrupt", "Could not read enough bytes")
    if any(sign in text for sign in signs) or isinstance(
        error, duckdb.SerializationException | duckdb.InternalException
    ):
        what = "damaged, or no graph file at all"
        remedy = "name another, or delete it and load the graph again"
        return f"{what}; {remedy} ({text})"
    return text
