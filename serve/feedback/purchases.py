"""Purchases: events that become edges, and how they are written to a graph store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fusion.ranking.event_tables import as_tables, bundle_id
from kg.errors import DataError
from kg.graph import Graph
from kg.schema import GraphSchema, NodeType
from kg.stores.base import GraphStore
from kg.stores.cypher import escape, same_id
from kg.tables import Vocab

DAYS = (
    9_000,
    40_000,
)  # what counts days since 1970 is now within; any other clock is the graph's own


class Purchase(NamedTuple):
    """An event that becomes an edge; number is its place in the queue, time in seconds of 1970."""

    number: int
    user: str
    item: str
    time: float


@dataclass(frozen=True)
class Known:
    """What the graph of a run has.

    Attributes:
        users: Their ids.
        items: Their ids.
        last: Its latest moment; NaN where it has no times.
    """

    users: Vocab
    items: Vocab
    last: float

    @classmethod
    def of(cls, graph: Graph) -> Self:
        """Of a run's own graph."""
        users = graph.vocabs[graph.user] if graph.user else Vocab([])
        return cls(
            users,
            graph.vocabs[graph.item],
            float(np.fmax.reduce(graph.events.time, initial=np.nan)),
        )

    def purchases(self, rows: Sequence[Purchase], latest: float = np.inf) -> pa.Table:
        """As fusion.ranking.event_tables takes them, in the graph's time, none after `latest`.

        What counts days since 1970 goes on; in a graph with a clock of its own all happens at
        its latest moment.
        """
        own = not DAYS[0] < self.last < DAYS[1]
        times = [
            np.nan_to_num(self.last) if own else min(row.time / 86_400, latest)
            for row in rows
        ]
        columns = [
            [row.user for row in rows],
            [row.item for row in rows],
            [bundle_id(r.user, r.time) for r in rows],
        ]
        kinds = {
            "user": pa.string(),
            "item": pa.string(),
            "bundle": pa.string(),
            "time": pa.float64(),
        }
        return pa.table([*columns, times], schema=pa.schema(list(kinds.items())))


def deliver(
    store: GraphStore, schema: GraphSchema, known: Known, rows: Sequence[Purchase]
) -> dict[int, str]:
    """Write purchases to a store; returns why it refused some, by their numbers.

    Those of users or items that the store no longer has are found before anything is written,
    so that no basket is left empty; the rest is written together, and where the store refuses
    that, in halves, down to the one it will not have.

    Raises:
        StoreError: The store cannot be written; nothing is refused.
    """
    refused: dict[int, str] = {}
    for end, node in (("user", schema.of_role("user")), ("item", schema.item)):
        gone = (
            _gone(store, node, {getattr(row, end) for row in rows}) if node else set()
        )
        refused |= {
            row.number: f"it has no such {end}"
            for row in rows
            if getattr(row, end) in gone
        }
    return refused | _written(
        store, schema, known, [row for row in rows if row.number not in refused]
    )


def _gone(store: GraphStore, node: NodeType, ids: set[str]) -> set[str]:
    """Those of some ids of which a store has no node.

    Neo4j looks up these alone; of a file all ids are read.
    """
    from kg.stores.neo4j import Neo4jStore

    if isinstance(store, Neo4jStore):
        name = f"n.{escape(node.id)}"
        there = store.rows(
            f"MATCH (n:{escape(node.label)}) WHERE {same_id(name, *ids)} RETURN toString({name})"
        )
        return ids - {id_ for (id_,) in there}
    wanted, bare = (
        pa.array(sorted(ids)),
        replace(node, title="", text=(), properties=()),
    )
    for batch in store.read_nodes(bare):
        ids = ids - set(batch["id"].filter(pc.is_in(batch["id"], wanted)).to_pylist())
    return ids


def _written(
    store: GraphStore, schema: GraphSchema, known: Known, rows: Sequence[Purchase]
) -> dict[int, str]:
    if not rows:
        return {}
    try:
        nodes, edges = as_tables(schema, known.purchases(rows))
        for name, table in nodes.items():
            store.write_nodes(schema.node(name), table.to_batches())
        for name, table in edges.items():
            store.write_edges(schema.edge(name), schema, table.to_batches())
    except DataError as error:
        if len(rows) == 1:
            return {rows[0].number: str(error)}
        half = len(rows) // 2
        return _written(store, schema, known, rows[:half]) | _written(
            store, schema, known, rows[half:]
        )
    return {}
