"""Metapath counts against loops over the events, on small random graphs, and by hand."""

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest

from kg.graph import build_graph
from kg.metapaths.count import count_paths
from kg.metapaths.saved import load_counts, save_counts
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import Tables
from tests.kg.metapaths.loops import (
    CONFIG,
    SEEDS,
    assert_same,
    every_matrix,
    rows,
    together,
)


@pytest.mark.parametrize("seed", SEEDS)
def test_user_item_counts_are_those_of_a_loop(shop, seed):
    graph = build_graph(shop(seed))
    count, recent, last = (np.zeros((6, 14)) for _ in range(3))
    latest = max(time for *_, time in rows(graph.events))
    for user, _, item, time in rows(graph.events):
        if user >= 0:
            worth = 0.5 ** ((latest - time) / 2)
            count[user, item] += 1
            recent[user, item] += worth
            last[user, item] = max(last[user, item], worth)
    counts = count_paths(graph, CONFIG)
    assert (counts.user_item["user-item"].toarray() == count).all()
    assert np.allclose(
        counts.user_item["user-item recent"].toarray(), recent, rtol=1e-6
    )
    assert np.allclose(counts.user_item["user-item last"].toarray(), last, rtol=1e-6)
    profile = recent / np.maximum(recent.sum(1, keepdims=True), 1e-9)
    expected = profile @ counts.item_item["item-bundle-item cosine"].toarray()
    assert np.allclose(
        counts.user_item["user-item-item"].toarray(), expected, rtol=1e-5
    )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("path", ["bundle", "user"])
def test_item_item_counts_are_those_of_a_loop(shop, seed, path):
    graph = build_graph(shop(seed))
    groups = defaultdict(set)
    for user, bundle, item, _ in rows(graph.events):
        if (key := user if path == "user" else bundle) >= 0:
            groups[key].add(item)
    count, degree = together(groups.values(), 14)
    found = count_paths(graph, CONFIG).item_item
    assert (found[f"item-{path}-item"].toarray() == count).all()
    assert np.allclose(
        found[f"item-{path}-item share"].toarray(), count / degree, rtol=1e-6
    )
    cosine = count / np.sqrt(np.outer(degree, degree))
    assert np.allclose(found[f"item-{path}-item cosine"].toarray(), cosine, rtol=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_facts_of_items_and_users_are_those_of_a_loop(shop, seed):
    graph = build_graph(shop(seed))
    events = rows(graph.events)
    counts = count_paths(graph, CONFIG)
    latest = max(time for *_, time in events)
    for item in range(14):
        mine = [e for e in events if e[2] == item]
        takers = {user for user, *_ in mine if user >= 0}
        assert counts.item["popularity"][item] == len(mine)
        assert counts.item["recent popularity"][item] == sum(
            time > latest - 3 for *_, time in mine
        )
        assert counts.item["repeats"][item] == pytest.approx(
            len(mine) / max(len(takers), 1)
        )
    for user in range(6):
        assert counts.user["history"][user] == sum(u == user for u, *_ in events)


@pytest.mark.parametrize("seed", SEEDS)
def test_attribute_paths_are_those_of_a_loop(shop, seed):
    graph = build_graph(shop(seed))
    edge = graph.edges[("item", "by", "brand")]
    values = np.zeros((14, 4))
    values[edge.source, edge.target] = 1
    latest = max(time for *_, time in rows(graph.events))
    users = np.zeros((6, 4))
    bundles: dict[int, set[int]] = defaultdict(set)
    for user, bundle, item, time in rows(graph.events):
        if user >= 0:
            users[user] += values[item] * 0.5 ** ((latest - time) / 2)
        if bundle >= 0:
            bundles[bundle] |= set(np.flatnonzero(values[item]))
    count, degree = together(bundles.values(), 4)
    (found,) = count_paths(graph, CONFIG).attributes
    assert found.name == "by"
    assert (found.items.toarray() == values).all()
    assert np.allclose(found.users.toarray(), users, rtol=1e-6)
    lift = count * len(bundles) / np.outer(degree, degree)
    assert np.allclose(found.together.toarray(), np.log1p(lift), rtol=1e-5)
    assert not found.together.toarray()[3].any()  # nobody takes that brand


def shelf(*bundles):
    """A graph of bundles only, made of items a, b, c, ..."""
    pairs = [(f"b{n}", item) for n, items in enumerate(bundles) for item in items]
    schema = GraphSchema(
        (NodeType("item", "item"), NodeType("bundle", "bundle")),
        (EdgeType("holds", "bundle", "item", "membership"),),
    )
    nodes = {
        "item": sorted({i for _, i in pairs}),
        "bundle": sorted({b for b, _ in pairs}),
    }
    edges = pa.table([list(c) for c in zip(*pairs, strict=True)], ["source", "target"])
    return build_graph(
        Tables(
            schema,
            {k: pa.table({"id": ids}) for k, ids in nodes.items()},
            {"holds": edges},
        )
    )


def test_by_hand_without_users_or_times():
    counts = count_paths(
        shelf("ab", "ab", "ac", "bc", "b")
    )  # a in 3 bundles, b in 4, c in 2
    assert counts.user_item == {} and counts.user == {}
    assert list(counts.item_item) == [
        "item-bundle-item",
        "item-bundle-item share",
        "item-bundle-item cosine",
    ]
    count, share, cosine = (m.toarray() for m in counts.item_item.values())
    assert count.tolist() == [[0, 2, 1], [2, 0, 1], [1, 1, 0]]
    assert share[0, 1] == 2 / 4 and share[1, 0] == pytest.approx(
        2 / 3
    )  # of the target's bundles
    assert cosine[0, 1] == cosine[1, 0] == pytest.approx(2 / np.sqrt(12))
    assert (
        counts.item["recent popularity"].tolist()
        == counts.item["popularity"].tolist()
        == [3, 4, 2]
    )


def test_the_latest_event_counts_whole_and_one_half_life_before_half(shop):
    tables = shop().with_tables(
        edges={
            "bought": pa.table(
                {"source": ["u0"] * 3, "target": ["i0"] * 3, "time": [9.0, 7, 5]}
            ),
            "holds": shop().edges["holds"].slice(0, 0),
        }
    )
    found = count_paths(build_graph(tables), CONFIG).user_item
    assert found["user-item recent"][0, 0] == 1 + 0.5 + 0.25
    assert found["user-item last"][0, 0] == 1


def test_without_times_nothing_decays(shop):
    counts = count_paths(build_graph(shop(timed=False)), CONFIG)
    plain = counts.user_item["user-item"].toarray()
    assert (counts.user_item["user-item recent"].toarray() == plain).all()
    assert (counts.user_item["user-item last"].toarray() == (plain > 0)).all()
    assert (counts.item["recent popularity"] == counts.item["popularity"]).all()


def test_saved_counts_come_back_whatever_the_order_of_names(shop):
    counts = count_paths(build_graph(shop()), CONFIG)
    arrays = save_counts(counts)
    assert_same(load_counts(arrays, CONFIG), counts)
    shuffled = load_counts(dict(sorted(arrays.items(), reverse=True)), CONFIG)
    assert shuffled.config == counts.config
    for name, matrix in every_matrix(counts).items():
        assert (matrix != every_matrix(shuffled)[name]).nnz == 0
