"""The Neo4j store: a graph in a Neo4j database, over Bolt."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa

from kg.columns import edge_schema, node_schema, plain_edges, plain_nodes
from kg.errors import DataError, StoreError
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.stores.cypher import (
    DATES,
    NUMBERS,
    Reader,
    escape,
    forms,
    listed,
    micros,
    reader,
)
from kg.stores.neo4j_connection import Neo4jConnection, Transaction

BATCH = 10_000


class Neo4jStore(Neo4jConnection):
    """A GraphStore in a Neo4j database, 5.13 or newer.

    Ids may be text or integers in the database and are text here. Dates and times become Arrow
    dates and timestamps in UTC, lists become text joined by ", ". Relationships of one key,
    parallel ones, are one edge and their weights add up; one without its weight weighs 1.
    Writes are batches of 10,000, each a transaction of its own that is tried again when the
    server asks for it; a write that was cut off is made whole by running it again.
    """

    def schema(self) -> GraphSchema | None:
        """The schema saved by write_schema, None where there is none."""
        saved = [
            text for (text,) in self.rows("MATCH (s:TrousseauSchema) RETURN s.json")
        ]
        try:
            return GraphSchema.from_dict(json.loads(saved[0])) if saved else None
        except (DataError, ValueError, TypeError) as error:
            raise StoreError(
                f"{self.uri}: the saved schema is damaged; write it again ({error})"
            ) from error

    def write_schema(self, schema: GraphSchema) -> None:
        """Save the schema on the one node (:TrousseauSchema {json})."""
        self._write(
            "MERGE (s:TrousseauSchema) SET s.json = $rows", json.dumps(schema.to_dict())
        )

    def write_nodes(self, node: NodeType, batches: Iterable[pa.RecordBatch]) -> int:
        """Upsert nodes keyed by id, under a uniqueness constraint; returns how many rows were sent.

        Raises:
            DataError: A column is missing or of an unknown type, or an id is null.
            StoreError: The server fails, or holds an id of this label twice.
        """
        label, key = escape(node.label), escape(node.id)
        sent = 0
        for part in _parts(batches):
            if not sent:
                self._constrain(label, key)
            ids, *columns = (
                column.to_pylist() for column in plain_nodes(node, part).columns
            )
            rows = [
                [i, dict(zip(node.columns, values, strict=True))]
                for i, *values in zip(ids, *columns, strict=True)
            ]
            self._write(
                f"UNWIND $rows AS row MERGE (n:{label} {{{key}: row[0]}}) SET n += row[1]",
                rows,
            )
            sent += len(rows)
        return sent

    def write_edges(
        self, edge: EdgeType, schema: GraphSchema, batches: Iterable[pa.RecordBatch]
    ) -> int:
        """Upsert edges keyed by their ends, and time where there is one.

        Returns how many rows were sent.

        Raises:
            DataError: As write_nodes; or an edge's end does not exist, and then nothing of its
                batch is written.
            StoreError: The server fails.
        """
        ends = {"source": schema.node(edge.source), "target": schema.node(edge.target)}
        match = {
            e: f"(`{e}`:{escape(n.label)}) WHERE `{e}`.{escape(n.id)} IN row.{e}_forms"
            for e, n in ends.items()
        }
        time = f" {{{escape(edge.time)}: row.time}}" if edge.time else ""
        merge = f"MERGE (`source`)-[r:{escape(edge.relationship)}{time}]->(`target`)"
        weigh = f" SET r.{escape(edge.weight)} = row.weight" if edge.weight else ""
        query = (
            f"UNWIND $rows AS row MATCH {match['source']} MATCH {match['target']} "
            f"{merge}{weigh} RETURN count(*)"
        )

        def work(transaction: Transaction, rows: list[dict[str, Any]]) -> None:
            if transaction.run(query, rows=rows).value()[0] >= len(rows):
                return
            for end, node in ends.items():
                find = (
                    f"UNWIND $rows AS row OPTIONAL MATCH {match[end]} "
                    f"WITH * WHERE `{end}` IS NULL RETURN row.{end}"
                )
                for lost in transaction.run(f"{find} LIMIT 1", rows=rows).value():
                    raise DataError(
                        f"edge type {edge.name!r}: an edge has a {end} that is no "
                        f"{node.name}: {lost!r}"
                    )

        sent = 0
        with self._errors(), self._session() as session:
            for part in _parts(batches):
                rows = plain_edges(edge, part).to_pylist()
                session.execute_write(
                    work, [r | {f"{e}_forms": forms(r[e]) for e in ends} for r in rows]
                )
                sent += len(part)
        return sent

    def read_nodes(self, node: NodeType) -> Iterator[pa.RecordBatch]:
        """All nodes of a type; a property that is missing is null.

        Raises:
            DataError: A node has no id, or a property's values have types that do not go together.
        """
        match = f"MATCH (n:{escape(node.label)})"
        names = [f"n.{escape(name)}" for name in (node.id, *node.columns)]
        readers: list[Reader] = []
        for name, column, kinds in zip(
            names, (node.id, *node.columns), self._kinds(match, names), strict=True
        ):
            where = (
                f"node type {node.name!r}: the property {column!r} of {node.label!r}"
            )
            if not readers and kinds - {"STRING", "INTEGER"}:
                has = (
                    "is missing on some nodes"
                    if "NULL" in kinds
                    else f"is {listed(kinds)}"
                )
                raise DataError(
                    f"{where} {has}; an id is text or an integer and every node has one"
                )
            readers.append(
                reader(name, kinds - {"NULL"}, where)
                if readers
                else (f"toString({name})", (pa.string(),))
            )
        rows = self.rows(
            f"{match} RETURN {', '.join(expression for expression, _ in readers)}"
        )
        while batch := list(islice(rows, BATCH)):
            columns = []
            for values, (_, types) in zip(
                zip(*batch, strict=True), readers, strict=True
            ):
                column = pa.array(values, types[0])
                for kind in types[1:]:
                    column = column.cast(kind)
                columns.append(column)
            yield from plain_nodes(
                node, pa.table(columns, names=list(node_schema(node)))
            ).to_batches()

    def read_edges(
        self, edge: EdgeType, schema: GraphSchema
    ) -> Iterator[pa.RecordBatch]:
        """All edges of a type, as adjacency lists, which come several times faster than rows.

        Raises:
            DataError: A weight is no number, or a time is missing or neither a number nor a date.
        """
        source, target = schema.node(edge.source), schema.node(edge.target)
        a, b = (
            f"toString({end}.{escape(node.id)})"
            for end, node in (("a", source), ("b", target))
        )
        relationship = f"[r:{escape(edge.relationship)}]"
        pattern = (
            f"(a:{escape(source.label)})-{relationship}->(b:{escape(target.label)})"
        )
        weight, time = self._weight_and_time(edge, pattern, a, b)
        end = f"[{b}, {weight}, {time}]" if edge.weight or edge.time else b
        adjacent = f"[{pattern} | {end}] AS ends"
        query = f"MATCH (a:{escape(source.label)}) WITH a, {adjacent}"
        columns: list[list[Any]] = [[], [], [], []]
        for key, ends in self.rows(f"{query} WHERE size(ends) > 0 RETURN {a}, ends"):
            merged: dict[tuple[str, float], float] = {}
            for name, strength, when in (
                ends if edge.weight or edge.time else ((end, 1.0, 0.0) for end in ends)
            ):
                merged[name, when] = merged.get((name, when), 0.0) + strength
            columns[0] += [key] * len(merged)
            columns[1] += [name for name, _ in merged]
            columns[2] += merged.values()
            columns[3] += [when for _, when in merged]
            if len(columns[0]) >= BATCH:
                yield from _edge_batches(edge, columns)
                columns = [[], [], [], []]
        yield from _edge_batches(edge, columns)

    def count(self, schema: GraphSchema) -> dict[str, int]:
        """Nodes by node type name, relationships (parallel ones singly) by edge type name."""
        patterns = {n.name: f"(x:{escape(n.label)})" for n in schema.nodes}
        for edge in schema.edges:
            source, target = (
                escape(schema.node(end).label) for end in (edge.source, edge.target)
            )
            patterns[edge.name] = (
                f"(:{source})-[x:{escape(edge.relationship)}]->(:{target})"
            )
        return {
            name: int(next(self.rows(f"MATCH {p} RETURN count(x)"))[0])
            for name, p in patterns.items()
        }

    def _constrain(self, label: str, key: str) -> None:
        try:
            self._write(
                f"CREATE CONSTRAINT IF NOT EXISTS FOR (n:{label}) REQUIRE n.{key} IS UNIQUE",
                None,
            )
        except StoreError as error:
            # An index of the user's own on the property is as good for finding nodes.
            if "IndexAlreadyExists" not in str(getattr(error.__cause__, "code", "")):
                raise

    def _kinds(self, match: str, names: Sequence[str]) -> list[set[str]]:
        """The types of each expression's values: STRING, INTEGER, ..., LIST, NULL."""
        found = next(
            self.rows(
                f"{match} RETURN {', '.join(f'collect(DISTINCT valueType({n}))' for n in names)}"
            )
        )
        return [
            {
                "LIST" if k.startswith("LIST") else k.removesuffix(" NOT NULL")
                for k in kinds
            }
            for kinds in found
        ]

    def _weight_and_time(
        self, edge: EdgeType, pattern: str, a: str, b: str
    ) -> tuple[str, str]:
        """Expressions for an edge's weight, and its time in days where that is no number."""
        weight = f"r.{escape(edge.weight)}" if edge.weight else "1.0"
        time = f"r.{escape(edge.time)}" if edge.time else "0.0"
        if not (edge.weight or edge.time):
            return weight, time
        weights, times = self._kinds(f"MATCH {pattern}", [weight, time])
        if weights - NUMBERS - {"NULL"}:
            raise DataError(
                f"edge type {edge.name!r}: the property {edge.weight!r} is "
                f"{listed(weights)}, which is no weight"
            )
        if "NULL" in times:
            ends = next(
                self.rows(f"MATCH {pattern} WHERE {time} IS NULL RETURN {a}, {b}")
            )
            raise DataError(
                f"edge type {edge.name!r}: {' to '.join(map(repr, ends))} has no {edge.time!r}"
            )
        if not (times <= NUMBERS or times <= DATES):
            raise DataError(
                f"edge type {edge.name!r}: the property {edge.time!r} is "
                f"{listed(times)}, which is no time"
            )
        return (
            f"coalesce(toFloat({weight}), 1.0)",
            f"{micros(time)} / 86400e6" if times & DATES else f"toFloat({time})",
        )


def _parts(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    for batch in batches:
        for start in range(0, len(batch), BATCH):
            yield pa.Table.from_batches([batch.slice(start, BATCH)])


def _edge_batches(edge: EdgeType, columns: list[list[Any]]) -> Iterator[pa.RecordBatch]:
    wanted = dict(zip(("source", "target", "weight", "time"), columns, strict=True))
    table = pa.table(
        {name: wanted[name] for name in edge_schema(edge).names}, edge_schema(edge)
    )
    yield from plain_edges(edge, table).to_batches(BATCH)
