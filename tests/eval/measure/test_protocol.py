"""The protocol: what is masked, what is refused, what must not matter."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from eval.measure.protocol import Scores, evaluate
from fusion.query_batch import QueryBatch, Ragged
from kg.errors import DataError

ITEMS = 12


@dataclass(frozen=True)
class Fixed:
    """Gives every query its user's row of a matrix."""

    name: str
    matrix: np.ndarray

    def score(self, queries: QueryBatch) -> np.ndarray:
        return self.matrix[queries.users]


def queries(seed=0, count=30):
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(ITEMS) for _ in range(count)]
    items, targets = (
        Ragged.of([o[:3] for o in orders]),
        Ragged.of(
            [
                o[3 : 3 + n]
                for o, n in zip(orders, rng.integers(1, 4, count), strict=True)
            ]
        ),
    )
    return QueryBatch(
        np.arange(count), items, ("",) * count, targets, np.arange(count) // 2
    )


def scorer(seed=1, count=30, levels=6):
    return Fixed(
        "ties",
        np.random.default_rng(seed)
        .integers(0, levels, (count, ITEMS))
        .astype(np.float32),
    )


def test_the_items_at_hand_are_masked():
    given = queries()
    matrix = np.zeros((len(given), ITEMS), np.float32)
    matrix[given.targets.owners, given.targets.rows] = 1
    matrix[given.context.owners, given.context.rows] = (
        2  # known items first: right only where they are masked
    )
    perfect = evaluate({"x": Fixed("x", matrix)}, given, ITEMS, ks=(3,), progress=False)
    assert perfect.means()["x"] == pytest.approx(
        {"HR@3": 1, "NDCG@3": 1, "Recall@3": 1, "MRR": 1}
    )
    unmasked = replace(given, context=Ragged.of([[]] * len(given)))
    spoiled = evaluate(
        {"x": Fixed("x", matrix)}, unmasked, ITEMS, ks=(3,), progress=False
    )
    assert spoiled.means()["x"]["HR@3"] == 0


def test_what_an_ask_masks_is_not_ranked_beside_the_items_at_hand():
    given = queries()
    known = Ragged.of(
        [
            np.setdiff1d(np.arange(ITEMS), given.targets[b])[::2]
            for b in range(len(given))
        ]
    )
    matrix = np.zeros((len(given), ITEMS), np.float32)
    matrix[known.owners, known.rows] = 2
    matrix[given.targets.owners, given.targets.rows] = 1
    spoiled = evaluate(
        {"x": Fixed("x", matrix)}, given, ITEMS, ks=(3,), progress=False
    ).values["x"]
    masked = replace(given, exclude=known)
    for some in (masked, masked.take(np.arange(len(given))[::-1])):
        perfect = evaluate(
            {"x": Fixed("x", matrix)}, some, ITEMS, ks=(3,), batch=7, progress=False
        )
        assert perfect.means()["x"] == pytest.approx(
            {"HR@3": 1, "NDCG@3": 1, "Recall@3": 1, "MRR": 1}
        )
    assert spoiled["MRR"].mean() < 1
    assert masked.excluded[0].tolist() == [*given.context[0], *known[0]]
    with pytest.raises(ValueError, match="is a target and excluded"):
        evaluate(
            {"x": Fixed("x", matrix)},
            replace(given, exclude=given.targets),
            ITEMS,
            progress=False,
        )


def test_a_scorer_that_says_nothing_gets_the_middle():
    given = queries()
    flat = Fixed("flat", np.zeros((len(given), ITEMS), np.float32))
    single = replace(
        given, targets=Ragged.of([given.targets[b][:1] for b in range(len(given))])
    )
    values = evaluate({"flat": flat}, single, ITEMS, ks=(4, 5), progress=False).values[
        "flat"
    ]
    assert (values["HR@4"] == 0).all(), "9 open items that tie are all ranked 5th"
    assert (values["HR@5"] == 1).all()
    np.testing.assert_allclose(values["MRR"], 1 / 5)


@pytest.mark.parametrize("batch", [1, 7, 30, 1000])
def test_the_batch_size_changes_nothing(batch):
    given, ours = queries(), scorer()
    one = evaluate({"a": ours}, given, ITEMS, ks=(1, 4), batch=batch, progress=False)
    two = evaluate({"a": ours}, given, ITEMS, ks=(1, 4), batch=11, progress=False)
    assert list(one.values["a"]) == [
        "HR@1",
        "NDCG@1",
        "Recall@1",
        "HR@4",
        "NDCG@4",
        "Recall@4",
        "MRR",
    ]
    for metric, values in one.values["a"].items():
        np.testing.assert_array_equal(values, two.values["a"][metric])


def test_the_order_of_the_items_changes_nothing():
    given, ours, order = (
        queries(),
        scorer(),
        np.random.default_rng(5).permutation(ITEMS),
    )
    place = np.argsort(order)
    moved = replace(
        given,
        context=Ragged(given.context.offsets, place[given.context.rows]),
        targets=Ragged(given.targets.offsets, place[given.targets.rows]),
    )
    one = evaluate({"a": ours}, given, ITEMS, progress=False)
    two = evaluate(
        {"a": Fixed("a", ours.matrix[:, order])}, moved, ITEMS, progress=False
    )
    for metric, values in one.values["a"].items():
        np.testing.assert_allclose(values, two.values["a"][metric])


def test_scores_take_some_asks():
    given = queries()
    scores = evaluate({"a": scorer()}, given, ITEMS, progress=False)
    some = scores.take(np.arange(30) < 4)
    assert isinstance(some, Scores)
    assert len(some) == 4
    np.testing.assert_array_equal(
        some.values["a"]["MRR"], scores.values["a"]["MRR"][:4]
    )
    np.testing.assert_array_equal(some.groups, [0, 0, 1, 1])
    assert scores.seconds["a"] > 0


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (
            np.zeros((30, ITEMS - 1), np.float32),
            r"scorer 'bad', batch from query 0: shape \(20, 11\), wanted \(20, 12\)",
        ),
        (np.zeros((30, ITEMS), np.int64), "scorer 'bad'.*int64"),
        (
            np.where(np.arange(30)[:, None] == 21, np.nan, np.zeros((30, ITEMS))),
            "'bad', batch from query 20.*query 1 is NaN",
        ),
    ],
)
def test_bad_scores_name_the_scorer(matrix, message):
    with pytest.raises(DataError, match=message):
        evaluate(
            {"good": scorer(), "bad": Fixed("bad", matrix)},
            queries(),
            ITEMS,
            batch=20,
            progress=False,
        )


def test_bad_asks_are_refused_before_any_scoring():
    given = queries()
    nothing = {"never": Fixed("never", np.zeros((0, 0)))}
    with pytest.raises(ValueError, match="a target and excluded"):
        evaluate(nothing, replace(given, context=given.targets), ITEMS, progress=False)
    lists = [given.targets[b] if b != 5 else [] for b in range(len(given))]
    with pytest.raises(ValueError, match="query 5 has no target"):
        evaluate(
            nothing, replace(given, targets=Ragged.of(lists)), ITEMS, progress=False
        )
    with pytest.raises(ValueError, match="cannot evaluate 0 queries"):
        evaluate(nothing, given.take(np.arange(0)), ITEMS, progress=False)
    with pytest.raises(ValueError, match=r"ks=\(0,\)"):
        evaluate(nothing, given, ITEMS, ks=(0,), progress=False)
