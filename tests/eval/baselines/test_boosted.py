"""The boosted ranker: what it learns from, and what it leaves out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eval.baselines.boosted import BoostedRanker
from eval.baselines.lambdarank import LightGBMRanker
from eval.measure.protocol import evaluate
from fusion.query_batch import QueryBatch, Ragged


def boosted_world(count=80, items=40, missing=0):
    """The first feature is high for the target only; the last targets are no candidates."""
    rng = np.random.default_rng(0)
    target = rng.integers(0, items, count)
    rows, features = (
        np.full((count, 13), -1),
        rng.normal(0, 1, (count, 13, 2)).astype(np.float32),
    )
    for b in range(count):
        others = rng.permutation(np.setdiff1d(np.arange(items), target[b]))
        rows[b, :12] = others[:12]
        if b < count - missing:
            rows[b, rng.integers(12)] = target[b]
    features[:, :, 0] += 5 * (rows == target[:, None])
    users = np.arange(count)
    queries = QueryBatch(
        users,
        Ragged.of([[]] * count),
        ("",) * count,
        Ragged.of(list(target[:, None])),
        users,
    )
    return queries, (lambda some: (rows[some.users], features[some.users])), rows


class Seen:
    """Remembers what it was taught."""

    def fit(self, features, labels):
        self.labels = labels


def test_the_boosted_ranker_learns_and_puts_candidates_first():
    queries, candidates, rows = boosted_world()
    model = BoostedRanker(candidates, 40, trees=30).fit(queries, progress=False)
    assert (
        evaluate({"b": model}, queries, 40, ks=(1,), progress=False).means()["b"][
            "HR@1"
        ]
        > 0.9
    )
    scores = model.score(queries)
    for row, own in zip(scores, rows, strict=True):
        inside = np.isin(np.arange(40), own)
        assert inside.sum() == 12
        assert row[inside].min() > row[~inside].max()
        assert len(np.unique(row[~inside])) == 1


def test_asks_whose_target_was_not_retrieved_teach_nothing():
    queries, candidates, _ = boosted_world(missing=30)
    found = queries.take(np.arange(50))
    one = (
        BoostedRanker(candidates, 40, trees=10)
        .fit(queries, progress=False)
        .score(queries)
    )
    two = (
        BoostedRanker(candidates, 40, trees=10)
        .fit(found, progress=False)
        .score(queries)
    )
    np.testing.assert_array_equal(one, two)
    with pytest.raises(ValueError, match="0 right and 0 wrong"):
        BoostedRanker(candidates, 40).fit(
            queries.take(np.arange(50, 80)), progress=False
        )


def test_the_boosted_ranker_draws_negatives_by_its_seed():
    queries, candidates, _ = boosted_world()
    options = {"negatives": 5, "trees": 10}
    fits = [
        BoostedRanker(candidates, 40, seed=s, **options).fit(queries, progress=False)
        for s in (3, 3, 4)
    ]
    one, same, other = (fit.score(queries) for fit in fits)
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    model = BoostedRanker(candidates, 40, **options)
    model.model = Seen()
    model.fit(queries, progress=False)
    assert model.model.labels.sum() == 80
    assert len(model.model.labels) == 80 + 80 * 5
    every = BoostedRanker(candidates, 40)
    every.model = Seen()
    every.fit(queries, progress=False)
    assert len(every.model.labels) == 80 * 12, "the padding taught something"


@pytest.mark.parametrize("kind", [BoostedRanker, LightGBMRanker])
def test_as_many_trees_are_kept_as_order_other_asks_best(kind):
    pytest.importorskip("lightgbm", reason="needs the benchmark extra")
    queries, candidates, rows = boosted_world()
    model = kind(candidates, 40, trees=40).fit(queries, progress=False)
    whole, found = model.score(queries), {}
    rng = np.random.default_rng(1)
    others = replace(
        queries, targets=Ragged.of([[rng.choice(row[:12])] for row in rows])
    )
    for kept in (1, 5, 40):
        model.kept = kept
        found[kept] = evaluate({"b": model}, others, 40, (10,), progress=False).means()[
            "b"
        ]["NDCG@10"]
    assert len(set(found.values())) == 3, "fewer trees order otherwise"
    assert model.keep((1, 5, 40), others).kept == max(found, key=found.__getitem__)
    model.kept = 40
    np.testing.assert_allclose(model.score(queries), whole)


def test_candidates_of_a_wrong_shape_are_named():
    queries, candidates, _ = boosted_world()
    wrong = BoostedRanker(
        lambda some: (candidates(some)[0], candidates(some)[1][:, :5]), 40
    )
    with pytest.raises(
        ValueError,
        match=r"candidates \(80, 13\) with features \(80, 5, 2\) for 80 queries",
    ):
        wrong.fit(queries, progress=False)
