"""Edges looked up where they live, and the queries that show a path."""

from dataclasses import replace

import pyarrow as pa
import pytest

from kg.schema import EdgeType, GraphSchema, NodeType
from kg.stores.base import write_tables
from kg.stores.cypher import literal, path_query, same_id
from kg.stores.embedded import EmbeddedStore
from kg.stores.verify import Edge, look_up
from kg.tables import Tables

NASTY = [
    "it's",
    'a"b',
    "back\\slash",
    "\\u0027 OR 1=1 //",
    "\\\\u0027",
    "`tick`",
    "new\nline",
    "')}) DETACH DELETE n //",
    "ü€",
]


def small(prefix: str = "") -> Tables:
    schema = GraphSchema(
        (
            NodeType("user", "user", f"{prefix}User"),
            NodeType("item", "item", f"{prefix}It'em `x`", id="the id"),
        ),
        (
            EdgeType(
                "took",
                "user",
                "item",
                "interaction",
                "TOOK IT `y`",
                weight="w",
                time="day",
            ),
        ),
    )
    items = pa.table({"id": ["i1", "7", *NASTY]})
    users = pa.table({"id": ["u1", "u2"]})
    rows = [
        ("u1", "i1", 2.0, 1.0),
        ("u1", "7", 1.0, 3.0),
        *(("u2", n, 1.0, 5.0) for n in NASTY),
    ]
    took = pa.table(
        [list(c) for c in zip(*rows, strict=True)],
        ["source", "target", "weight", "time"],
    )
    return Tables(schema, {"user": users, "item": items}, {"took": took})


EXPECTED = {
    Edge("took", "u1", "i1", 2.0, 1.0): "there",
    Edge("took", "u1", "i1", 3.0, 1.0): "changed",
    Edge("took", "u1", "7", 1.0, 4.0): "changed",
    Edge("took", "u2", "i1", 1.0, 1.0): "gone",
    Edge("took", "u9", "none", 1.0, 1.0): "gone",
    **{Edge("took", "u2", name, 1.0, 5.0): "there" for name in NASTY},
}


def test_an_embedded_store_tells_what_has_changed(tmp_path):
    tables, file = small(), str(tmp_path / "g.duckdb")
    with EmbeddedStore(file, create=True) as store:
        write_tables(store, tables)
        assert look_up(store, tables.schema, list(EXPECTED)) == EXPECTED
    assert look_up(file, tables.schema, list(EXPECTED)) == EXPECTED
    assert look_up(file, tables.schema, []) == {}


@pytest.mark.neo4j
def test_neo4j_tells_what_has_changed_and_shows_paths(neo4j_store, prefix):
    tables = small(prefix)
    write_tables(neo4j_store, tables)
    assert look_up(neo4j_store, tables.schema, list(EXPECTED)) == EXPECTED
    for name in ["i1", "7", *NASTY]:
        user = "u1" if name in {"i1", "7"} else "u2"
        query = path_query(
            tables.schema, [("item", name), ("user", user)], [("took", True)]
        )
        (found,) = list(
            neo4j_store.rows(
                query.replace(
                    "RETURN path", "RETURN length(path), nodes(path)[0].`the id`"
                )
            )
        )
        assert found == [1, name]
    bare = GraphSchema(
        tables.schema.nodes, (replace(tables.schema.edge("took"), weight="", time=""),)
    )
    edge = Edge("took", "u1", "i1", None, None)
    assert look_up(neo4j_store, bare, [edge]) == {edge: "there"}
    numbered = (
        f"CREATE (:`{prefix}User` {{id: 12}})-[:`TOOK IT ``y``` {{w: 1, day: 2}}]->"
    )
    neo4j_store._write(f"{numbered}(:{_label(prefix)} {{`the id`: 34}})", None)
    query = path_query(
        tables.schema, [("user", "12"), ("item", "34")], [("took", False)]
    )
    assert len(list(neo4j_store.rows(query))) == 1
    edge = Edge("took", "12", "34", 1.0, 2.0)
    assert look_up(neo4j_store, tables.schema, [edge]) == {edge: "there"}
    dated = replace(tables.schema.edge("took"), weight="")
    neo4j_store._write(
        f"MATCH (a:`{prefix}User` {{id: 12}})-[r]->() SET r.day = date('1970-01-04')",
        None,
    )
    schema = GraphSchema(tables.schema.nodes, (dated,))
    edge = Edge("took", "12", "34", None, 3.0)
    assert look_up(neo4j_store, schema, [edge]) == {edge: "there"}


def _label(prefix: str) -> str:
    return f"`{prefix}It'em ``x```"


def test_literals_can_be_nothing_else():
    assert literal("it's") == "'it\\'s'"
    assert "\\u" not in literal("\\u0027") and "\\u" not in literal("\\\\u0027")
    assert same_id("n.id", "7") == "n.id IN ['7', 7]"
    assert same_id("n.id", "007") == "n.id IN ['007']"
    assert same_id("n.id", "-0") == "n.id IN ['-0']"
