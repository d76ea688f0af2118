"""Bundles, known and new, in order."""

import numpy as np
import pytest

from fusion.bundles.rank import full_score, graph_bundles
from fusion.query import Query
from kg.errors import InputError


def test_any_rows_have_the_models_score(served):
    query = Query("u003", ("i001", "i005"), "black lamp")
    scores = served.scores(served.queries([query]))
    there = scores.rows[0] >= 0
    rows = scores.rows[0][there].numpy()
    np.testing.assert_allclose(
        full_score(served, query, rows), scores.score[0][there].numpy(), atol=2e-4
    )
    assert np.isneginf(full_score(served, query, np.array([1, 1, 5]))).all()


def test_new_bundles_are_ranked_by_what_is_in_them(served):
    query = Query(text="black lamp")
    order = np.argsort(-full_score(served, query, np.arange(len(served.items))))
    ids = [served.items.key(int(row)) for row in order]
    given = {
        "middling": ids[10:12],
        "best": ids[:2],
        "worst": ids[-2:],
        "unknown": ["x", "y"],
    }
    found = served.rank_bundles(given, text="black lamp")
    assert [b.id for b in found] == ["best", "middling", "worst"] and found[
        0
    ].items == tuple(ids[:2])
    scores = full_score(served, query, served.items.rows(ids[:2]))
    assert found[0].score == pytest.approx(scores.mean(), abs=1e-5)
    assert [b.id for b in served.rank_bundles(given, text="black lamp", k=1)] == [
        "best"
    ]


@pytest.mark.parametrize("k", [0, -1])
def test_none_is_too_few(served, k):
    for bundles in (None, {"b": ["i001", "i002"]}):
        with pytest.raises(InputError) as caught:
            served.rank_bundles(bundles, k=k)
        assert caught.value.field == "k"


def test_those_of_the_graph_have_two_items_and_are_there_once(served):
    bundles = graph_bundles(served)
    assert bundles and min(map(len, bundles.values())) > 1
    assert len({frozenset(b) for b in bundles.values()}) == len(bundles)
    assert set(b.id for b in served.rank_bundles(user="u003", k=4)) <= set(bundles)
