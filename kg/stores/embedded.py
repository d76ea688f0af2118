"""The embedded store: a graph in one DuckDB file, no server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa

from kg.columns import edge_schema, node_schema, plain_edges, plain_nodes
from kg.errors import DataError, StoreError
from kg.schema import EdgeType, GraphSchema, NodeType

FORMAT = "1"
_META = "trousseau"
_STAGE, _ROW = "stage of rows", "row of stage"
# Nothing is fetched from the network, and no Python variable is taken for a table.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}


class EmbeddedStore:
    """A GraphStore in one file; one writer, or any number of readers at once.

    There are no indexes: rows are staged and merged by hash joins, which loads a million edges
    in two seconds. Each
    write is one transaction: it happens wholly or not at all. Names that differ only in case
    cannot stand side by side.

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
            raise StoreError(
                f"{path}: there is no such file; load a graph into it with `python -m kg load`"
            )
        if Path(path).is_file():
            with Path(path).open(
                "rb"
            ) as file:  # a CSV file would be read into memory, and nothing kept
                if file.read(12)[8:] != b"DUCK":
                    raise StoreError(
                        f"{path}: there is a file that is no graph; name another"
                    )
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
            sent = _stage(cursor, parts, f"node type {node.name!r}")
            if sent:
                self._merge(
                    cursor, _node_table(node), ["id"], f"node type {node.name!r}"
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
        parts = (_four(plain_edges(edge, pa.Table.from_batches([b]))) for b in batches)
        with self._writing() as cursor:
            sent = _stage(cursor, parts, f"edge type {edge.name!r}")
            if sent:
                self._check_ends(cursor, edge, schema)
                self._merge(
                    cursor,
                    _edge_table(edge, schema),
                    ["source", "target", "time"],
                    f"edge type {edge.name!r}",
                )
        return sent

    def read_nodes(self, node: NodeType) -> Iterator[pa.RecordBatch]:
        """All nodes of a type; a property that was never written is null."""
        there = self._columns(_node_table(node))
        if there:
            wanted = [
                _quote(n) if n in there else f"NULL::VARCHAR AS {_quote(n)}"
                for n in node_schema(node)
            ]
            yield from self._read(
                f"SELECT {', '.join(wanted)} FROM {_quote(_node_table(node))}"
            )

    def read_edges(
        self, edge: EdgeType, schema: GraphSchema
    ) -> Iterator[pa.RecordBatch]:
        """All edges of a type.

        Where several have the same key, they are one and their weights add up.

        Raises:
            DataError: An edge has no time though its type has one.
        """
        table, wanted = _edge_table(edge, schema), edge_schema(edge)
        if not self._columns(table):
            return
        weight = "coalesce(weight, 1.0)" if edge.time else "sum(coalesce(weight, 1.0))"
        columns = [f"{weight} AS weight" if n == "weight" else n for n in wanted.names]
        group = "" if edge.time else " GROUP BY source, target"
        query = f"SELECT {', '.join(columns)} FROM {_quote(table)}{group}"
        for batch in self._read(query):
            yield from plain_edges(edge, pa.Table.from_batches([batch])).to_batches()

    def count(self, schema: GraphSchema) -> dict[str, int]:
        """Rows by node type name and edge type name."""
        tables = {n.name: _node_table(n) for n in schema.nodes} | {
            e.name: _edge_table(e, schema) for e in schema.edges
        }
        counts = {}
        for name, table in tables.items():
            rows = (
                self._query(f"SELECT count(*) FROM {_quote(table)}")
                if self._columns(table)
                else [(0,)]
            )
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

    def _check_ends(
        self, cursor: duckdb.DuckDBPyConnection, edge: EdgeType, schema: GraphSchema
    ) -> None:
        for end, name in (("source", edge.source), ("target", edge.target)):
            table = _node_table(schema.node(name))
            known = (
                f"ANTI JOIN {_quote(table)} n ON n.id = s.{end}"
                if self._columns(table)
                else ""
            )
            lost = cursor.execute(
                f"SELECT s.{end} FROM {_quote(_STAGE)} s {known} LIMIT 1"
            ).fetchone()
            if lost:
                raise DataError(
                    f"edge type {edge.name!r}: an edge has a {end} that is no {name}: {lost[0]!r}"
                )

    def _merge(
        self,
        cursor: duckdb.DuckDBPyConnection,
        table: str,
        key: Sequence[str],
        where: str,
    ) -> None:
        staged = {
            n: t
            for n, t, *_ in cursor.execute(f"DESCRIBE {_quote(_STAGE)}").fetchall()
            if n != _ROW
        }
        for (other,) in self._query(
            "SELECT table_name FROM duckdb_tables() WHERE lower(table_name) = lower(?)",
            table,
        ):
            if other != table:
                raise DataError(
                    f"{where}: {table!r} and {other!r} differ only in case; rename one"
                )
        names, stage, into = (
            ", ".join(map(_quote, staged)),
            _quote(_STAGE),
            _quote(table),
        )
        cursor.execute(
            f"CREATE TABLE IF NOT EXISTS {into} AS SELECT {names} FROM {stage} LIMIT 0"
        )
        _fit(cursor, table, self._columns(table) or staged, staged, where)
        on = " AND ".join(
            f"t.{k} IS NOT DISTINCT FROM s.{k}" if k == "time" else f"t.{k} = s.{k}"
            for k in key
        )
        rest = ", ".join(f"{_quote(n)} = s.{_quote(n)}" for n in staged if n not in key)
        update = f"WHEN MATCHED THEN UPDATE SET {rest}" if rest else ""
        values = ", ".join(f"s.{_quote(n)}" for n in staged)
        first = f"SELECT DISTINCT ON ({', '.join(key)}) * FROM {stage}"
        latest = f"{first} ORDER BY {_quote(_ROW)} DESC"
        insert = f"WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})"
        cursor.execute(
            f"MERGE INTO {into} t USING ({latest}) s ON {on} {update} {insert}"
        )


def _stage(
    cursor: duckdb.DuckDBPyConnection, parts: Iterable[pa.Table], where: str
) -> int:
    """Put all rows, numbered, into a temporary table; returns how many."""
    cursor.execute(f"DROP TABLE IF EXISTS temp.{_quote(_STAGE)}")
    sent, schema = 0, None
    for part in parts:
        if schema is None:
            schema = part.schema
            if len({n.lower() for n in schema.names}) < len(schema.names):
                raise DataError(
                    f"{where}: of the properties {', '.join(schema.names)} two differ only in case"
                )
        try:
            part = part.cast(schema)
        except pa.ArrowInvalid as error:
            raise DataError(
                f"{where}: a property changes its type between batches: {error}"
            ) from error
        cursor.register(
            "part",
            part.append_column(_ROW, pa.array(np.arange(sent, sent + len(part)))),
        )
        if not sent:
            cursor.execute(
                f"CREATE OR REPLACE TEMP TABLE {_quote(_STAGE)} AS SELECT * FROM part LIMIT 0"
            )
        cursor.execute(f"INSERT INTO {_quote(_STAGE)} SELECT * FROM part")
        cursor.unregister("part")
        sent += len(part)
    return sent


def _fit(
    cursor: duckdb.DuckDBPyConnection,
    table: str,
    there: dict[str, str],
    staged: dict[str, str],
    where: str,
) -> None:
    """Add the columns that are new; widen those that were integers, or had only nulls."""
    for name, kind in staged.items():
        column, alter = _quote(name), f"ALTER TABLE {_quote(table)}"
        have = there.get(name)
        if have is None:
            same = [n for n in there if n.lower() == name.lower()]
            if same:
                raise DataError(
                    f"{where}: the properties {name!r} and {same[0]!r} differ only in "
                    "case; rename one"
                )
            cursor.execute(f"{alter} ADD COLUMN {column} {kind}")
        elif have != kind and (have, kind) != ("DOUBLE", "BIGINT"):
            used = {
                t: cursor.execute(
                    f"SELECT count({column}) FROM {_quote(t)}"
                ).fetchall()[0][0]
                for t in (table, _STAGE)
            }
            if (have, kind) == ("BIGINT", "DOUBLE") or not used[table]:
                cursor.execute(f"{alter} ALTER COLUMN {column} TYPE {kind}")
            elif used[_STAGE]:
                raise DataError(
                    f"{where}: the property {name!r} is {have} in the store and {kind} "
                    "in the rows sent"
                )


def _four(edges: pa.Table) -> pa.Table:
    for name in ("weight", "time"):
        if name not in edges.column_names:
            edges = edges.append_column(name, pa.nulls(len(edges), pa.float64()))
    return edges.select(["source", "target", "weight", "time"])


def _node_table(node: NodeType) -> str:
    return f"node {node.label}"


def _edge_table(edge: EdgeType, schema: GraphSchema) -> str:
    ends = [
        schema.node(edge.source).label,
        edge.relationship,
        schema.node(edge.target).label,
    ]
    return f"edge {json.dumps(ends, ensure_ascii=False)}"


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


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
