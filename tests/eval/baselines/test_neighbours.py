"""UserKNN on histories counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from eval.baselines.neighbours import UserKNN
from tests.eval.baselines.interactions import (
    A,
    B,
    C,
    D,
    E,
    F,
    history_graph,
    snapshot,
)
from tests.eval.baselines.queries import query


@pytest.fixture(scope="module")
def tiny():
    return history_graph()


def test_user_knn_by_hand(tiny):
    one, two = np.log(2), np.log(3)
    length = {
        "u": np.hypot(two, np.hypot(one, one)),
        "v": one * np.sqrt(3),
        "x": one * np.sqrt(2),
    }
    mean = {"u": (two + 2 * one) / 6, "v": 3 * one / 6, "x": 2 * one / 6}
    to_v = (two * one + one * one) / (length["u"] * length["v"])  # a and c
    to_x = 2 * one * one / (length["u"] * length["x"])  # b and c
    below = to_v + to_x
    own = mean["u"]
    expected = [
        own + to_v * (one - mean["v"]) / below,
        own + to_x * (one - mean["x"]) / below,
        own + (to_v * (one - mean["v"]) + to_x * (one - mean["x"])) / below,
        own + to_v * (one - mean["v"]) / below,
    ]
    row = UserKNN(tiny).score(query((0, [], "")))[0]
    np.testing.assert_allclose(row[:4], expected, atol=2e-6)
    assert row[A] > row[D], "both v's alone; a is more popular"
    assert row[D] > row[E] > row[F], "no neighbour took e or f"


def test_user_knn_asks_with_what_is_at_hand(tiny):
    one = np.log(2)
    # b alone: u and x took it; u's ratings are log 3, log 2 and log 2.
    u, x = one / np.hypot(np.log(3), np.hypot(one, one)), 1 / np.sqrt(2)
    row = UserKNN(tiny).score(query((-1, [B], "")))[0]
    mean_u, mean_x = (np.log(3) + 2 * one) / 6, 2 * one / 6
    np.testing.assert_allclose(
        row[A], one / 6 + u * (np.log(3) - mean_u) / (u + x), atol=2e-6
    )
    np.testing.assert_allclose(
        row[B], one / 6 + (u * (one - mean_u) + x * (one - mean_x)) / (u + x), atol=2e-6
    )
    nearest = UserKNN(tiny, neighbours=1).score(query((-1, [B], "")))[0]
    np.testing.assert_allclose(nearest[B], one / 6 + one - mean_x, atol=2e-6)
    assert nearest[C] > nearest[A], "x, the nearest, took no a"
    # At hand with a, x has taken a, b and c once each; of the others only v took d.
    u = (np.log(3) + 2 * one) / (np.sqrt(3) * np.hypot(np.log(3), np.hypot(one, one)))
    v = 2 / 3
    row = UserKNN(tiny).score(query((3, [A], "")))[0]
    np.testing.assert_allclose(
        row[D], one / 2 + v * (one - one / 2) / (u + v), atol=2e-6
    )
    alike = UserKNN(tiny).score(query((2, [B], ""), (-1, [B], "")))
    np.testing.assert_array_equal(alike[0], alike[1], err_msg="w took nothing")


def test_user_knn_shrinks_short_histories():
    graph = snapshot(
        {
            "u": [("a", 0), ("b", 0)],
            "v": [("a", 0), ("b", 0), ("c", 0)],
            "x": [("a", 0), ("d", 0)],
        },
        "uvx",
        "abcd",
    )
    row = UserKNN(graph, shrink=1.0).score(query((0, [], "")))[0]
    one = np.log(2)
    v, x = 2 * one**2 / (np.sqrt(6) * one**2 + 1), one**2 / (2 * one**2 + 1)
    np.testing.assert_allclose(
        row[3], one / 2 + x * (one - one / 2) / (v + x), atol=2e-6
    )


def test_over_the_items_taken_alone_equal_counts_say_nothing():
    graph = snapshot(
        {"u": [("a", 0), ("b", 0)], "v": [("a", 0), ("c", 0)], "x": [("d", 0)]},
        "uvx",
        "abcd",
    )
    taken = UserKNN(graph, mean="interacted").score(query((0, [], "")))[0]
    np.testing.assert_allclose(taken[[0, 2]], np.log(2), atol=2e-6)
