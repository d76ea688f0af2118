"""Verify: whether edges that a run has seen are still in the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from kg.schema import EdgeType, GraphSchema
from kg.stores.base import GraphStore
from kg.stores.cypher import escape, micros, same_id
from kg.stores.open import open_store

THERE, CHANGED, GONE = "there", "changed", "gone"


class Edge(NamedTuple):
    """An edge as a run has seen it; weight and time are None where its type has none."""

    name: str
    source: str
    target: str
    weight: float | None = None
    time: float | None = None


def look_up(
    store: str | GraphStore,
    schema: GraphSchema,
    edges: Sequence[Edge],
) -> dict[Edge, str]:
    """What a store says of each edge.

    It is "there", "changed" (its ends are joined, at another time or weight) or "gone".

    Neo4j is asked for these edges alone; of an embedded file the edges of their types are
    read, bounded in memory.

    Raises:
        StoreError: The store cannot be reached or read.
    """
    found: dict[tuple[str, str, str], list[tuple[float | None, float | None]]] = {}
    with open_store(store) if isinstance(store, str) else nullcontext(store) as opened:
        for name in dict.fromkeys(edge.name for edge in edges):
            kind, asked = (
                schema.edge(name),
                [edge for edge in edges if edge.name == name],
            )
            for source, target, weight, time in _live(opened, schema, kind, asked):
                found.setdefault((name, source, target), []).append((weight, time))
    return {edge: _told(edge, found.get(edge[:3], [])) for edge in edges}


def _told(edge: Edge, live: Sequence[tuple[float | None, float | None]]) -> str:
    if not live:
        return GONE
    same = [
        weight
        for weight, time in live
        if edge.time is None or (time is not None and abs(time - edge.time) < 1e-6)
    ]
    if not same:
        return CHANGED
    total = sum(1.0 if weight is None else weight for weight in same)
    near = edge.weight is None or abs(total - edge.weight) <= 1e-6 * max(
        1.0, abs(edge.weight)
    )
    return THERE if near else CHANGED


def _live(
    store: GraphStore,
    schema: GraphSchema,
    kind: EdgeType,
    asked: Sequence[Edge],
) -> Iterator[tuple[str, str, float | None, float | None]]:
    from kg.stores.neo4j import Neo4jStore

    if isinstance(store, Neo4jStore):
        yield from (
            (tail, head, weight, time)
            for tail, head, weight, time in store.rows(_query(schema, kind, asked))
        )
        return
    sources, targets = (
        pa.array([getattr(e, end) for e in asked], pa.string())
        for end in ("source", "target")
    )
    for batch in store.read_edges(kind, schema):
        table = pa.Table.from_batches([batch])
        near = pc.and_(
            pc.is_in(table["source"], sources), pc.is_in(table["target"], targets)
        )
        for row in table.filter(near).to_pylist():
            yield row["source"], row["target"], row.get("weight"), row.get("time")


def _query(
    schema: GraphSchema,
    kind: EdgeType,
    asked: Sequence[Edge],
) -> str:
    source, target = schema.node(kind.source), schema.node(kind.target)
    a, b = f"a.{escape(source.id)}", f"b.{escape(target.id)}"
    pairs = dict.fromkeys((e.source, e.target) for e in asked)
    where = " OR ".join(f"({same_id(a, s)} AND {same_id(b, t)})" for s, t in pairs)
    weight = (
        f"coalesce(toFloat(r.{escape(kind.weight)}), 1.0)" if kind.weight else "null"
    )
    time = "null"
    if kind.time:
        name = f"r.{escape(kind.time)}"
        dated = (
            "valueType("
            + name
            + ") STARTS WITH 'INTEGER' OR valueType("
            + name
            + ") STARTS WITH 'FLOAT'"
        )
        time = (
            f"CASE WHEN {name} IS NULL THEN null WHEN {dated} THEN toFloat({name}) "
            f"ELSE {micros(name)} / 86400e6 END"
        )
    relationship = f"[r:{escape(kind.relationship)}]"
    match = (
        f"MATCH (a:{escape(source.label)})-{relationship}->(b:{escape(target.label)})"
    )
    ends = f"toString({a}), toString({b})"
    return f"{match} WHERE {where} RETURN {ends}, {weight} AS weight, {time} AS time"
