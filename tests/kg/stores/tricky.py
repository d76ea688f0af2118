"""A graph whose names and values are hard to write and read."""

import datetime as dt

import pyarrow as pa

from kg.columns import edge_schema
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import Tables

DAY = dt.datetime(2024, 2, 29, 12, 30, 15, 123456)


TRICKY = [
    "plain",
    "ünï 🧥 côdé",
    'quo"te',
    "back`tick",
    "semi; DROP",
    "new\nline",
    "",
    "a\\u0060b",
]


def make_schema(prefix, **edge):
    return GraphSchema(
        nodes=(
            NodeType("user", "user", f"{prefix} user"),
            NodeType(
                "item",
                "item",
                f'{prefix} it`e"m; \\u0060',
                id="the `key`",
                title='na`me "x"',
                properties=("price", "stock", "sold", "added", "day", "nothing"),
            ),
            NodeType("brand", "attribute", f"{prefix} brand"),
        ),
        edges=(
            EdgeType(
                "bought", "user", "item", "interaction", "BOUGHT `it` \\u0060", **edge
            ),
            EdgeType("has", "item", "brand", "relation"),
        ),
    )


def make_tables(schema):
    count = len(TRICKY)
    ids = [f"{name}{i}" for i, name in enumerate(TRICKY)]
    items = pa.table(
        {
            "id": ids,
            schema.item.title: TRICKY,
            "price": pa.array(
                [None if i == 1 else i / 3 for i in range(count)], pa.float64()
            ),
            "stock": pa.array(
                [None if i == 2 else 2**53 + 1 + i for i in range(count)], pa.int64()
            ),
            "sold": pa.array([i % 2 == 0 for i in range(count)]),
            "added": pa.array(
                [DAY + dt.timedelta(hours=i) for i in range(count)], pa.timestamp("us")
            ),
            "day": pa.array([DAY.date()] * count, pa.date32()),
            "nothing": pa.array([None] * count, pa.string()),
        }
    )
    edge = schema.edge("bought")
    bought = {
        "source": ["u0", "u0", "u1"],
        "target": [ids[0], ids[1], ids[0]],
        "weight": [0.1, 2.0, 0.0],
        "time": [1, 2.5, -3],
    }
    bought = {name: bought[name] for name in edge_schema(edge).names}
    return Tables(
        schema,
        {
            "user": pa.table({"id": ["u0", "u1", "u2"]}),
            "item": items,
            "brand": pa.table({"id": pa.array([], pa.string())}),
        },
        {
            "bought": pa.table(bought),
            "has": pa.table(
                {
                    "source": pa.array([], pa.string()),
                    "target": pa.array([], pa.string()),
                }
            ),
        },
    )


def rows(batches):
    return sorted(
        (tuple(row.values()) for batch in batches for row in batch.to_pylist()),
        key=repr,
    )


def edge_batch(source, target, **more):
    return [pa.record_batch({"source": source, "target": target, **more})]
