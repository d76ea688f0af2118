"""Graded search: by hand, against scikit-learn, and what is refused."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import ndcg_score

from eval.measure.judged_search import Judged, search_ndcg
from kg.errors import DataError
from kg.tables import Vocab

ITEMS = Vocab([f"i{n}" for n in range(8)])


def table(*rows):
    return pa.table(
        list(map(list, zip(*rows, strict=True))), ["query", "item", "rating"]
    )


class Fixed:
    name = "fixed"

    def __init__(self, scores):
        self.scores = scores

    def score(self, queries):
        return np.array([self.scores[text] for text in queries.texts], np.float32)


def test_by_hand():
    judged = Judged.of(table(("q", "i1", 3), ("q", "i2", 1), ("q", "i3", 0)), ITEMS)
    assert judged.queries.texts == ("q",) and judged.grades.tolist() == [3, 1]
    # Ranking i0 i3 i2 i1: i0 was never judged, i3 is useless.
    found = search_ndcg(
        Fixed({"q": [9, 6, 7, 8, 0, 0, 0, 0]}), judged, 8, progress=False
    )
    ideal = 7 + 1 / np.log2(3)
    assert found["NDCG@10"] == pytest.approx((1 / np.log2(4) + 7 / np.log2(5)) / ideal)
    assert found["condensed NDCG@10"] == pytest.approx(
        (1 / np.log2(3) + 7 / np.log2(4)) / ideal
    )
    assert search_ndcg(
        Fixed({"q": [9, 6, 7, 8, 0, 0, 0, 0]}), judged, 8, k=3, progress=False
    )["NDCG@3"] == pytest.approx(1 / np.log2(4) / ideal)


def test_as_scikit_learn_has_it():
    rng = np.random.default_rng(0)
    grades, seen = rng.integers(0, 4, (5, 8)), rng.random((5, 8)) < 0.7
    scores = {f"q{q}": rng.permutation(8) for q in range(5)}
    rows = [
        (f"q{q}", f"i{i}", int(grades[q, i]))
        for q in range(5)
        for i in range(8)
        if seen[q, i]
    ]
    judged = Judged.of(table(*rows), ITEMS)
    found = search_ndcg(Fixed(scores), judged, 8, k=4, batch=2, progress=False)
    gain, ranked = (
        (2.0**grades - 1) * seen,
        np.stack([scores[f"q{q}"] for q in range(5)]),
    )
    full = [ndcg_score(gain[q : q + 1], ranked[q : q + 1], k=4) for q in range(5)]
    condensed = [
        ndcg_score(gain[q : q + 1, seen[q]], ranked[q : q + 1, seen[q]], k=4)
        for q in range(5)
    ]
    assert found["NDCG@4"] == pytest.approx(full)
    assert found["condensed NDCG@4"] == pytest.approx(condensed)


def test_queries_without_anything_to_find_are_left_out_and_the_order_of_rows_is_of_no_matter():
    rows = [
        ("b", "i5", 2),
        ("a", "i0", 0),
        ("c", "i1", 1),
        ("b", "i4", 0),
        ("c", "i0", 3),
    ]
    one, other = Judged.of(table(*rows), ITEMS), Judged.of(table(*rows[::-1]), ITEMS)
    for judged in (one, other):
        assert judged.queries.texts == ("b", "c")
        assert judged.queries.targets.rows.tolist() == [
            5,
            0,
            1,
        ] and judged.grades.tolist() == [2, 3, 1]
        assert judged.judged.rows.tolist() == [4, 5, 0, 1]


def test_ties_get_the_mid_rank():
    judged = Judged.of(table(("q", "i1", 1)), ITEMS)
    found = search_ndcg(Fixed({"q": [0] * 8}), judged, 8, progress=False)
    assert found["NDCG@10"] == pytest.approx(1 / np.log2(4.5 + 1))
    assert found["condensed NDCG@10"] == pytest.approx(1)


def test_bad_judgments_and_scores_are_refused():
    with pytest.raises(DataError, match="'x' is not in the catalogue"):
        Judged.of(table(("q", "x", 1)), ITEMS)
    with pytest.raises(DataError, match="judged twice"):
        Judged.of(table(("q", "i1", 1), ("q", "i1", 2)), ITEMS)
    with pytest.raises(DataError, match="rating"):
        Judged.of(table(("q", "i1", -1)), ITEMS)
    with pytest.raises(DataError, match="'fixed': shape"):
        search_ndcg(
            Fixed({"q": [1, 2]}),
            Judged.of(table(("q", "i1", 1)), ITEMS),
            8,
            progress=False,
        )
    with pytest.raises(ValueError, match="no judged"):
        search_ndcg(
            Fixed({}), Judged.of(table(("q", "i1", 0)), ITEMS), 8, progress=False
        )
