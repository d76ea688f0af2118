"""What a search keeps of earlier scores is what scoring anew gives."""

import numpy as np
import pytest

from fusion.bundles.beam import BeamSearch
from fusion.bundles.plan import Plan, Slot
from fusion.bundles.resolve import resolve
from fusion.bundles.set_scorer import SetScorer


@pytest.mark.parametrize("slots", [(), (Slot("black"), Slot("white", (), 0, 2))])
def test_what_is_kept_is_what_scoring_anew_gives(trained, slots):
    served = trained.recommender
    problem = resolve(
        served, Plan(size=(4, 4) if not slots else None, slots=slots), ["i000"]
    )
    search = BeamSearch(problem, SetScorer(served, np.arange(30), 3, "a lamp"))
    states = search.beam()
    before, scored = search.ratings.rate(states[:6]), len(search.ratings._known)
    assert (
        search.beam() == states and len(search.ratings._known) == scored
    )  # the second time, nothing is scored
    for (places, slot), score in search.ratings._known.items():
        may = np.flatnonzero(
            search.ratings.weighed & (search.ratings.masks[slot] if slot >= 0 else True)
        )
        np.testing.assert_allclose(
            score[may], search.scorer.score([places])[0][may], atol=2e-5
        )
    fresh = BeamSearch(problem, SetScorer(served, np.arange(30), 3, "a lamp"))
    for one, other in zip(before, fresh.ratings.rate(states[:6]), strict=True):
        np.testing.assert_allclose(one.items, other.items, atol=2e-5)
        assert one.score == pytest.approx(other.score, abs=2e-5)


def test_a_wider_beam_finds_nothing_better_than_trying_everything(shopper):
    problem = resolve(shopper, Plan(size=(3, 3)), [])
    search = BeamSearch(problem, SetScorer(shopper, np.arange(14)), width=200)
    states = search.beam()
    assert len(states) >= 14 * 13 * 12 / 6 * 0.5  # a beam so wide has seen most of them
    best = max(search.ratings.rate(states), key=lambda r: r.score)
    (found,) = shopper.build(Plan(size=(3, 3), alternatives=1))
    assert found.score >= best.score - 0.15
