"""Users round a ring of items, so that order alone tells what comes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from fusion.query_batch import QueryBatch, Ragged
from kg.graph import build_graph
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import Tables

RING = 12  # whoever takes item i takes item i + 1 next, so that order alone tells what comes
QUICK: dict[str, Any] = {
    "length": 6,
    "width": 16,
    "dropout": 0.1,
    "rate": 0.01,
    "batch": 16,
    "progress": False,
}


def snapshot(lists, items):
    """Users with items in order of time; the last item is never taken."""
    schema = GraphSchema(
        (NodeType("user", "user"), NodeType("item", "item")),
        (EdgeType("took", "user", "item", "interaction", time="t"),),
    )
    rows = [
        (f"u{u}", f"i{item}", float(t))
        for u, some in enumerate(lists)
        for t, item in enumerate(some)
    ]
    edges = pa.table(
        list(map(list, zip(*rows, strict=True))), ["source", "target", "time"]
    )
    nodes = {"user": pa.table({"id": [f"u{u}" for u in range(len(lists) + 1)]})}
    nodes["item"] = pa.table({"id": [f"i{i}" for i in range(items + 1)]})
    return build_graph(Tables(schema, nodes, {"took": edges}))


def query(*rows):
    """Queries of (user, items)."""
    none = Ragged.of([[]] * len(rows))
    users = np.array([user for user, _ in rows])
    return QueryBatch(
        users, Ragged.of([items for _, items in rows]), ("",) * len(rows), none, users
    )
