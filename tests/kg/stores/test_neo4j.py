import datetime as dt
import re

import pyarrow as pa
import pytest

from kg.errors import DataError, StoreError
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.stores.base import read_tables
from kg.stores.draft import draft
from kg.stores.inspect import inspect, survey

server = pytest.mark.neo4j


@pytest.fixture
def make(neo4j_store, prefix):
    """Run Cypher in which PRE stands for this run's prefix."""
    return lambda query: neo4j_store._write(query.replace("PRE", prefix), None)


@pytest.fixture
def schema(prefix):
    return GraphSchema(
        (
            NodeType("user", "user", f"{prefix}User", id="uid"),
            NodeType("item", "item", f"{prefix}Item", properties=("p",)),
        ),
        (EdgeType("bought", "user", "item", "interaction", weight="w", time="t"),),
    )


def values(batches, column):
    return [value for batch in batches for value in batch[column].to_pylist()]


@server
def test_labels_cannot_inject(neo4j_store, prefix):
    name = f"{prefix}`) DETACH DELETE n //"
    node = NodeType("item", "item", name, id="i`d}) //", properties=("p`",))
    neo4j_store.write_nodes(node, [pa.record_batch({"id": ["1"], "p`": ["x"]})])
    found = list(
        neo4j_store.rows(
            f"MATCH (n) WHERE '{name}' IN labels(n) RETURN properties(n), labels(n)"
        )
    )
    assert found == [[{"i`d}) //": "1", "p`": "x"}, [name]]]


@server
def test_the_id_of_a_label_is_unique(neo4j_store, schema, prefix, make):
    neo4j_store.write_nodes(schema.node("user"), [pa.record_batch({"id": ["a"]})])
    with pytest.raises(StoreError, match="already exists"):
        make("CREATE (:PREUser {uid: 'a'})")
    make("CREATE (:PRETwice {id: 'a'}), (:PRETwice {id: 'a'})")
    with pytest.raises(StoreError, match=f"{prefix}Twice"):
        neo4j_store.write_nodes(
            NodeType("x", "item", f"{prefix}Twice"), [pa.record_batch({"id": ["a"]})]
        )


@server
def test_an_index_of_their_own_is_no_obstacle(neo4j_store, prefix, make):
    make("CREATE INDEX PREindex FOR (n:PREOwn) ON (n.id)")
    try:
        node = NodeType("item", "item", f"{prefix}Own")
        assert neo4j_store.write_nodes(node, [pa.record_batch({"id": ["a"]})] * 2) == 2
        assert values(neo4j_store.read_nodes(node), "id") == ["a"]
    finally:
        make("DROP INDEX PREindex")


@server
def test_integer_ids_are_read_as_text(neo4j_store, schema, make):
    make(
        "CREATE (a:PREUser {uid: 7}), (b:PREItem {id: 10}), (c:PREItem {id: '11'}) "
        "CREATE (a)-[:BOUGHT {w: 2, t: 1}]->(b), (a)-[:BOUGHT {w: 0.5, t: 2}]->(c)"
    )
    tables = read_tables(neo4j_store, schema)
    assert tables.nodes["user"]["id"].to_pylist() == ["7"] and tables.nodes["item"][
        "id"
    ].to_pylist() == ["10", "11"]
    assert tables.edges["bought"].to_pydict() == {
        "source": ["7", "7"],
        "target": ["10", "11"],
        "weight": [2.0, 0.5],
        "time": [1.0, 2.0],
    }


@server
def test_edges_find_nodes_whose_ids_are_integers(neo4j_store, schema, make):
    make("CREATE (:PREUser {uid: 7}), (:PREItem {id: 10}), (:PREItem {id: '11'})")
    bought = schema.edge("bought")

    def batch(target):
        return pa.record_batch(
            {"source": ["7"], "target": [target], "weight": [1.0], "time": [2.0]}
        )

    for _ in range(2):  # twice is once
        assert neo4j_store.write_edges(bought, schema, [batch("10"), batch("11")]) == 2
    assert sorted(values(neo4j_store.read_edges(bought, schema), "target")) == [
        "10",
        "11",
    ]
    with pytest.raises(DataError, match="a target that is no item: '010'"):
        neo4j_store.write_edges(bought, schema, [batch("010")])


