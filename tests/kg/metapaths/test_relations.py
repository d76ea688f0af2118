"""Paths over relations and in the order taken, by hand and by loops."""

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

from kg.graph import build_graph
from kg.metapaths.count import PathConfig, count_paths
from kg.metapaths.ease import ease_weights
from kg.metapaths.relations import WIDE
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


def test_where_no_two_items_share_a_value_nobody_is_kin():
    assert (
        "item-attributes-item"
        not in count_paths(
            library([], [("a", "k1"), ("b", "k2")], [("ann", "a", 0)])
        ).item_item
    )
