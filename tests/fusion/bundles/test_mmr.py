"""Maximal marginal relevance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion.bundles.mmr import diversified, likeness
from kg.errors import InputError


def test_none_is_the_order_of_the_scores_and_all_is_the_least_alike():
    score, vectors = (
        np.array([3.0, 2.9, 1.0]),
        np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),
    )
    assert diversified(score, vectors, 3, 0.0).tolist() == [0, 1, 2]
    assert diversified(score, vectors, 3, 0.6).tolist() == [0, 2, 1]
    assert diversified(score, vectors, 2, 1.0).tolist() == [0, 2]
    with pytest.raises(InputError) as caught:
        diversified(score, vectors, 3, 2)
    assert caught.value.field == "diversity"


@given(st.integers(0, 9), st.integers(1, 12), st.floats(0, 1))
def test_every_item_is_there_once(count, k, diversity):
    rng = np.random.default_rng(count)
    vectors = rng.normal(size=(count, 3))
    found = diversified(rng.normal(size=count), vectors, k, diversity)
    assert len(set(found.tolist())) == len(found) == min(k, count)


def test_likeness_is_the_mean_cosine_of_the_pairs():
    vectors = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    assert likeness(vectors) == pytest.approx((0.6 + 0.0 + 0.8) / 3)
    assert likeness(vectors[:1]) == 0
