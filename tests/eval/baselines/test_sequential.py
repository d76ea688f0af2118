"""Decay and transitions on histories counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from eval.baselines.counts import ItemKNN
from eval.baselines.sequential import DecayedItemKNN, Transitions
from tests.eval.baselines.interactions import (
    A,
    B,
    C,
    D,
    checkerboard_queries,
    history_graph,
    snapshot,
)
from tests.eval.baselines.queries import query


@pytest.fixture(scope="module")
def tiny():
    return history_graph()


def test_transitions_by_hand(tiny):
    # u: a b c a, v: {a, c} then d, x: b c. From c: u to a 1, v to d 1. From b: u to c 1 and a
    # 1/2, x to c 1.
    model = Transitions(tiny, decay=0.5)
    expected = np.zeros((6, 6))
    expected[A, [A, B, C, D]] = [1 / 3, 1, 1 / 2, 1]
    expected[B, [A, C]] = [1 / 2, 2]
    expected[C, [A, D]] = [1, 1]
    np.testing.assert_allclose(model.next.toarray(), expected, atol=1e-6)
    scores = model.score(
        query((-1, [B, C], ""), (-1, [C, B], ""), (3, [], ""), (0, [], ""), (1, [], ""))
    )
    np.testing.assert_allclose(scores[0], expected[C] + expected[B] / 2, atol=2e-3)
    np.testing.assert_allclose(scores[1], expected[B] + expected[C] / 2, atol=2e-3)
    np.testing.assert_allclose(scores[2], expected[C] + expected[B] / 2, atol=2e-3)
    # The a that u took first and last counts from the last; v took a and c together, before d,
    # which leads nowhere.
    np.testing.assert_allclose(
        scores[3], expected[A] + expected[C] / 2 + expected[B] / 4, atol=2e-3
    )
    np.testing.assert_allclose(scores[4], (expected[A] + expected[C]) / 2, atol=2e-3)
    assert scores[0, A] > scores[0, D]


def test_transitions_reach_only_so_far(tiny):
    np.testing.assert_allclose(
        Transitions(tiny, window=1).next.toarray()[A], [0, 1, 0, 1, 0, 0]
    )
    assert np.diff(Transitions(tiny, keep=1).next.indptr).max() == 1
    together = (
        Transitions(tiny, together=0.25).next.toarray()
        - Transitions(tiny).next.toarray()
    )
    assert np.argwhere(abs(together) > 1e-6).tolist() == [[A, C], [C, A]]
    assert together[A, C] == 0.25


def test_decay_goes_by_place_and_by_moment(tiny):
    model = DecayedItemKNN(tiny, decay=0.5)
    near = model.similar.toarray()
    scores = model.score(query((-1, [D, B, D], ""), (0, [], ""), (1, [], "")))
    np.testing.assert_allclose(scores[0], near[D] + near[B] / 2, atol=2e-3)
    np.testing.assert_allclose(
        scores[1], near[A] + near[C] / 2 + near[B] / 4, atol=2e-3
    )
    np.testing.assert_allclose(scores[2], near[D] + (near[A] + near[C]) / 2, atol=2e-3)


def test_without_decay_it_is_item_knn(tiny):
    queries = query((-1, [D, B, D], ""), (0, [], ""), (1, [A], ""), (-1, [], ""))
    np.testing.assert_allclose(
        DecayedItemKNN(tiny, decay=1.0).score(queries), ItemKNN(tiny).score(queries)
    )


def test_what_lies_long_ago_still_comes_before_the_unknown():
    took = {
        "u": [("a", 0)] + [("z", t) for t in range(1, 400)],
        "v": [("a", 0), ("b", 1)],
        "x": [("c", 0), ("c", 1)],
    }
    scores = DecayedItemKNN(snapshot(took, "uvx", "abcz"), decay=0.5).score(
        query((0, [], ""))
    )[0]
    assert scores[1] > scores[2] > 0


def test_transitions_stay_on_their_colour():
    graph, queries = checkerboard_queries("user")
    scores = Transitions(graph).score(queries)
    for b, row in enumerate(scores):
        row[queries.context[b]] = -np.inf
        assert row.argmax() == queries.targets[b][0]
