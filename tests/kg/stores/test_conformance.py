"""What every store must do, run over each of them."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from kg.columns import edge_schema
from kg.errors import StoreError
from kg.schema import NodeType
from kg.stores.base import GraphStore, read_tables, write_tables
from tests.kg.stores.tricky import (
    edge_batch,
    make_schema,
    make_tables,
    rows,
)


def test_it_is_a_graph_store(store):
    assert isinstance(store, GraphStore)


def test_everything_comes_back_as_it_was(store, schema):
    tables = make_tables(schema)
    write_tables(store, tables)
    back = read_tables(store)
    assert back.schema == schema
    for name, table in tables.nodes.items():
        assert back.nodes[name].to_pylist() == table.sort_by("id").to_pylist(), name
    assert [str(f.type) for f in back.nodes["item"].schema] == [
        "string",
        "string",
        "double",
        "int64",
        "bool",
        "timestamp[us]",
        "date32[day]",
        "string",
    ]
    assert rows(back.edges["bought"].to_batches()) == rows(
        tables.edges["bought"].to_batches()
    )
    assert back.fingerprint() == tables.fingerprint()
    assert store.count(schema) == {
        "user": 3,
        "item": 8,
        "brand": 0,
        "bought": 3,
        "has": 0,
    }


@pytest.mark.parametrize("columns", [(), ("weight",), ("time",), ("weight", "time")])
def test_edges_have_the_columns_of_their_type(store, columns, prefix):
    schema = make_schema(prefix, **{c: c for c in columns})
    tables = make_tables(schema)
    write_tables(store, tables)
    write_tables(store, tables)
    assert store.count(schema)["bought"] == 3
    edge = schema.edge("bought")
    batches = list(store.read_edges(edge, schema))
    assert all(b.schema == edge_schema(edge) for b in batches)
    assert rows(batches) == rows(tables.edges["bought"].to_batches())


def test_writing_twice_changes_nothing(store, schema):
    tables = make_tables(schema)
    write_tables(store, tables)
    write_tables(store, tables, batch_rows=1)
    assert store.count(schema)["item"] == 8 and store.count(schema)["bought"] == 3
    assert read_tables(store).fingerprint() == tables.fingerprint()


def test_order_and_batches_do_not_matter(store, schema):
    tables = make_tables(schema)
    flip = {
        n: t.take(pa.array(np.arange(len(t))[::-1]))
        for n, t in {**tables.nodes, **tables.edges}.items()
    }
    write_tables(
        store,
        tables.with_tables(
            {n: flip[n] for n in tables.nodes}, {n: flip[n] for n in tables.edges}
        ),
        2,
    )
    assert read_tables(store).fingerprint() == tables.fingerprint()


def test_an_upsert_changes_values_and_the_last_row_wins(store, schema):
    write_tables(store, make_tables(schema))
    item = schema.item
    row = make_tables(schema).nodes["item"].slice(0, 1).to_pylist()[0]
    batches = [
        pa.RecordBatch.from_pylist([{**row, "price": p, "sold": None}])
        for p in (7.5, 8.5)
    ]
    kind = pa.schema([*batches[0].schema]).set(
        batches[0].schema.get_field_index("sold"), pa.field("sold", pa.bool_())
    )
    assert store.write_nodes(item, [b.cast(kind) for b in batches]) == 2
    back = {r["id"]: r for r in read_tables(store).nodes["item"].to_pylist()}
    assert (
        len(back) == 8
        and back[row["id"]]["price"] == 8.5
        and back[row["id"]]["sold"] is None
    )
    bought = edge_batch(
        ["u0", "u0"], [row["id"]] * 2, weight=[5.0, 6.0], time=[1.0, 1.0]
    )
    assert store.write_edges(schema.edge("bought"), schema, bought) == 2
    assert ("u0", row["id"], 6.0, 1.0) in rows(
        store.read_edges(schema.edge("bought"), schema)
    )
    assert store.count(schema)["bought"] == 3


def test_an_edge_is_keyed_by_its_time_too(store, schema):
    write_tables(store, make_tables(schema))
    edge = schema.edge("bought")
    store.write_edges(
        edge, schema, edge_batch(["u0"], ["plain0"], weight=[1.0], time=[9.0])
    )
    assert store.count(schema)["bought"] == 4
    assert [
        r[2:] for r in rows(store.read_edges(edge, schema)) if r[:2] == ("u0", "plain0")
    ] == [
        (0.1, 1.0),
        (1.0, 9.0),
    ]


def test_edges_read_without_their_time_are_added_up(store, schema, prefix):
    write_tables(store, make_tables(schema))
    store.write_edges(
        schema.edge("bought"),
        schema,
        edge_batch(["u0"], ["plain0"], weight=[1.0], time=[9.0]),
    )
    timeless = make_schema(prefix, weight="we`ight")
    got = {
        r[:2]: r[2] for r in rows(store.read_edges(timeless.edge("bought"), timeless))
    }
    assert len(got) == 3 and got["u0", "plain0"] == pytest.approx(1.1)
    bare = make_schema(prefix)
    assert len(rows(store.read_edges(bare.edge("bought"), bare))) == 3


def test_timestamps_of_edges_become_days(store, schema):
    write_tables(store, make_tables(schema))
    when = pa.array([dt.datetime(1970, 1, 3, 6)], pa.timestamp("ns"))
    store.write_edges(
        schema.edge("bought"),
        schema,
        edge_batch(["u2"], ["plain0"], weight=[1.0], time=when),
    )
    assert ("u2", "plain0", 1.0, 2.25) in rows(
        store.read_edges(schema.edge("bought"), schema)
    )


def test_an_empty_store_is_empty(store, schema):
    assert store.count(schema) == dict.fromkeys(
        ("user", "item", "brand", "bought", "has"), 0
    )
    assert (
        rows(store.read_nodes(schema.item))
        == rows(store.read_edges(schema.edge("bought"), schema))
        == []
    )
    assert (
        store.write_nodes(schema.item, [])
        == store.write_edges(schema.edge("has"), schema, [])
        == 0
    )
    with pytest.raises(StoreError, match="item"):
        read_tables(store, schema)


def test_a_property_never_written_is_null(store, prefix):
    item = NodeType("item", "item", f"{prefix} late")
    store.write_nodes(item, [pa.record_batch({"id": ["a"]})])
    more = NodeType("item", "item", f"{prefix} late", properties=("colour",))
    assert rows(store.read_nodes(more)) == [("a", None)]
    store.write_nodes(more, [pa.record_batch({"id": ["b"], "colour": ["red"]})])
    assert rows(store.read_nodes(more)) == [("a", None), ("b", "red")]
    store.write_nodes(item, [pa.record_batch({"id": ["b"]})])
    assert rows(store.read_nodes(more)) == [("a", None), ("b", "red")]


def test_lists_are_joined_and_small_types_widened(store, prefix):
    item = NodeType("item", "item", f"{prefix} lists", properties=("tags", "n", "x"))
    tags = pa.array([["a", "b"], None])
    batch = pa.record_batch(
        {
            "id": ["1", "2"],
            "tags": tags,
            "n": pa.array([1, 2], pa.int8()),
            "x": pa.array([1, 2], pa.float32()),
        }
    )
    store.write_nodes(item, [batch])
    assert rows(store.read_nodes(item)) == [("1", "a, b", 1, 1.0), ("2", None, 2, 2.0)]


def test_the_schema_can_be_replaced(store, schema, prefix):
    store.write_schema(schema)
    other = make_schema(prefix)
    store.write_schema(other)
    assert store.schema() == other != schema


def test_many_rows_in_bounded_batches(store, prefix):
    schema = make_schema(prefix, weight="weight")
    count, rng = 11_000, np.random.default_rng(0)
    ids = [f"u{i}" for i in range(count)]
    store.write_nodes(schema.node("user"), pa.table({"id": ids}).to_batches())
    items = make_tables(schema).nodes["item"]
    store.write_nodes(schema.item, items.to_batches())
    target = np.array(items["id"].to_pylist())[rng.integers(0, len(items), count)]
    batch = pa.record_batch(
        {"source": ids, "target": target, "weight": rng.random(count)}
    )
    assert store.write_edges(schema.edge("bought"), schema, [batch]) == count
    nodes = list(store.read_nodes(schema.node("user")))
    edges = list(store.read_edges(schema.edge("bought"), schema))
    assert max(len(b) for b in nodes + edges) <= 10_000
    assert rows(edges) == rows([batch]) and sorted(r[0] for r in rows(nodes)) == sorted(
        ids
    )


def test_two_reads_at_once_do_not_disturb_each_other(store, schema):
    write_tables(store, make_tables(schema))
    pairs = list(
        zip(store.read_nodes(schema.item), store.read_nodes(schema.item), strict=True)
    )
    assert all(a.equals(b) for a, b in pairs) and len(pairs) == 1


def test_closing_twice_is_harmless(store):
    store.close()
    store.close()
