"""LeaveLast: the last things of each user, bundles whole."""

from typing import Any

import pyarrow as pa
import pytest

from kg.errors import InputError
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.sources.checkerboard import Checkerboard
from kg.split.held import events_table
from kg.split.last import LeaveLast
from kg.tables import Tables


def events(table: pa.Table) -> set[tuple[Any, ...]]:
    return {
        tuple(None if value != value else value for value in row.values())
        for row in table.to_pylist()
    }


def test_the_last_things_by_time_and_then_by_id():
    schema = GraphSchema(
        (NodeType("user", "user"), NodeType("item", "item")),
        (EdgeType("took", "user", "item", "interaction", time="t"),),
    )
    users = {"a": "wxyz", "b": "zyx", "c": "xy"}
    rows = [
        (user, item, 1.0 if user == "b" else n)
        for user, items in users.items()
        for n, item in enumerate(items)
    ]
    nodes = {
        "user": pa.table({"id": list("abc")}),
        "item": pa.table({"id": list("wxyz")}),
    }
    columns = [pa.array(c) for c in zip(*rows, strict=True)]
    split = LeaveLast()(
        Tables(schema, nodes, {"took": pa.table(columns, ["source", "target", "time"])})
    )
    assert events(split.test.events) == {
        ("a", None, "z", 3.0),
        ("b", None, "z", 1.0),
    }
    assert events(split.valid.events) == {
        ("a", None, "y", 2.0),
        ("b", None, "y", 1.0),
    }
    kept = {(u, i) for u, _, i, _ in events(events_table(split.train))}
    assert kept == {("a", "w"), ("a", "x"), ("b", "x"), ("c", "x"), ("c", "y")}


def test_bundles_go_whole():
    split = LeaveLast(valid=2, test=1)(Checkerboard(baskets=6).load())
    assert set(split.test.events["time"].to_pylist()) == {5}
    assert set(split.valid.events["time"].to_pylist()) == {3, 4}
    assert set(events_table(split.train)["time"].to_pylist()) == {0, 1, 2}


def test_settings_out_of_range():
    with pytest.raises(InputError):
        LeaveLast(valid=0)
