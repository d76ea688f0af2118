"""Paths over relations and in the order taken, by hand and by loops."""

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

from kg.counterfactual.index import QueryItemPair
from kg.counterfactual.recount import Recount
from kg.graph import build_graph
from kg.metapaths.count import PathConfig, count_paths, widen
from kg.metapaths.ease import ease_weights
from kg.metapaths.relations import WIDE, counted_as_one
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import Tables

BOOKS = WIDE * 3


def library(read, holds, took, like=()):
    """Readers, lists of books, and what is like what; took is (reader, list, when)."""
    schema = GraphSchema(
        (
            NodeType("reader", "user"),
            NodeType("list", "item"),
            NodeType("book", "attribute"),
        ),
        (
            EdgeType("took", "reader", "list", "interaction", time="when"),
            EdgeType("read", "reader", "book", "relation"),
            EdgeType("holds", "list", "book", "relation"),
            EdgeType("like", "list", "list", "relation"),
        ),
    )

    def pairs(edges):
        ends = zip(*((a, b) for a, b, *_ in edges), strict=True) if edges else ((), ())
        return {
            end: pa.array(list(ids), pa.string())
            for end, ids in zip(("source", "target"), ends, strict=True)
        }

    edges = {
        "took": pa.table(
            pairs(took) | {"time": pa.array([float(e[2]) for e in took], pa.float64())}
        )
    }
    edges |= {
        name: pa.table(pairs(e))
        for name, e in (("read", read), ("holds", holds), ("like", like))
    }
    ids = {
        "reader": ["ann", "bob"],
        "list": ["a", "b", "c", "d"],
        "book": [f"k{n}" for n in range(BOOKS)],
    }
    return build_graph(
        Tables(
            schema,
            {name: pa.table({"id": pa.array(i)}) for name, i in ids.items()},
            edges,
        )
    )


def wide(*shared):
    """List a holds every book; the others the given books."""
    every = [("a", f"k{n}") for n in range(BOOKS)]
    return every + [
        (name, f"k{n}")
        for name, books in zip("bcd", shared, strict=False)
        for n in books
    ]


TOOK = [
    ("ann", "a", 0),
    ("ann", "b", 1),
    ("ann", "c", 1),
    ("ann", "d", 5),
    ("bob", "a", 2),
    ("bob", "b", 3),
]


def test_what_follows_is_counted_by_distance_and_not_among_equals():
    counts = count_paths(library([], [], TOOK)).item_item
    after = counts["item-next-item"].toarray()
    expected: dict[tuple[int, ...], float] = defaultdict(float)
    ann, bob = "abcd", "ab"  # b and c at one moment: neither follows the other
    when = {("ann", i): t for _, i, t in TOOK[:4]} | {
        ("bob", i): t for _, i, t in TOOK[4:]
    }
    for who, taken in (("ann", ann), ("bob", bob)):
        for x, first in enumerate(taken):
            for y in range(x + 1, min(x + 4, len(taken))):
                if when[who, first] < when[who, taken[y]]:
                    expected["abcd".index(first), "abcd".index(taken[y])] += 1 / (y - x)
    for place in np.ndindex(4, 4):
        assert after[place] == pytest.approx(expected[place]), place
    assert after[0, 1] == 2 and after[1, 0] == 0


def test_without_two_moments_there_is_no_next():
    graph = library([], [], [(who, what, 1) for who, what, _ in TOOK])
    assert not [name for name in count_paths(graph).item_item if "next" in name]


def test_many_values_are_counted_from_item_to_item():
    few = [(name, f"k{n}") for n, name in enumerate("abcd")]
    assert [path.name for path in count_paths(library([], few, TOOK)).attributes] == [
        "holds"
    ]
    counts = count_paths(library([], wide(range(WIDE), range(WIDE), range(WIDE)), TOOK))
    assert counts.attributes == []
    cosine = counts.item_item["item-book-item cosine"].toarray()
    assert cosine[1, 2] == pytest.approx(1) and cosine[0, 1] == pytest.approx(
        WIDE / np.sqrt(WIDE * BOOKS)
    )
    assert not cosine.diagonal().any()


def test_relations_between_items_go_both_ways():
    counts = count_paths(library([], [], TOOK, [("a", "c"), ("b", "c")])).item_item
    assert counts["item-like-item"].toarray().nonzero()[0].tolist() == [0, 1]
    assert (
        counts["item-like-item reverse"].toarray()
        == counts["item-like-item"].toarray().T
    ).all()


def test_a_user_reaches_items_through_what_both_are_related_to():
    counts = count_paths(
        library(
            [("ann", "k0"), ("ann", "k1"), ("bob", "k1")], wide([0, 1], [1], []), TOOK
        )
    ).user_item
    assert counts["user-book-item"].toarray().tolist() == [[2, 2, 1, 0], [1, 1, 1, 0]]
    through = counts["user-book-user-item"].toarray()
    # Both read k1, so bob reaches c and d, which ann alone took; a counts for both takers,
    # over the root of two.
    assert through[1, 2] == pytest.approx(through[1, 3]) and through[1, 2] > 0
    rare = np.log1p([2, 1])
    ann = rare / np.linalg.norm(rare)
    assert through[1, 2] == pytest.approx(ann[1], rel=1e-5)
    assert through[1, 0] == pytest.approx((ann[1] + 1) / np.sqrt(2), rel=1e-5)


