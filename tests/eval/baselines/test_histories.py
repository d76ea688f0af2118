"""Histories in order of time, and what none of them knows."""

from __future__ import annotations

import numpy as np
import pytest

from eval.baselines.histories import Histories, unknown_last
from tests.eval.baselines.interactions import (
    A,
    B,
    C,
    history_graph,
    timed,
)


@pytest.fixture(scope="module")
def tiny():
    return history_graph()


def test_histories_are_in_order_of_time(tiny):
    histories = Histories(tiny)
    assert histories.item[:4].tolist() == [A, B, C, A]
    assert histories.age[:4].tolist() == [3, 2, 1, 0]
    assert histories.age[4:7].tolist() == [1, 1, 0]
    assert histories.offsets.tolist() == [0, 4, 7, 7, 9, 10, 10]
    mixed = timed(
        {"u": [("a", 0), ("b", 0), ("c", 0), ("d", 0)]}, [np.nan, 7, np.nan, 3]
    )
    assert Histories(mixed).item.tolist() == [0, 2, 3, 1]
    assert Histories(mixed).age.tolist() == [2, 2, 1, 0]


def test_unknown_items_come_last_whatever_the_sign():
    scores = np.array([[-5, 0, 3, 0], [7, 7, 7, 7]], np.float32)
    known = np.array([[True, False, True, False], [False] * 4])
    found = unknown_last(scores, known, np.array([0, 1, 0, 9], np.float32))
    assert found[0].argsort().tolist() == [1, 3, 0, 2]
    assert found[1].argmax() == 3
