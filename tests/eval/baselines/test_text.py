"""Baselines of words and of joined ranks, each by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from eval.baselines.counts import Popularity
from eval.baselines.text import (
    LexicalMatch,
    RankFusion,
    ScoreFusion,
    TfIdf,
    UntunedEncoder,
)
from fusion.model.bm25 import Lexical
from tests.eval.baselines.baskets import (
    TEXTS,
    VECTORS,
    small_graph,
    words,
)
from tests.eval.baselines.queries import query


@pytest.fixture(scope="module")
def tiny():
    return small_graph()


def test_tf_idf_by_hand(tiny):
    # Of 5 texts 2 have "red" and "shoe", 1 has "shirt"; scikit-learn's smooth idf is ln(6 / (1
    # + df)) + 1.
    red = shoe = np.log(6 / 3) + 1
    shirt = blue = np.log(6 / 2) + 1
    first, last = np.hypot(red, shirt), np.hypot(blue, shoe)
    scores = TfIdf(tiny, TEXTS).score(
        query((-1, [0], ""), (-1, [], "Shoe"), (-1, [0], "hat"))
    )
    near = red * red / (first * np.hypot(red, shoe))
    np.testing.assert_allclose(scores[0], [1, near, 0, 0, 0], atol=0.001)
    np.testing.assert_allclose(
        scores[1], [0, shoe / np.hypot(red, shoe), 0, 0, shoe / last], atol=0.001
    )
    np.testing.assert_allclose(scores[2], [1, near, 1, 0, 0], atol=0.001)
    # History only where there are neither items nor words.
    assert TfIdf(tiny, TEXTS).score(query((0, [], "blue")))[0, 0] < 0.01
    assert TfIdf(tiny, TEXTS).score(query((0, [], "")))[0, 0] > 1


def test_untuned_encoder_by_hand(tiny):
    scorer = UntunedEncoder(tiny, VECTORS, words)
    scores = scorer.score(query((-1, [0], ""), (-1, [], "shoe"), (-1, [2], "shoe")))
    half = 1 / np.sqrt(2)
    expected = [
        [1, 0.8, 0.6, 0, -0.6],
        [0.8, 1, 0, 0, 0],
        [1.4 * half, half, half, 0, -half],
    ]
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    # An item without text is passed over, and alone leaves nothing to go by.
    np.testing.assert_array_equal(
        scorer.score(query((-1, [3], "")))[0], [3, 2, 2, 2, 0]
    )


def test_lexical_match_is_that_of_the_evidence(tiny):
    scores = LexicalMatch(tiny, TEXTS).score(query((-1, [0], "shoe"), (-1, [], "")))
    wanted = Lexical.of(tuple(TEXTS))(("shoe",), torch.device("cpu"))[0].numpy()
    assert scores[0].argmax() == wanted.argmax() and wanted.max() > 0
    assert all(
        scores[0, i] > scores[0, j]
        for i in range(5)
        for j in range(5)
        if wanted[i] > wanted[j]
    )
    assert np.array_equal(
        np.argsort(-scores[1], kind="stable"),
        np.argsort(-Popularity(tiny).score(query((-1, [], "")))[0], kind="stable"),
    )
    with pytest.raises(ValueError, match="2 texts or vectors for"):
        LexicalMatch(tiny, ["a", "b"])


def test_rank_fusion_by_hand():
    one, other = (
        SimpleNamespace(name="", score=lambda _, told=told: np.array([told]))
        for told in ([9, 5, 5, 1], [0, 3, 7, 1])
    )
    places = np.array([[1, 2.5, 2.5, 4], [4, 2, 1, 3]])
    np.testing.assert_allclose(
        RankFusion(one, other).score(query((-1, [], "shoe"))),
        [(1 / (60 + places)).sum(0)],
        rtol=1e-6,
    )


def test_score_fusion_by_hand():
    words, cosines = (
        np.array([[8.0, 2, 0, 4], [0, 0, 0, 0]]),
        np.array([[-0.5, 0.25, 0.5, -1], [0.2, 0.6, 0.2, 1]]),
    )
    vectors = SimpleNamespace(name="", score=lambda _: cosines)
    near = np.array([[0.5, 1.25, 1.5, 0], [1.2, 1.6, 1.2, 2]]) / [[1.5], [2]]
    wanted = 0.25 * np.array([[1, 0.25, 0, 0.5], [0, 0, 0, 0]]) + 0.75 * near
    found = ScoreFusion(lambda _: words, vectors, 0.75).score(
        query(*[(-1, [], "shoe")] * 2)
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
