"""Relations that share their ends, or a name with another path, are counted apart."""

import numpy as np
import pyarrow as pa
import pytest

from kg.counterfactual.index import QueryItemPair
from kg.counterfactual.recount import Recount
from kg.graph import build_graph
from kg.metapaths.count import count_paths
from kg.metapaths.relations import counted_as_one
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import Tables


def brands(*more):
    """Two users, three items of a brand each, and more relations: (name, source role, pairs)."""
    sizes = {"user": 2, "item": 3, "brand": 3}
    schema = GraphSchema(
        (
            NodeType("user", "user"),
            NodeType("item", "item"),
            NodeType("brand", "attribute"),
        ),
        (
            EdgeType("bought", "user", "item", "interaction"),
            EdgeType("made_by", "item", "brand", "relation"),
            *(EdgeType(name, source, "brand", "relation") for name, source, _ in more),
        ),
    )
    pairs = {
        "bought": [("u0", "i2"), ("u1", "i1")],
        "made_by": [("i0", "b0"), ("i1", "b1"), ("i2", "b2")],
    }
    pairs |= {name: some for name, _, some in more}
    edges = {
        name: pa.table(
            [list(ends) for ends in zip(*some, strict=True)], ["source", "target"]
        )
        for name, some in pairs.items()
    }
    nodes = {
        name: pa.table({"id": [f"{name[0]}{n}" for n in range(size)]})
        for name, size in sizes.items()
    }
    return build_graph(Tables(schema, nodes, edges))


FOLLOWS, BLOCKED = (
    ("follows", "user", [("u0", "b0")]),
    ("blocked", "user", [("u0", "b1"), ("u1", "b1")]),
)
FITS = ("fits", "item", [("i2", "b0"), ("i2", "b1")])


def through_brands(*more):
    """The counts over brands, by name."""
    counts = count_paths(brands(*more))
    assert not counted_as_one(brands(*more).schema) & {
        *counts.user_item,
        *counts.item_item,
    }
    return {
        name: m.toarray().tolist()
        for name, m in counts.user_item.items()
        if "brand" in name
    }


def test_two_relations_of_users_to_one_type_are_counted_apart():
    alone = {relation[0]: through_brands(relation) for relation in (FOLLOWS, BLOCKED)}
    ends = ("item", "item cosine", "user-item")
    assert all(
        list(found) == [f"user-brand-{end}" for end in ends] for found in alone.values()
    )
    assert alone["follows"]["user-brand-item"] == [[1, 0, 0], [0, 0, 0]]
    assert alone["blocked"]["user-brand-item"] == [[0, 1, 0], [0, 1, 0]]
    assert through_brands(FOLLOWS, BLOCKED) == {
        f"user-{name}-brand-{end}": alone[name][f"user-brand-{end}"]
        for name in alone
        for end in ends
    }


def test_two_relations_of_items_to_one_type_are_counted_apart():
    both = through_brands(FOLLOWS, FITS)
    assert both["user-brand-made_by-item"] == [[1, 0, 0], [0, 0, 0]]
    assert both["user-brand-fits-item"] == [[0, 0, 1], [0, 0, 0]]
    assert (
        both["user-brand-user-item"] == through_brands(FOLLOWS)["user-brand-user-item"]
    )
    assert len(both) == 5 and len(through_brands(FOLLOWS, BLOCKED, FITS)) == 10
    assert through_brands(FOLLOWS, BLOCKED, FITS)["user-blocked-brand-fits-item"] == [
        [0, 0, 1],
        [0, 0, 1],
    ]


def test_two_relations_of_many_values_are_counted_apart(monkeypatch):
    monkeypatch.setattr("kg.metapaths.relations.WIDE", 0)
    worn = ("worn_by", "item", [("i0", "b0"), ("i1", "b0"), ("i1", "b1")])
    assert "item-brand-item cosine" in count_paths(brands()).item_item
    found = count_paths(brands(FITS, worn)).item_item
    assert [name for name in found if "brand" in name] == [
        f"item-{name}-brand-item cosine" for name in ("made_by", "fits", "worn_by")
    ]
    assert found["item-worn_by-brand-item cosine"].toarray()[0, 1] == pytest.approx(
        np.sqrt(0.5)
    )
    assert (
        not found["item-made_by-brand-item cosine"].nnz
        and not found["item-fits-brand-item cosine"].nnz
    )


def test_what_an_earlier_version_counted_as_one_is_known_by_its_name():
    assert counted_as_one(brands(FOLLOWS).schema) == set()
    assert counted_as_one(brands(FOLLOWS, BLOCKED).schema) == {
        "user-brand-item",
        "user-brand-user-item",
    }
    assert counted_as_one(brands(FITS).schema) == {
        "user-brand-item",
        "item-brand-item cosine",
    }


@pytest.mark.parametrize("name", ["user", "next", "kin"])
def test_a_relation_may_be_called_as_another_path_is(name):
    def counted(called):
        schema = GraphSchema(
            (
                NodeType("who", "user"),
                NodeType("item", "item"),
                NodeType("brand", "attribute"),
            ),
            (
                EdgeType("took", "who", "item", "interaction", time="time"),
                EdgeType("of", "item", "brand", "relation"),
                EdgeType(called, "item", "item", "relation"),
            ),
        )
        nodes = {"who": ["w0", "w1"], "item": ["i0", "i1", "i2"], "brand": ["b0"]}
        took = [
            ("w0", "w0", "w1", "w1"),
            ("i0", "i1", "i0", "i2"),
            (1.0, 2.0, 1.0, 2.0),
        ]
        edges = {
            "took": pa.table(
                [list(column) for column in took], ["source", "target", "time"]
            ),
            "of": pa.table({"source": ["i0", "i1"], "target": ["b0", "b0"]}),
            called: pa.table({"source": ["i2"], "target": ["i1"]}),
        }
        graph = build_graph(
            Tables(
                schema, {n: pa.table({"id": ids}) for n, ids in nodes.items()}, edges
            )
        )
        counts = count_paths(graph)
        place = QueryItemPair(0, np.array([0, 2]), 1)
        again = Recount(graph, counts).count(place, {called: np.array([0])}).item_item
        return {n: m.toarray().tolist() for n, m in counts.item_item.items()}, {
            n: v.tolist() for n, v in again.items()
        }

    (plain, recounted), (same, again) = counted("fits"), counted(name)
    assert plain["item-fits-item"] == [[0, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert recounted["item-fits-item"] == [0, 0]
    assert {
        n.replace("fits", f"{name} in graph"): found for n, found in plain.items()
    } == same
    assert {
        n.replace("fits", f"{name} in graph"): found for n, found in recounted.items()
    } == again