@server
@pytest.mark.parametrize(
    ("given", "kind", "expected"),
    [
        ("[1, 2.5, null]", pa.float64(), [1.0, 2.5, None]),
        ("[true, null]", pa.bool_(), [True, None]),
        ("[['a', 'b'], [], null]", pa.string(), ["a, b", "", None]),
        ("[[1, 2], [date('2024-02-29')]]", pa.string(), ["1, 2", "2024-02-29"]),
        ("[date('2024-02-29'), null]", pa.date32(), [dt.date(2024, 2, 29), None]),
        (
            "[date('1969-12-31'), localdatetime('2024-02-29T01:02:03.000004'), "
            "datetime('2024-02-29T01:00:00+02:00')]",
            pa.timestamp("us"),
            [
                dt.datetime(1969, 12, 31),
                dt.datetime(2024, 2, 29, 1, 2, 3, 4),
                dt.datetime(2024, 2, 28, 23),
            ],
        ),
        ("[null, null]", pa.string(), [None, None]),
        ("['', 'x']", pa.string(), ["", "x"]),
    ],
)
def test_property_types(neo4j_store, schema, make, given, kind, expected):
    make(
        f"UNWIND range(0, size({given}) - 1) AS i CREATE (:PREItem {{id: i, p: {given}[i]}})"
    )
    batches = list(neo4j_store.read_nodes(schema.item))
    assert all(b.schema.field("p").type == kind for b in batches)
    found = dict(zip(values(batches, "id"), values(batches, "p"), strict=True))
    assert found == {str(i): v for i, v in enumerate(expected)}


@server
@pytest.mark.parametrize(
    "given",
    [
        "[1, 'a']",
        "[true, 1]",
        "['a', ['b']]",
        "[point({x: 1, y: 2})]",
        "[duration('P1D')]",
    ],
)
def test_types_that_do_not_go_together_are_named(neo4j_store, schema, make, given):
    make(
        f"UNWIND range(0, size({given}) - 1) AS i CREATE (:PREItem {{id: i, p: {given}[i]}})"
    )
    with pytest.raises(
        DataError, match=r"'item': the property 'p' of 'Test.*Item' is "
    ):
        list(neo4j_store.read_nodes(schema.item))


@server
@pytest.mark.parametrize("given", ["{p: 1}", "{id: 1.5}", "{id: [1]}"])
def test_a_node_without_a_proper_id_is_named(neo4j_store, schema, make, given):
    make(f"CREATE (:PREItem {{id: 'a'}}), (:PREItem {given})")
    with pytest.raises(
        DataError, match=r"'item': the property 'id' of 'Test.*Item' is "
    ):
        list(neo4j_store.read_nodes(schema.item))


@server
def test_edge_times_and_weights(neo4j_store, schema, make):
    make(
        "CREATE (a:PREUser {uid: 'u'}) WITH a UNWIND [date('1970-01-02'), "
        "localdatetime('1970-01-02T12:00'), "
        "datetime('1970-01-02T12:00+12:00')] AS t CREATE (a)-[:BOUGHT {t: t}]->(:PREItem "
        "{id: toString(t)})"
    )
    batches = list(neo4j_store.read_edges(schema.edges[0], schema))
    assert (
        sorted(values(batches, "time")) == [1.0, 1.0, 1.5]
        and values(batches, "weight") == [1.0] * 3
    )


@server
@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("{w: 1}", "'u' to 'i' has no 't'"),
        ("{w: 'heavy', t: 1}", "'w' is integer and string, which is no weight"),
        ("{w: -1, t: 3}", "each weight must be a finite, non-negative"),
        ("{w: 1, t: 'now'}", "'t' is integer and string, which is no time"),
        ("{w: 1, t: date()}", "'t' is date and integer, which is no time"),
    ],
)
def test_bad_edges_are_named(neo4j_store, schema, make, given, says):
    make(
        f"CREATE (a:PREUser {{uid: 'u'}})-[:BOUGHT {given}]->(b:PREItem {{id: 'i'}}), "
        f"(a)-[:BOUGHT {{w: 1, t: 1}}]->(b)"
    )
    with pytest.raises(
        DataError, match=re.escape(f"'bought': {says}") if says[0] != "'" else says
    ):
        list(neo4j_store.read_edges(schema.edges[0], schema))


