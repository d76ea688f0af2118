"""Inspect: what a database that was there before us holds, for a draft of its schema."""

from __future__ import annotations

from kg.errors import StoreError
from kg.stores.base import GraphStore
from kg.stores.cypher import escape
from kg.stores.draft import Label, Link, Property, draft
from kg.stores.neo4j import Neo4jStore

SAMPLE = 10_000


def inspect(store: GraphStore) -> str:
    """The store's schema as TOML: the saved one, or else a draft from what a Neo4j database holds.

    Raises:
        StoreError: There is no schema and nothing to draft one from.
    """
    saved = store.schema()
    if saved is not None:
        return saved.to_toml()
    if not isinstance(store, Neo4jStore):
        raise StoreError(
            f"{store.uri}: no schema was saved; load a graph into it with `python -m kg load`"
        )
    labels, links = survey(store)
    if not labels:
        raise StoreError(f"{store.uri}: the database is empty")
    return draft(labels, links)


def survey(store: Neo4jStore) -> tuple[list[Label], list[Link]]:
    """The labels and links of a database.

    Properties are read from the first 10,000 nodes or relationships of each.
    """
    labels = []
    for (name,) in list(
        store.rows("CALL db.labels() YIELD label RETURN label ORDER BY label")
    ):
        match = f"MATCH (x:{escape(name)})"
        count = next(store.rows(f"{match} RETURN count(x)"))[0]
        if count:
            labels.append(Label(name, count, _properties(store, match, count)))
    links = []
    ends = "UNWIND labels(a) AS source UNWIND labels(b) AS target"
    query = (
        f"MATCH (a)-[x]->(b) {ends} RETURN source, type(x) AS kind, target, count(*) "
        "ORDER BY kind, source, target"
    )
    for source, kind, target, count in list(store.rows(query)):
        match = f"MATCH (:{escape(source)})-[x:{escape(kind)}]->(:{escape(target)})"
        links.append(
            Link(source, kind, target, count, _properties(store, match, count))
        )
    return labels, links


def _properties(store: Neo4jStore, match: str, count: int) -> tuple[Property, ...]:
    size = "avg(CASE WHEN valueType(v) STARTS WITH 'STRING' THEN size(v) END)"
    rows = store.rows(
        f"{match} WITH x LIMIT {SAMPLE} UNWIND keys(x) AS k WITH k, x[k] AS v "
        f"RETURN k, collect(DISTINCT valueType(v)), count(v), count(DISTINCT v), {size} ORDER BY k"
    )
    return tuple(
        Property(
            name,
            frozenset(
                "LIST" if k.startswith("LIST") else k.removesuffix(" NOT NULL")
                for k in kinds
            ),
            there == distinct == min(count, SAMPLE),
            length or 0.0,
        )
        for name, kinds, there, distinct, length in rows
    )
