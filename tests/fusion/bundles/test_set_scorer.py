"""A pool's scores are the model's."""

import numpy as np
import pytest
import torch

from fusion.bundles.set_scorer import SetScorer
from fusion.query_batch import QueryBatch, Ragged
from fusion.recommender import Recommender
from kg.metapaths.count import count_paths


def together(recommender, rows, sets, user, text):
    """The pool's scores and the full scores of the same sets, (B, P) each, NaN for none."""
    found = SetScorer(recommender, rows, user, text).score(sets)
    hand = Ragged.of([rows[list(places)] for places in sets])
    queries = QueryBatch(
        np.full(len(sets), user),
        hand,
        (text,) * len(sets),
        hand,
        np.zeros(len(sets), np.int64),
    )
    scores = recommender.scores(queries)
    full = np.full((len(sets), len(recommender.items)), np.nan)
    for b in range(len(sets)):
        there = (scores.rows[b] >= 0).numpy()
        full[b, scores.rows[b][there]] = scores.score[b][there]
    return found, full[:, rows]


@pytest.fixture
def hybrid(small, shop):
    def make(**settings):
        made = small(candidates_per_path=14, vector_candidates=14, **settings)
        for parameter in (
            made.model.head.parameters() if made.model.head is not None else ()
        ):
            parameter.data.normal_(std=0.5)
        made.model.kept.copy_(torch.tensor([0.3, 0.8]))
        return Recommender(
            made.model,
            made.snapshot,
            made.embeddings,
            shop(),
            count_paths(made.snapshot.graph),
        )

    return make


@pytest.mark.parametrize(
    "settings", [{}, {"paths": False}, {"text": False}, {"graph": False}]
)
@pytest.mark.parametrize(
    ("user", "text"), [(-1, ""), (2, "thing of kind 3"), (-1, "kind 1")]
)
def test_they_are_the_full_scores(hybrid, settings, user, text):
    rows = np.array([11, 3, 0, 7, 5, 9, 12])
    pool, full = together(
        hybrid(**settings), rows, [(), (1,), (2, 0), (3, 4, 5)], user, text
    )
    known = np.isfinite(full)
    assert known.sum() > 15
    np.testing.assert_allclose(pool[known], full[known], atol=2e-4)


def test_items_at_hand_are_no_candidates(hybrid):
    found = SetScorer(hybrid(), np.arange(10)).score([(2, 5), ()])
    assert np.isneginf(found).nonzero()[1].tolist() == [2, 5]


def test_a_real_order_of_takings(trained):
    """In the checkerboard things are bundles; in this one they are taken one after the other."""
    rows = np.arange(0, 40)
    pool, full = together(trained.recommender, rows, [(1, 5), (7,), ()], 3, "black")
    known = np.isfinite(full)
    assert known.any()
    np.testing.assert_allclose(pool[known], full[known], atol=2e-4)


def test_biases_and_pairs_are_added(hybrid):
    pool = SetScorer(hybrid(), np.arange(5))
    before = pool.score([(), (1, 2)])
    pool.bias = np.arange(5.0)
    pool.pair = -np.arange(25.0).reshape(5, 5)
    after = pool.score([(), (1, 2)])
    assert (after[0] - before[0]).tolist() == pytest.approx([0, 1, 2, 3, 4], abs=1e-5)
    assert after[1, 4] - before[1, 4] == pytest.approx(4 - 14, abs=1e-5)


def test_of_no_items_there_are_no_scores(hybrid):
    assert SetScorer(hybrid(), np.zeros(0, np.int64)).score([(), ()]).shape == (2, 0)
