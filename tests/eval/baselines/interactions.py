"""Users with items in order of time: by hand, or on a checkerboard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from fusion.query_batch import QueryBatch, Ragged
from kg.graph import build_graph
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.sources.checkerboard import Checkerboard
from kg.tables import Tables

USER, ITEM = NodeType("user", "user"), NodeType("item", "item", text=("words",))
TEXTS = ["red shirt", "red shoe", "hat", "", "blue shoe", "red red red hat"]
# Items a to e, f never taken; w took nothing, and somebody unknown e.
TOOK = {
    "u": [("a", 0), ("b", 1), ("c", 2), ("a", 3)],
    "v": [("a", 5), ("c", 5), ("d", 6)],
    "x": [("b", 0), ("c", 9)],
}
A, B, C, D, E, F = range(6)


def snapshot(took, users, items, texts=None):
    schema = GraphSchema(
        (USER, ITEM), (EdgeType("took", "user", "item", "interaction", time="t"),)
    )
    rows = [
        (user, item, float(time)) for user, some in took.items() for item, time in some
    ]
    edges = dict(
        zip(
            ("source", "target", "time"),
            map(list, zip(*rows, strict=True)),
            strict=True,
        )
    )
    nodes = {
        "user": pa.table({"id": list(users)}),
        "item": pa.table({"id": list(items), "words": texts or [""] * len(items)}),
    }
    return build_graph(Tables(schema, nodes, {"took": pa.table(edges)}))


def history_graph():
    """Items a to f with times, of users u to y."""
    return snapshot(TOOK | {"y": [("e", 1)]}, "uvwxy", "abcdef", TEXTS)


def timed(took, times):
    """One user u and items a to d, with times that an edge type without times leaves open."""
    graph = snapshot(took, "u", "abcd")
    return replace(graph, events=replace(graph.events, time=np.array(times)))


def checkerboard_queries(asked):
    """Each user by history or with all it took as context; the withheld item must come first."""
    source = Checkerboard()
    graph = build_graph(source.load())
    users = np.array([graph.vocabs["user"].row(u) for u in source.withheld])
    targets = Ragged.of(
        [[graph.vocabs["item"].row(i)] for i in source.withheld.values()]
    )
    events = graph.events
    lists = [np.unique(events.item[events.user == u]) for u in users]
    items = Ragged.of(lists)
    every = np.where(asked == "items", -1, users)
    return graph, QueryBatch(every, items, ("",) * len(users), targets, users)
