"""A graph of four baskets to count by hand, and a checkerboard with a known answer."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from fusion.query_batch import QueryBatch, Ragged
from kg.graph import build_graph
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import Tables

USER, BUNDLE, ITEM = (
    NodeType("user", "user"),
    NodeType("basket", "bundle"),
    NodeType("item", "item", text=("words",)),
)


TEXTS = ["red shirt", "red shoe", "hat", "", "blue shoe"]


VECTORS = np.array([[3, 4], [0, 2], [1, 0], [0, 0], [-1, 0]], np.float32)


def words(texts):
    return np.array(
        [[0.0, 5.0] if "shoe" in text else [5.0, 0.0] for text in texts], np.float32
    )


def nodes(names, **columns):
    return pa.table({"id": pa.array(list(names), pa.string()), **columns})


def small_graph():
    """Items a to e; u took {a, b} at 0 and {a, b, c} at 8, v {a, d} at 8; {c, d} is nobody's."""
    baskets = {"0": "ab", "1": "abc", "2": "ad", "3": "cd"}
    schema = GraphSchema(
        (USER, BUNDLE, ITEM),
        (
            EdgeType("took", "user", "basket", "interaction", time="t"),
            EdgeType("holds", "basket", "item", "membership"),
        ),
    )
    inside = [(basket, item) for basket, items in baskets.items() for item in items]
    took = {
        "source": ["u", "u", "v"],
        "target": ["0", "1", "2"],
        "time": [0.0, 8.0, 8.0],
    }
    holds = {"source": [b for b, _ in inside], "target": [i for _, i in inside]}
    tables = {"took": pa.table(took), "holds": pa.table(holds)}
    named = {
        "user": nodes("uvw"),
        "basket": nodes(baskets),
        "item": nodes("abcde", words=TEXTS),
    }
    return build_graph(Tables(schema, named, tables))


def checkerboard(size=12):
    """User u took every item of its own parity but item u, which must come first."""
    took = [
        (u, i) for u in range(size) for i in range(size) if u % 2 == i % 2 and u != i
    ]
    names = [f"{i:02}" for i in range(size)]
    schema = GraphSchema(
        (USER, ITEM), (EdgeType("took", "user", "item", "interaction"),)
    )
    edges = pa.table(
        {"source": [names[u] for u, _ in took], "target": [names[i] for _, i in took]}
    )
    tables = Tables(
        schema,
        {"user": nodes(names), "item": nodes(names, words=names)},
        {"took": edges},
    )
    lists = Ragged.of([[i for v, i in took if v == u] for u in range(size)])
    users = np.arange(size)
    return build_graph(tables), QueryBatch(
        users, lists, ("",) * size, Ragged.of(list(users[:, None])), users
    )
