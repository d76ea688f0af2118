import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from kg.columns import edge_schema, node_schema, plain
from kg.errors import DataError
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.sources.folder import Folder
from kg.tables import Tables, Vocab

SCHEMA = GraphSchema(
    (
        NodeType("user", "user"),
        NodeType(
            "item",
            "item",
            id="sku",
            title="name",
            text=("name", "words", "sku"),
            properties=("price",),
        ),
    ),
    (
        EdgeType("bought", "user", "item", "interaction", weight="n", time="at"),
        EdgeType("like", "item", "item", "relation"),
    ),
)
USERS = {"id": ["u", "v"]}
ITEMS = {
    "id": ["b", "a", "c"],
    "name": ["Bag", None, " "],
    "words": ["big", "red ", None],
    "price": [1, 2, None],
}
BOUGHT = {
    "source": ["u", "v"],
    "target": ["a", "b"],
    "weight": [1.0, 0.0],
    "time": [0.5, -1.0],
}
LIKE = {"source": ["a"], "target": ["b"]}


def make(users=USERS, items=ITEMS, bought=BOUGHT, like=LIKE):
    return Tables(
        SCHEMA,
        {"user": pa.table(users), "item": pa.table(items)},
        {"bought": pa.table(bought), "like": pa.table(like)},
    )


def test_vocab():
    vocab = Vocab(["x", "y"])
    assert (
        len(vocab) == 2
        and vocab.row("y") == 1
        and vocab.row("z") == -1
        and vocab.key(0) == "x"
    )
    for keys in (
        ["y", "z", "x"],
        pa.array(["y", "z", "x"]),
        pa.chunked_array([["y"], ["z", "x"]]),
    ):
        rows = vocab.rows(keys)
        assert rows.tolist() == [1, -1, 0] and rows.dtype == np.int64
    assert Vocab(pa.chunked_array([["x"], ["y"]])).rows(["y"]).tolist() == [1]
    assert (
        len(Vocab([])) == 0
        and Vocab([]).rows(["x"]).tolist() == [-1]
        and Vocab(["x"]).rows([]).tolist() == []
    )


def test_columns_of_a_type():
    assert node_schema(SCHEMA.item) == ("id", "name", "words", "price")
    assert edge_schema(SCHEMA.edge("bought")).names == [
        "source",
        "target",
        "weight",
        "time",
    ]
    assert edge_schema(SCHEMA.edge("like")).names == ["source", "target"]


def test_texts_and_titles():
    tables = make()
    assert tables.texts("item") == ["Bag. big. b", "red. a", "c"]
    assert tables.titles("item") == ["Bag", "a", " "] and tables.titles("user") == [
        "u",
        "v",
    ]
    assert tables.texts("user") == ["", ""]
    assert tables.vocab("item").row("a") == 1


def test_further_columns_are_dropped_and_small_types_widened():
    tables = make(
        items={**ITEMS, "price": pa.array([1, 2, None], pa.int8()), "extra": [1, 2, 3]},
        bought={**BOUGHT, "weight": pa.array([1, 0], pa.int32()), "extra": [1, 2]},
    )
    assert tables.nodes["item"].column_names == ["id", "name", "words", "price"]
    assert (
        tables.nodes["item"]["price"].type == pa.int64()
        and tables.edges["bought"]["weight"].type == pa.float64()
    )
    assert tables.fingerprint() == make().fingerprint()


@pytest.mark.parametrize(
    ("values", "days"),
    [
        (pa.array([dt.date(1970, 1, 2)] * 2), 1.0),
        (
            pa.array([dt.date(9999, 12, 31)] * 2),
            2932896.0,
        ),  # no end, as databases write it
        (pa.array([dt.datetime(1970, 1, 2, 12)] * 2, pa.timestamp("ns")), 1.5),
        (pa.array([86_400_000_000_001] * 2, pa.timestamp("ns")), 1.0),
        (
            pa.array(
                [
                    dt.datetime(
                        1970, 1, 2, 12, tzinfo=dt.timezone(dt.timedelta(hours=12))
                    )
                ]
                * 2
            ),
            1.0,
        ),
        (pa.array([3, 3], pa.int32()), 3.0),
    ],
)
def test_times_become_days(values, days):
    assert (
        make(bought={**BOUGHT, "time": values}).edges["bought"]["time"].to_pylist()
        == [days] * 2
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"users": {"name": ["u"]}}, "'user': no column id"),
        ({"users": {"id": pa.array(["u", None])}}, "'user': 1 ids are null"),
        ({"users": {"id": ["u", "v", "u"]}}, "'user': id 'u' is used twice"),
        ({"users": {"id": [b"u", b"v"]}}, "'user', column 'id'"),
        ({"items": {**ITEMS, "price": [{"eur": 1}] * 3}}, "'item', column 'price'"),
        (
            {"items": {**ITEMS, "price": pa.array([2**63] * 3, pa.uint64())}},
            "'item', column 'price'",
        ),
        (
            {"bought": {"source": ["u"], "target": ["a"]}},
            "'bought': no column time, weight",
        ),
        (
            {"bought": {**BOUGHT, "source": ["u", "x"]}},
            "'bought': 1 edges have a source that is no user: 'x'",
        ),
        (
            {"bought": {**BOUGHT, "target": ["x", "y"]}},
            "'bought': 2 edges have a target that is no item: 'x'",
        ),
        (
            {"bought": {**BOUGHT, "source": pa.array(["u", None])}},
            "'bought': 1 edges have no source",
        ),
        (
            {"bought": {**BOUGHT, "weight": [1.0, -1.0]}},
            "'bought': each weight must be a finite, non-negative",
        ),
        (
            {"bought": {**BOUGHT, "weight": [1.0, float("nan")]}},
            "'bought': each weight",
        ),
        ({"bought": {**BOUGHT, "weight": [1.0, None]}}, "'bought': each weight"),
        ({"bought": {**BOUGHT, "weight": ["heavy", "1"]}}, "'bought', column 'weight'"),
        (
            {"bought": {**BOUGHT, "time": [1.0, float("inf")]}},
            "'bought': each time must be a finite number",
        ),
        ({"bought": {**BOUGHT, "time": [b"x", b"y"]}}, "'bought', column 'time'"),
    ],
)
def test_broken_data_are_named(change, says):
    with pytest.raises(DataError, match=says):
        make(**change)


