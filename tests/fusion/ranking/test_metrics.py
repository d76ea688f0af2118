"""Ranks and metrics against slower, independent ways to get them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score

from fusion.query_batch import Ragged
from fusion.ranking.metrics import (
    average_precision,
    hit,
    mrr,
    ndcg,
    precision,
    recall,
)
from fusion.ranking.ranks import ranks
from kg.errors import DataError


def snapshot(seed, queries=7, items=23, levels=None, least=1):
    """Random scores, targets and masked items; few levels make ties."""
    rng = np.random.default_rng(seed)
    scores = rng.permuted(np.tile(np.arange(items), (queries, 1)), axis=1).astype(
        np.float32
    )
    if levels:
        scores = rng.integers(0, levels, (queries, items)).astype(np.float32)
    orders = [rng.permutation(items) for _ in range(queries)]
    cuts = rng.integers(least, 6, queries)
    targets = Ragged.of([order[:cut] for order, cut in zip(orders, cuts, strict=True)])
    masked = Ragged.of(
        [order[cut : cut + 4] for order, cut in zip(orders, cuts, strict=True)]
    )
    return scores, targets, masked


def dense(targets, items):
    out = np.zeros((len(targets), items))
    out[targets.owners, targets.rows] = 1
    return out


def one(places):
    """Targets of queries whose ranks are given outright."""
    lists = Ragged.of([range(len(p)) for p in places])
    return np.array([r for p in places for r in p], float), lists


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([None, 1, 2, 4]))
def test_ranks_equal_a_loop(seed, levels):
    scores, targets, masked = snapshot(seed, levels=levels, least=0)
    expected = []
    for b in range(len(scores)):
        open_items = [i for i in range(scores.shape[1]) if i not in set(masked[b])]
        for target in targets[b]:
            others = [scores[b, i] for i in open_items if i != target]
            above = sum(s > scores[b, target] for s in others)
            level = sum(s == scores[b, target] for s in others)
            expected.append(np.mean(range(1 + above, 2 + above + level)))
    np.testing.assert_array_equal(ranks(scores, targets, masked), expected)


def test_ranks_do_not_depend_on_chunks_batches_or_item_order(monkeypatch):
    scores, targets, masked = snapshot(1, levels=5)
    expected = ranks(scores, targets, masked)
    parts = [np.arange(b, min(b + 3, len(scores))) for b in range(0, len(scores), 3)]
    batches = [ranks(scores[p], targets.take(p), masked.take(p)) for p in parts]
    np.testing.assert_array_equal(np.concatenate(batches), expected)
    order = np.random.default_rng(0).permutation(scores.shape[1])
    moved = [Ragged(r.offsets, np.argsort(order)[r.rows]) for r in (targets, masked)]
    np.testing.assert_array_equal(ranks(scores[:, order], *moved), expected)
    monkeypatch.setattr("fusion.ranking.ranks._CELLS", 50)
    np.testing.assert_array_equal(ranks(scores, targets, masked), expected)


def test_masked_items_do_not_count():
    scores = np.array([[9.0, 5.0, 7.0, 1.0]])
    nothing, target = Ragged.of([[]]), Ragged.of([[1]])
    assert ranks(scores, target, nothing) == [3]
    assert ranks(scores, target, Ragged.of([[0, 0]])) == [2]
    assert ranks(scores, target, Ragged.of([[2, 0]])) == [1]
    assert scores[0, 0] == 9, "the caller's scores were changed"


def test_a_constant_scorer_gets_the_middle_and_infinities_rank():
    scores = np.zeros((1, 9), np.float32)
    assert ranks(scores, Ragged.of([[3]]), Ragged.of([[0, 1]])) == [4]
    scores[0, :3] = np.inf
    scores[0, 4:] = -np.inf
    np.testing.assert_array_equal(
        ranks(scores, Ragged.of([[0, 3, 8]]), Ragged.of([[]])), [2, 4, 7]
    )


@pytest.mark.parametrize(
    ("scores", "targets", "masked", "message"),
    [
        (
            np.array([[0.0, 1.0], [1.0, np.nan]]),
            [[0], [0]],
            [[], []],
            "item 1 for query 1 is NaN",
        ),
        (np.zeros((1, 3)), [[0], [1]], [[], []], r"shape \(1, 3\) for 2 queries"),
        (np.zeros((1, 3), np.int64), [[0]], [[]], "type int64"),
        (
            np.zeros((2, 3)),
            [[0], [1]],
            [[], [2, 1]],
            "query 1: item 1 is a target and excluded",
        ),
        (np.zeros((2, 3)), [[0], [1, 1]], [[], []], "query 1: item 1 is twice"),
        (
            np.zeros((2, 3)),
            [[0], [3]],
            [[], []],
            "query 1: target 3 is no row of a catalogue of 3",
        ),
        (np.zeros((1, 3)), [[0]], [[-1]], "query 0: excluded item -1"),
        (np.zeros((1, 3)), [[0]], [[], []], "1 lists of targets, 2 lists"),
    ],
)
def test_bad_input_is_named(scores, targets, masked, message):
    with pytest.raises(ValueError, match=message):
        ranks(scores, Ragged.of(targets), Ragged.of(masked))


def test_nan_is_a_score_error():
    with pytest.raises(DataError):
        ranks(np.full((1, 2), np.nan), Ragged.of([[0]]), Ragged.of([[]]))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 5, 23])
def test_ndcg_and_average_precision_agree_with_scikit_learn(seed, k):
    scores, targets, _ = snapshot(seed)
    found = ranks(scores, targets, Ragged.of([[]] * len(scores)))
    right = dense(targets, scores.shape[1])
    for b, value in enumerate(ndcg(found, targets, k)):
        assert value == pytest.approx(
            ndcg_score(right[b : b + 1], scores[b : b + 1], k=k)
        )
    grades = np.random.default_rng(seed).integers(1, 5, len(targets.rows))
    graded = np.zeros_like(right)
    graded[targets.owners, targets.rows] = 2.0**grades - 1
    for b, value in enumerate(ndcg(found, targets, k, grades)):
        assert value == pytest.approx(
            ndcg_score(graded[b : b + 1], scores[b : b + 1], k=k)
        )
    for b, value in enumerate(average_precision(found, targets)):
        assert value == pytest.approx(average_precision_score(right[b], scores[b]))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 5, 10])
def test_metrics_equal_a_walk_down_the_list(seed, k):
    scores, targets, masked = snapshot(seed)
    found = ranks(scores, targets, masked)
    hidden = scores.astype(float)
    hidden[masked.owners, masked.rows] = -1
    for b in range(len(scores)):
        right = [int(i) in set(targets[b]) for i in np.argsort(-hidden[b])]
        assert hit(found, targets, k)[b] == any(right[:k])
        assert recall(found, targets, k)[b] == pytest.approx(
            sum(right[:k]) / len(targets[b])
        )
        assert precision(found, targets, k)[b] == pytest.approx(sum(right[:k]) / k)
        assert mrr(found, targets)[b] == pytest.approx(1 / (1 + right.index(True)))
        walked = sum(sum(right[: n + 1]) / (n + 1) for n in range(k) if right[n])
        assert average_precision(found, targets, k)[b] == pytest.approx(
            walked / min(k, len(targets[b]))
        )


def test_by_hand():
    found, targets = one([[3], [1, 4], []])
    np.testing.assert_array_equal(hit(found, targets, 2), [0, 1, np.nan])
    np.testing.assert_array_equal(recall(found, targets, 2), [0, 0.5, np.nan])
    np.testing.assert_array_equal(precision(found, targets, 2), [0, 0.5, np.nan])
    np.testing.assert_allclose(mrr(found, targets), [1 / 3, 1, np.nan])
    np.testing.assert_allclose(
        average_precision(found, targets), [1 / 3, (1 + 2 / 4) / 2, np.nan]
    )
    ideal = 1 + 1 / np.log2(3)
    np.testing.assert_allclose(ndcg(found, targets, 3), [0.5, 1 / ideal, np.nan])
    # grades 1 and 2 at ranks 1 and 4: gains 1 and 3, and the ideal has them the other way
    # round at 1 and 2
    graded = (1 + 3 / np.log2(5)) / (3 + 1 / np.log2(3))
    np.testing.assert_allclose(ndcg(found, targets, None, [1, 1, 2])[1], graded)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_ties_never_lift_a_metric_above_one(seed, k):
    scores, targets, masked = snapshot(seed, levels=2)
    found = ranks(scores, targets, masked)
    grades = np.random.default_rng(seed).integers(1, 4, len(found))
    both = (
        average_precision(found, targets, k),
        ndcg(found, targets, k),
        ndcg(found, targets, k, grades),
    )
    for value in (
        recall(found, targets, k),
        precision(found, targets, k),
        mrr(found, targets),
        *both,
    ):
        assert (value <= 1 + 1e-12).all()
        assert (value >= 0).all()


def test_targets_that_tie_take_a_place_each():
    found, targets = one([[2, 2, 2]])
    assert precision(found, targets, 2) == [1]
    assert average_precision(found, targets) == [1]
    # the least gain comes first, whatever the order the targets are given in
    worst = ndcg(found, targets, 1, [1, 1, 3])
    assert worst == ndcg(found, targets, 1, [3, 1, 1]) == pytest.approx(1 / 7)


def test_wrong_lengths_are_refused():
    found, targets = one([[1, 2]])
    with pytest.raises(ValueError, match="ranks of shape"):
        hit(found[:1], targets, 1)
    for grades in ([1], [1, 0], [1, np.nan]):
        with pytest.raises(ValueError, match="relevance of shape"):
            ndcg(found, targets, 1, grades)
