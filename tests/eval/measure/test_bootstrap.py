"""The bootstrap against what theory says of it."""

from __future__ import annotations

import numpy as np
import pytest

import eval.measure.bootstrap as bootstrap
from eval.measure.bootstrap import Interval, intervals, mean_interval, paired_interval


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        values = rng.normal(3, 1, 100)
        found = mean_interval(values, np.arange(100), draws=300, seed=seed)
        held += found.low <= 3 <= found.high
        assert found.mean == pytest.approx(values.mean())
    assert 180 <= held <= 199  # 95 % of 200, three standard errors either side


def test_the_width_is_that_of_the_normal_approximation():
    values = np.random.default_rng(1).normal(0, 2, 4000)
    assert mean_interval(values, np.arange(4000)).half == pytest.approx(
        1.96 * 2 / np.sqrt(4000), rel=0.08
    )
    narrow = mean_interval(values, np.arange(4000), level=0.5)
    assert narrow.half == pytest.approx(0.674 * 2 / np.sqrt(4000), rel=0.1)


def test_whole_groups_are_drawn():
    # 50 users of 20 identical queries each are 50 observations, not 1,000.
    users = np.random.default_rng(2).normal(0, 1, 50)
    values, groups = np.repeat(users, 20), np.repeat(np.arange(50), 20)
    grouped = mean_interval(values, groups)
    assert grouped == pytest.approx(mean_interval(users, np.arange(50)))
    assert grouped.half > 4 * mean_interval(values, np.arange(1000)).half * 0.9


def test_groups_of_unequal_size_give_the_mean_over_asks():
    values, groups = np.array([1.0, 1.0, 1.0, 0.0]), np.array([7, 7, 7, 2])
    found = mean_interval(values, groups)
    assert found == Interval(0.75, 0, 1)
    shuffled = [2, 0, 3, 1]
    assert mean_interval(values[shuffled], groups[shuffled]) == found


def test_pairing_narrows():
    rng = np.random.default_rng(3)
    query, groups = rng.normal(0, 1, 500), np.arange(500)
    a, b = query + 0.1 + rng.normal(0, 0.1, 500), query + rng.normal(0, 0.1, 500)
    paired = paired_interval(a, b, groups)
    assert paired.mean == pytest.approx((a - b).mean())
    assert paired.clear
    assert paired.half < mean_interval(a, groups).half / 4
    assert not paired_interval(query, query[::-1], groups).clear


def test_chunks_and_company_change_nothing(monkeypatch):
    values = np.random.default_rng(4).normal(0, 1, (60, 3))
    groups = np.repeat(np.arange(20), 3)
    together = intervals(values, groups)
    assert together[1] == pytest.approx(mean_interval(values[:, 1], groups))
    monkeypatch.setattr(bootstrap, "_CELLS", 70)
    np.testing.assert_allclose(intervals(values, groups), together)


def test_one_group_has_no_interval():
    found = mean_interval(np.array([0.0, 1.0]), np.zeros(2, int))
    assert found.mean == 0.5
    assert np.isnan(found.low)
    assert not found.clear


@pytest.mark.parametrize(
    ("values", "groups", "options", "message"),
    [
        ([1.0, np.nan], [0, 1], {}, "1 of 2 values are NaN, the first of query 1"),
        ([], [], {}, "shape"),
        ([1.0], [0, 1], {}, "groups of"),
        ([1.0], [0], {"draws": 0}, "draws 0"),
        ([1.0], [0], {"level": 95}, "level 95"),
    ],
)
def test_bad_input_is_named(values, groups, options, message):
    with pytest.raises(ValueError, match=message):
        mean_interval(np.array(values), np.array(groups, int), **options)


def test_unequal_lengths_cannot_be_paired():
    with pytest.raises(ValueError, match="paired"):
        paired_interval(np.zeros(2), np.zeros(1), np.zeros(2, int))