@server
def test_parallel_relationships_are_one_edge(neo4j_store, schema, make, prefix):
    make(
        "CREATE (a:PREUser {uid: 'u'}), (b:PREItem {id: 'i'}) WITH a, b "
        "UNWIND [1, 1, 2] AS t CREATE (a)-[:BOUGHT {t: t}]->(b)"
    )
    edge = schema.edges[0]
    timed = [row for b in neo4j_store.read_edges(edge, schema) for row in b.to_pylist()]
    assert sorted((row["time"], row["weight"]) for row in timed) == [
        (1.0, 2.0),
        (2.0, 1.0),
    ]
    for weight, columns in (
        ("", [{"source": "u", "target": "i"}]),
        ("w", [{"source": "u", "target": "i", "weight": 3.0}]),
    ):
        plain = EdgeType("bought", "user", "item", "interaction", weight=weight)
        assert [
            row for b in neo4j_store.read_edges(plain, schema) for row in b.to_pylist()
        ] == columns


@server
def test_dates_survive_the_way_there_and_back(neo4j_store, prefix):
    node = NodeType("item", "item", f"{prefix}Dated", properties=("d", "t"))
    batch = pa.record_batch(
        {
            "id": ["a"],
            "d": [dt.date(1969, 1, 1)],
            "t": pa.array(
                [dt.datetime(2024, 1, 1, tzinfo=dt.UTC)], pa.timestamp("ns", "UTC")
            ),
        }
    )
    neo4j_store.write_nodes(node, [batch])
    (row,) = (row for b in neo4j_store.read_nodes(node) for row in b.to_pylist())
    assert row == {"id": "a", "d": dt.date(1969, 1, 1), "t": dt.datetime(2024, 1, 1)}


@server
def test_a_damaged_schema_is_named(neo4j_store, make):
    make("MERGE (s:TrousseauSchema) SET s.json = '{'")
    with pytest.raises(StoreError, match="saved schema is damaged"):
        neo4j_store.schema()


@server
def test_inspect_drafts_what_read_tables_then_reads(
    neo4j_store, make, prefix, tmp_path
):
    make(
        "CREATE (a:PRECustomer {customerId: 1, name: 'Ann'}), (b:PRECustomer "
        "{customerId: 2, name: 'Bob'}) "
        "CREATE (p:PREProduct {sku: 'p', title: 'Warm hat', price: 3, made: date()}), "
        "(q:PREProduct {sku: 'q'}) "
        "CREATE (o:`PRE Order` {id: 'o'}), (a)-[:PLACED {at: datetime()}]->(o), "
        "(o)-[:CONTAINS {quantity: 2}]->(p), "
        "(a)-[:RATED {stars: 4.5, on: date()}]->(q)"
    )
    labels, links = survey(neo4j_store)
    mine = [x for x in labels if x.name.startswith(prefix)]
    path = tmp_path / "draft.toml"
    path.write_text(
        draft(mine, [x for x in links if x.source.startswith(prefix)]), encoding="utf-8"
    )
    schema = GraphSchema.from_toml(path)
    assert {(n.label.removeprefix(prefix), n.role, n.id) for n in schema.nodes} == {
        ("Customer", "user", "customerId"),
        ("Product", "item", "sku"),
        (" Order", "bundle", "id"),
    }
    assert {(e.relationship, e.role, e.weight, e.time) for e in schema.edges} == {
        ("PLACED", "interaction", "", "at"),
        ("CONTAINS", "membership", "quantity", ""),
        ("RATED", "interaction", "stars", "on"),
    }
    tables = read_tables(neo4j_store, schema)
    assert tables.texts("item" if "item" in tables.nodes else schema.item.name) == [
        "Warm hat",
        "",
    ]
    neo4j_store.write_schema(schema)
    assert inspect(neo4j_store) == schema.to_toml()
