"""What user-kNN take, against loops, and recounted without some edges."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from kg.counterfactual.index import QueryItemPair
from kg.counterfactual.recount import Recount
from kg.events import events_of
from kg.graph import build_graph
from kg.metapaths.count import PathConfig, count_paths
from kg.metapaths.knn import NEAR, by_neighbours

ITEMS, USERS = 14, 6


@pytest.fixture(params=range(3))
def taken(request):
    rng = np.random.default_rng(request.param)
    counts = rng.poisson(0.6, (USERS + 3, ITEMS))
    counts[4] = 0  # somebody who took nothing
    return sp.csr_matrix(counts, dtype=np.float32)


def loops(counts, most):
    """User by user, item by item."""
    ratings = np.log1p(counts.toarray().astype(float))
    found = np.zeros_like(ratings)
    for u, own in enumerate(ratings):
        near = {}
        for v, other in enumerate(ratings):
            if u != v and own @ other > 0:
                near[v] = own @ other / np.sqrt((own @ own) * (other @ other))
        near = dict(sorted(near.items(), key=lambda pair: -pair[1])[:most])
        for item in np.flatnonzero(own == 0):
            found[u, item] = sum(s * ratings[v, item] for v, s in near.items()) / max(
                sum(near.values()), 1e-9
            )
    return found


@pytest.mark.parametrize("most", [1, 3, 100])
@pytest.mark.parametrize("block", [1, 40, 10**6])
def test_scores_are_those_of_a_loop_whatever_the_blocks(
    taken, most, block, monkeypatch
):
    monkeypatch.setattr("kg.metapaths.knn.BLOCK", block)
    found = by_neighbours(taken, most, ITEMS)
    np.testing.assert_allclose(found.toarray(), loops(taken, most), atol=1e-5)
    assert found.nnz and not found[[4]].nnz


def test_the_strongest_of_each_user_stay(taken):
    found, expected = by_neighbours(taken, 3, 2).toarray(), loops(taken, 3)
    assert ((found > 0).sum(1) <= 2).all()
    np.testing.assert_allclose(
        np.sort(found, 1)[:, -2:], np.sort(expected, 1)[:, -2:], atol=1e-5
    )


@pytest.mark.parametrize("shape", [(1, 5), (0, 4), (3, 4)])
def test_of_nothing_there_is_nothing(shape):
    found = by_neighbours(sp.csr_matrix(shape, dtype=np.float32), 8, 3)
    assert found.shape == shape and not found.nnz


@pytest.mark.parametrize("most", [2, 100])
@pytest.mark.parametrize("edges", ["bought", "holds"])
@pytest.mark.parametrize("seed", range(3))
def test_a_recount_keeps_who_is_near_and_counts_anew_how_near(shop, seed, edges, most):
    graph = build_graph(shop(seed))
    counts = count_paths(graph, PathConfig(keep=1000, neighbours=most))
    recount, times = Recount(graph, counts), counts.user_item["user-item"].toarray()
    ((key, edge),) = [(key, e) for key, e in graph.edges.items() if key[1] == edges]
    rng, moved = np.random.default_rng(seed), 0
    for _ in range(6):
        cut = {edges: rng.choice(len(edge), len(edge) // 3, replace=False)}
        left = {
            **graph.edges,
            key: edge.take(np.setdiff1d(np.arange(len(edge)), cut[edges])),
        }
        events = events_of(graph.schema, graph.vocabs, left, graph.events.words)
        after = (
            count_paths(replace(graph, edges=left, events=events))
            .user_item["user-item"]
            .toarray()
        )
        for user in range(USERS):
            was, near = counts.user_item[NEAR].toarray()[user], recount.near(user)[1:]
            assert len(near) == len(set(near.tolist()) - {user}) <= most
            unit = np.log1p(after) / np.maximum(
                np.linalg.norm(np.log1p(after), axis=1, keepdims=True), 1e-9
            )
            share = unit[near] @ unit[user]
            now = share @ np.log1p(after[near]) / max(share.sum(), 1e-9)
            now[(after[user] > 0) | ((was == 0) & (times[user] == 0))] = (
                0  # what was pruned stays out
            )
            for item in range(ITEMS):
                place = QueryItemPair(user, np.zeros(0, np.int64), item)
                assert recount.count(place, {}).user_item[NEAR] == pytest.approx(
                    was[item], abs=1e-5
                )
                assert recount.count(place, cut).user_item[NEAR] == pytest.approx(
                    now[item], abs=1e-5
                )
                moved += abs(now[item] - was[item]) > 1e-3
    assert moved
    assert (
        recount.count(QueryItemPair(-1, np.zeros(0, np.int64), 0), {}).user_item[NEAR]
        == 0
    )
