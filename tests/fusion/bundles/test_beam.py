"""What a search keeps of earlier scores is what scoring anew gives."""

import numpy as np
import pytest

from fusion.bundles.beam import Search
from fusion.bundles.plan import Plan, Slot
from fusion.bundles.resolve import resolve
from fusion.bundles.set_scorer import Pool


@pytest.mark.parametrize("slots", [(), (Slot("black"), Slot("white", (), 0, 2))])
def test_what_is_kept_is_what_scoring_anew_gives(trained, slots):
    served = trained.recommender
    problem = resolve(
        served, Plan(size=(4, 4) if not slots else None, slots=slots), ["i000"]
    )
    hunt = Search(problem, Pool(served, np.arange(30), 3, "a lamp"))
    states = hunt.beam()
    before, scored = hunt.rate(states[:6]), len(hunt._known)
    assert (
        hunt.beam() == states and len(hunt._known) == scored
    )  # the second time, nothing is scored
    for (places, slot), score in hunt._known.items():
        may = np.flatnonzero(hunt.weighed & (hunt.masks[slot] if slot >= 0 else True))
        np.testing.assert_allclose(
            score[may], hunt.pool.score([places])[0][may], atol=2e-5
        )
    fresh = Search(problem, Pool(served, np.arange(30), 3, "a lamp"))
    for one, other in zip(before, fresh.rate(states[:6]), strict=True):
        np.testing.assert_allclose(one.items, other.items, atol=2e-5)
        assert one.score == pytest.approx(other.score, abs=2e-5)
