"""What users take, rebuilt from its singular vectors, against numpy's own decomposition."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from kg.counterfactual.index import QueryItemPair
from kg.counterfactual.recount import Recount
from kg.events import events_of
from kg.graph import build_graph
from kg.metapaths.count import PathConfig, count_paths
from kg.metapaths.svd import PURESVD, item_factors, rebuilt

ITEMS, USERS, RANK = 14, 6, 4


@pytest.fixture(params=range(3))
def taken(request):
    rng = np.random.default_rng(request.param)
    return sp.csr_matrix(rng.poisson(0.6, (USERS + 3, ITEMS)), dtype=np.float32)


def dense(counts):
    """The same by a whole decomposition: what is taken has no score, and none is negative."""
    ratings = np.log1p(counts.toarray())
    right = np.linalg.svd(ratings)[2][:RANK]
    return np.where(counts.toarray() > 0, 0, np.maximum(ratings @ right.T @ right, 0))


@pytest.mark.parametrize("cells", [0, 1000])
def test_scores_are_those_of_a_whole_decomposition(taken, cells, monkeypatch):
    monkeypatch.setattr("kg.metapaths.svd.DENSE", cells)
    found = rebuilt(taken, item_factors(taken, RANK), ITEMS)
    np.testing.assert_allclose(found.toarray(), dense(taken), atol=1e-5)
    assert found.nnz


@pytest.mark.parametrize("block", [1, 40])
def test_the_strongest_of_each_user_stay_whatever_the_blocks(taken, block, monkeypatch):
    monkeypatch.setattr("kg.metapaths.svd.BLOCK", block)
    found, expected = (
        rebuilt(taken, item_factors(taken, RANK), 2).toarray(),
        dense(taken),
    )
    expected[expected < np.sort(expected)[:, [-2]]] = 0
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("cells", [0, 1000])
def test_who_and_what_comes_later_leaves_the_vectors_as_they_are(
    taken, cells, monkeypatch
):
    monkeypatch.setattr("kg.metapaths.svd.DENSE", cells)
    wide = taken.copy()
    wide.resize((taken.shape[0] + 3, ITEMS + 2))
    found, after = item_factors(taken, RANK), item_factors(wide, RANK)
    np.testing.assert_array_equal(after[:ITEMS], found)
    assert found.any() and not after[ITEMS:].any()


def test_where_fewer_vectors_mean_something_the_others_are_empty():
    alike = sp.csr_matrix(np.outer([1, 2, 1, 3, 1], np.ones(4)), dtype=np.float32)
    found = item_factors(alike, 3)
    assert found.shape == (4, 3) and np.count_nonzero(found.any(axis=0)) == 1


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (3, 4)])
def test_of_nothing_there_is_nothing(shape):
    nothing = sp.csr_matrix(shape, dtype=np.float32)
    found = rebuilt(nothing, item_factors(nothing, 8), 3)
    assert found.shape == shape and not found.nnz


@pytest.mark.parametrize("seed", range(3))
def test_a_recount_keeps_the_vectors_and_counts_what_the_user_still_has(shop, seed):
    graph = build_graph(shop(seed))
    counts = count_paths(graph, PathConfig(keep=1000, rank=RANK))
    recount, vectors = (
        Recount(graph, counts),
        item_factors(counts.user_item["user-item"], RANK),
    )
    np.testing.assert_array_equal(recount.factors, vectors)
    (name,) = [key[1] for key in graph.edges if key[1] == "bought"]
    (edge,) = [e for key, e in graph.edges.items() if key[1] == name]
    rng, moved = np.random.default_rng(seed), 0
    for user in range(USERS):
        cut = {
            name: np.flatnonzero((edge.source == user) & (rng.random(len(edge)) < 0.7))
        }
        edges = {
            key: e.take(np.setdiff1d(np.arange(len(e)), cut.get(key[1], [])))
            for key, e in graph.edges.items()
        }
        events = events_of(graph.schema, graph.vocabs, edges, graph.events.words)
        after = count_paths(replace(graph, edges=edges, events=events)).user_item[
            "user-item"
        ][[user]]
        was = counts.user_item[PURESVD].toarray()[user]
        now = np.maximum(np.log1p(after.toarray()) @ vectors @ vectors.T, 0)[0]
        may = (was > 0) | (
            counts.user_item["user-item"].toarray()[user] > 0
        )  # what was pruned stays out
        for item in range(ITEMS):
            place = QueryItemPair(user, np.zeros(0, np.int64), item)
            assert recount.count(place, {}).user_item[PURESVD] == pytest.approx(
                was[item], abs=1e-5
            )
            expected = now[item] if may[item] and not after.toarray()[0, item] else 0
            assert recount.count(place, cut).user_item[PURESVD] == pytest.approx(
                expected, abs=1e-5
            )
            moved += abs(expected - was[item]) > 1e-3
    assert moved
    assert (
        recount.count(QueryItemPair(-1, np.zeros(0, np.int64), 0), {}).user_item.get(
            PURESVD, 0.0
        )
        == 0
    )
