"""Scores of several folds as one."""

from __future__ import annotations

import numpy as np

from eval.bench.report import pooled
from eval.measure.protocol import Scores


def test_folds_are_pooled_with_users_together_and_nobody_apart():
    parts = [
        (
            Scores(
                np.array([3, -1]),
                {"a": {"HR@10": np.array([0.0, 1.0]) + n}},
                {"a": 1.0},
            ),
            {"cold": np.array([n > 0] * 2)},
        )
        for n in range(2)
    ]
    scores, slices = pooled(parts)
    assert scores.values["a"]["HR@10"].tolist() == [0, 1, 1, 2] and scores.seconds == {
        "a": 2.0
    }
    assert slices["cold"].tolist() == [False, False, True, True]
    assert scores.groups[0] == scores.groups[2] and scores.groups[1] != scores.groups[3]