def test_missing_and_unknown_tables_are_named():
    users, items = pa.table(USERS), pa.table(ITEMS)
    with pytest.raises(DataError, match="no table for node type 'item'"):
        Tables(SCHEMA, {"user": users}, {})
    with pytest.raises(DataError, match="no table for edge type 'bought'"):
        Tables(SCHEMA, {"user": users, "item": items}, {})
    with pytest.raises(DataError, match="node tables the schema does not name: more"):
        make().with_tables({"more": users})
    with pytest.raises(TypeError):
        make().nodes["user"] = users


def test_empty_tables_are_fine():
    none = {"source": pa.array([], pa.string()), "target": pa.array([], pa.string())}
    tables = make(
        bought={
            **none,
            "weight": pa.array([], pa.float64()),
            "time": pa.array([], pa.float64()),
        },
        like=none,
    )
    assert (
        len(tables.edges["bought"]) == 0
        and tables.fingerprint() != make().fingerprint()
    )


def test_fingerprint_sees_every_value_and_no_order():
    first = make().fingerprint()
    flip = pa.array([2, 0, 1])
    assert make(items=pa.table(ITEMS).take(flip)).fingerprint() == first
    assert make(items={**ITEMS, "price": [1.0, 2.0, None]}).fingerprint() == first
    others = [
        make(items={**ITEMS, "price": [1, 2, 3]}),
        make(items={**ITEMS, "name": ["Bag", "", " "]}),
        make(
            items={**ITEMS, "name": ["big", None, " "], "words": ["Bag", "red ", None]}
        ),
        make(bought={**BOUGHT, "weight": [1.0, 0.1]}),
        make(like={"source": ["b"], "target": ["a"]}),
        make(items={**ITEMS, "price": [2**60, 2, None]}),
        make(items={**ITEMS, "price": [2**60 + 1, 2, None]}),
    ]
    assert len({first, *(t.fingerprint() for t in others)}) == 8


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([["a", "b"], [], None]), pa.array(["a, b", "", None])),
        (pa.array([[1, 2]]), pa.array(["1, 2"])),
        (pa.array([None, None]), pa.array([None, None], pa.string())),
        (pa.array(["a", "a"]).dictionary_encode(), pa.array(["a", "a"])),
        (pa.array(["a"], pa.large_string()), pa.array(["a"])),
        (pa.array(["a"], pa.string_view()), pa.array(["a"])),
        (pa.array([0.5], pa.float32()), pa.array([0.5])),
        (pa.array([True]), pa.array([True])),
        (
            pa.array([dt.datetime(2024, 1, 1)], pa.timestamp("s")),
            pa.array([dt.datetime(2024, 1, 1)], pa.timestamp("us")),
        ),
        (
            pa.array([dt.date(2024, 1, 1)], pa.date64()),
            pa.array([dt.date(2024, 1, 1)], pa.date32()),
        ),
    ],
)
def test_plain_types(values, expected):
    got = plain(pa.chunked_array([values]), "here").combine_chunks()
    assert got.type == expected.type and got.equals(expected)


def test_types_without_a_plain_form_are_refused():
    for values in (
        pa.array([b"x"]),
        pa.array([{"a": 1}]),
        pa.array([dt.timedelta(1)]),
        pa.array([[{"a": 1}]]),
    ):
        with pytest.raises(DataError, match="here"):
            plain(pa.chunked_array([values]), "here")


def test_in_order_rows_are_sorted_by_id_whatever_their_order():
    tables = Folder.example()
    nodes = {
        name: table.take(list(range(len(table)))[::-1])
        for name, table in tables.nodes.items()
    }
    edges = {
        name: table.take(list(range(len(table)))[::-1])
        for name, table in tables.edges.items()
    }
    turned = tables.with_tables(nodes, edges)
    one, other = tables.in_order(), turned.in_order()
    assert all(one.nodes[name].equals(other.nodes[name]) for name in nodes)
    assert all(one.edges[name].equals(other.edges[name]) for name in edges)
    assert all(
        (ids := table["id"].to_pylist()) == sorted(ids) for table in one.nodes.values()
    )
    assert one.fingerprint() == tables.fingerprint()
