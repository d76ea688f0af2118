"""Scores of items and bundles, by hand."""

import numpy as np
import pytest
from scipy.special import log_softmax

from fusion.bundles.plan import Plan
from fusion.bundles.ratings import ALONE
from fusion.query import Query


def test_item_and_bundle_scores_by_hand(
    shopper,
):
    plan = Plan(size=(3, 3), alternatives=1)
    (one,) = shopper.build(plan, text="kind 2")
    ids, blended = [p.id for p in one.items], []
    alone = full(shopper, Query(text="kind 2"))
    for piece in one.items:
        rest = [i for i in ids if i != piece.id]
        given = full(shopper, Query(items=tuple(rest), text="kind 2"))
        others = [i for i in given if i not in rest]
        row = others.index(piece.id)
        assert piece.score == pytest.approx(
            log_softmax([given[i] for i in others])[row], abs=1e-3
        )
        both = log_softmax([(1 - ALONE) * given[i] + ALONE * alone[i] for i in others])
        blended.append(both[row])
    assert one.score == pytest.approx(np.mean(blended), abs=1e-3)


def full(recommender, query):
    """The model's scores of all items by id, asked as anybody would."""
    scores = recommender.scores(recommender.queries([query]))
    there = scores.rows[0] >= 0
    return {
        recommender.items.key(int(i)): float(s)
        for i, s in zip(scores.rows[0][there], scores.score[0][there], strict=True)
    }