def test_ease_is_the_closed_form():
    graph = library([], [], TOOK)
    x = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], float)
    inverse = np.linalg.inv(x.T @ x + 2 * np.eye(4))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    assert np.allclose(
        ease_weights(sp.csr_matrix(x.astype(np.float32)), 2.0), expected, atol=1e-5
    )
    counted = (
        count_paths(graph, PathConfig(ease=2.0)).item_item["item-item ease"].toarray()
    )
    assert np.allclose(counted, np.maximum(expected, 0), atol=1e-5)


def wardrobe(seed=0, items=40, fewer=()):
    """Things with a kind, a colour and what they are for, drawn at random; and who took what."""
    rng = np.random.default_rng(seed)
    schema = GraphSchema(
        (
            NodeType("shopper", "user"),
            NodeType("thing", "item"),
            NodeType("kind", "attribute"),
            NodeType("colour", "attribute"),
        ),
        (
            EdgeType("took", "shopper", "thing", "interaction"),
            EdgeType("is_a", "thing", "kind", "relation"),
            EdgeType("in_colour", "thing", "colour", "relation"),
        ),
    )
    things = [f"t{n:02}" for n in range(items)]
    nodes = {
        "thing": things,
        "shopper": ["s0", "s1"],
        "kind": [f"k{n}" for n in range(15)],
        "colour": [f"c{n}" for n in range(20)],
    }
    took = sorted(
        {(f"s{rng.integers(2)}", things[rng.integers(items - 5)]) for _ in range(30)}
    )
    edges = {
        "took": took,
        "is_a": [(t, f"k{rng.integers(15)}") for t in things],
        "in_colour": sorted(
            {(t, f"c{rng.integers(20)}") for t in things for _ in range(2)}
        ),
    }
    edges = {
        name: [pair for pair in pairs if pair not in fewer]
        for name, pairs in edges.items()
    }
    tables = {
        n: pa.table(
            dict(
                zip(("source", "target"), map(list, zip(*e, strict=True)), strict=True)
            )
        )
        for n, e in edges.items()
    }
    return Tables(
        schema, {name: pa.table({"id": ids}) for name, ids in nodes.items()}, tables
    )


def test_kin_share_rare_values_and_sell():
    graph = build_graph(wardrobe())
    found = count_paths(graph).item_item["item-attributes-item"].toarray()
    popularity = np.bincount(graph.events.item, minlength=40)
    expected, left_out = np.zeros((40, 40)), 0
    for relation in ("is_a", "in_colour"):
        (edge,) = [e for (_, name, _), e in graph.edges.items() if name == relation]
        members = defaultdict(set)
        for thing, value in zip(edge.source, edge.target, strict=True):
            members[value].add(thing)
        for things in members.values():
            if len(things) > 4:  # a tenth of the items
                left_out += 1
                continue
            for a in things:
                for b in things - {a}:
                    expected[a, b] += np.log(40 / len(things)) * (
                        0.5 + np.log1p(popularity[b])
                    )
    assert left_out and (expected[:, popularity == 0] > 0).any()
    assert np.allclose(found, expected, rtol=1e-5)
    few = count_paths(graph, PathConfig(keep=2)).item_item["item-attributes-item"]
    assert np.diff(few.indptr).max() == 2
    assert np.allclose(few.max(axis=1).toarray()[:, 0], expected.max(axis=1), rtol=1e-5)


def test_where_no_two_items_share_a_value_nobody_is_kin():
    assert (
        "item-attributes-item"
        not in count_paths(
            library([], [("a", "k1"), ("b", "k2")], [("ann", "a", 0)])
        ).item_item
    )


def test_a_new_item_has_kin_at_once():
    tables = wardrobe()
    counts = count_paths(build_graph(tables))
    nodes = {
        "thing": pa.concat_tables([tables.nodes["thing"], pa.table({"id": ["new"]})])
    }
    kind = tables.edges["is_a"]["target"][0].as_py()
    edges = {
        "is_a": pa.concat_tables(
            [tables.edges["is_a"], pa.table({"source": ["new"], "target": [kind]})]
        )
    }
    graph = build_graph(tables.with_tables(nodes, edges))
    wide, whole = (
        widen(counts, graph).item_item["item-attributes-item"],
        count_paths(graph).item_item["item-attributes-item"],
    )
    assert (
        np.allclose(wide.toarray(), whole.toarray())
        and wide[0, 40] > 0
        and wide[40, 0] > 0
    )
    assert (
        np.diff(wide.indptr)[:40]
        > np.diff(counts.item_item["item-attributes-item"].indptr)
    ).any()  # in nobody's place


def test_a_new_item_brings_no_path_that_nothing_was_trained_on():
    tables = wardrobe(items=10)
    own = {
        name: pa.table(
            {
                "source": [f"t{n:02}" for n in range(10)],
                "target": [f"{name[0]}{n}" for n in range(10)],
            }
        )
        for name in ("kind", "colour")
    }
    tables = tables.with_tables({}, {"is_a": own["kind"], "in_colour": own["colour"]})
    counts = count_paths(build_graph(tables))
    assert "item-attributes-item" not in counts.item_item
    nodes = {
        "thing": pa.concat_tables([tables.nodes["thing"], pa.table({"id": ["new"]})])
    }
    edges = {
        "is_a": pa.concat_tables(
            [tables.edges["is_a"], pa.table({"source": ["new"], "target": ["k0"]})]
        )
    }
    assert (
        widen(counts, build_graph(tables.with_tables(nodes, edges))).item_item.keys()
        == counts.item_item.keys()
    )


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
