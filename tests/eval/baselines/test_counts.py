"""Each baseline on a graph counted by hand, and on a checkerboard with a known answer."""

from __future__ import annotations

import numpy as np
import pytest

from eval.baselines.counts import EASE, Counts, ItemKNN, Popularity, UserFrequency
from eval.baselines.text import (
    LexicalMatch,
    TfIdf,
    UntunedEncoder,
)
from eval.measure.protocol import evaluate
from tests.eval.baselines.baskets import (
    TEXTS,
    VECTORS,
    checkerboard,
    small_graph,
    words,
)
from tests.eval.baselines.queries import query


@pytest.fixture(scope="module")
def tiny():
    return small_graph()


def makers(graph):
    return {
        "popularity": Popularity(graph),
        "frequency": UserFrequency(graph),
        "recent": UserFrequency(graph, decay=8.0),
        "knn": ItemKNN(graph),
        "knn pruned": ItemKNN(graph, neighbours=1),
        "ease": EASE(graph, 2.0),
        "ease history": EASE(graph, 2.0, history=True),
        "tf-idf": TfIdf(graph, TEXTS),
        "lexical": LexicalMatch(graph, TEXTS),
        "encoder": UntunedEncoder(graph, VECTORS, words),
    }


NAMES = sorted(
    [
        "popularity",
        "frequency",
        "recent",
        "knn",
        "knn pruned",
        "ease",
        "ease history",
        "tf-idf",
        "encoder",
        "lexical",
    ]
)


def order(scores):
    return np.argsort(-scores, axis=1, kind="stable")


@pytest.mark.parametrize("name", NAMES)
def test_with_nothing_to_go_by_popularity_decides(tiny, name):
    scores = makers(tiny)[name].score(query((-1, [], ""), (2, [], "")))
    assert scores.dtype == np.float32
    assert scores.shape == (2, 5)
    for row in scores:
        assert row[0] > row[1] == row[2] == row[3] > row[4]


@pytest.mark.parametrize("name", NAMES)
def test_asks_do_not_see_each_other(tiny, name):
    scorer = makers(tiny)[name]
    mixed = query(
        (0, [2], ""),
        (-1, [], "shoe"),
        (1, [], ""),
        (2, [4], "hat"),
        (-1, [], ""),
        (0, [0, 3], ""),
    )
    alone = np.concatenate(
        [scorer.score(mixed.take(np.array([b]))) for b in range(len(mixed))]
    )
    np.testing.assert_allclose(scorer.score(mixed), alone, rtol=1e-6)
    before = scorer.score(mixed).copy()
    scorer.score(mixed)[:] = 0
    np.testing.assert_array_equal(
        scorer.score(mixed), before, err_msg="the caller's array is the scorer's own"
    )


@pytest.mark.parametrize("name", ["knn", "knn pruned", "ease", "frequency"])
def test_an_item_never_taken_says_nothing(tiny, name):
    scorer = makers(tiny)[name]
    row = scorer.score(query((-1, [4], "")))[0]
    assert row[0] > row[1] == row[2] == row[3] > row[4]


def test_what_is_made_of_asks_can_be_changed_without_changing_them(tiny):
    queries = query((0, [2, 4], ""), (-1, [4], ""))
    given = Counts(tiny).at_hand(queries)
    given.data[given.indices == 4] = (
        0  # as a baseline does that knows nothing of an item
    )
    given.eliminate_zeros()
    assert queries.context.offsets.tolist() == [
        0,
        2,
        3,
    ] and queries.context.rows.tolist() == [
        2,
        4,
        4,
    ]


def test_popularity_counts_events(tiny):
    np.testing.assert_array_equal(
        Popularity(tiny).score(query((0, [1], "")))[0], [3, 2, 2, 2, 0]
    )


def test_user_frequency_counts_what_the_user_took(tiny):
    scores = UserFrequency(tiny).score(query((0, [], ""), (1, [2], "hat")))
    np.testing.assert_allclose(scores, [[2, 2, 1, 0, 0], [1, 0, 0, 1, 0]], atol=0.0011)
    assert order(scores).tolist() == [[0, 1, 2, 3, 4], [0, 3, 1, 2, 4]]
    assert scores[0, 0] > scores[0, 1], "a and b tie at 2; a is more popular"
    assert scores[1, 1] == scores[1, 2] > scores[1, 4] == 0


def test_recent_events_weigh_more(tiny):
    scores = UserFrequency(tiny, decay=8.0).score(query((0, [], "")))
    np.testing.assert_allclose(
        scores[0], [1 + np.exp(-1), 1 + np.exp(-1), 1, 0, 0], atol=0.0011
    )
    quick = UserFrequency(tiny, decay=0.1).score(query((0, [], "")))
    np.testing.assert_allclose(quick[0, :3], 1, atol=0.0011)


def test_item_knn_sums_cosines(tiny):
    scores = ItemKNN(tiny).score(query((0, [0], ""), (0, [1, 3], "")))
    one = 1 / np.sqrt(6)
    np.testing.assert_allclose(
        scores, [[0, 2 * one, one, one, 0], [3 * one, 0, 1, 0, 0]], atol=0.0011
    )
    # With nothing at hand u's history {a, b, c} is asked; no item is its own neighbour.
    history = ItemKNN(tiny).score(query((0, [], "")))
    np.testing.assert_allclose(
        history[0], [3 * one, 2 * one + 0.5, one + 0.5, one + 0.5, 0], atol=0.0011
    )


def test_item_knn_keeps_the_nearest(tiny):
    scores = ItemKNN(tiny, neighbours=1).score(query((-1, [0], ""), (-1, [1], "")))
    np.testing.assert_allclose(
        scores, [[0, 2 / np.sqrt(6), 0, 0, 0], [2 / np.sqrt(6), 0, 0, 0, 0]], atol=0.001
    )
    takers = Counts(tiny).history.toarray()
    cosine = takers.T @ takers / np.sqrt(np.outer(*[np.maximum(takers.sum(0), 1)] * 2))
    np.fill_diagonal(cosine, 0)
    np.testing.assert_allclose(
        ItemKNN(tiny, history=True).similar.toarray(), cosine, atol=1e-6
    )
    assert (
        ItemKNN(tiny).similar.toarray() != ItemKNN(tiny, history=True).similar.toarray()
    ).any()
    kept = ItemKNN(tiny, neighbours=2).similar
    assert np.diff(kept.indptr).max() == 2


@pytest.mark.parametrize("history", [False, True])
def test_ease_is_a_ridge_of_each_item_on_the_others(tiny, history):
    baskets = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 1], [0, 0, 1, 1]], float)
    if history:
        baskets = np.array([[1, 1, 1, 0], [1, 0, 0, 1]], float)
    weights = np.zeros((5, 5))
    for j in range(4):
        rest = [i for i in range(4) if i != j]
        left = baskets[:, rest]
        weights[rest, j] = np.linalg.solve(
            left.T @ left + 2 * np.eye(3), left.T @ baskets[:, j]
        )
    scores = EASE(tiny, 2.0, history=history).score(
        query((-1, [0], ""), (-1, [1, 2], ""), (1, [], ""), (1, [1], ""))
    )
    asked = np.array(
        [[1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [1, 0, 0, 1, 0], [0, 1, 0, 0, 0]]
    )
    if history:
        asked[3] = [1, 1, 0, 1, 0]
    np.testing.assert_allclose(scores, asked @ weights, atol=1e-6)


def test_ease_solves_in_blocks_and_for_the_popular_only(tiny, monkeypatch, caplog):
    whole = EASE(tiny, 2.0)
    monkeypatch.setattr("eval.baselines.counts.BLOCK", 3)
    np.testing.assert_allclose(EASE(tiny, 2.0).weights, whole.weights, atol=1e-6)
    some = EASE(tiny, 2.0, most=2)
    assert some.solved.tolist() == [0, 1]
    assert "2 most popular of 4" in caplog.text
    # Two items: the weight of one for the other is how often they meet over how often it is
    # there, plus the penalty.
    np.testing.assert_allclose(
        some.score(query((-1, [0], "")))[0], [0, 2 / (3 + 2), 0, 0, 0], atol=1e-6
    )
    blocked = ItemKNN(tiny)
    monkeypatch.undo()
    np.testing.assert_allclose(
        blocked.similar.toarray(), ItemKNN(tiny).similar.toarray()
    )


@pytest.mark.parametrize(
    "scorer", [ItemKNN, EASE, lambda g: EASE(g, 1.0, history=True)]
)
@pytest.mark.parametrize("at_hand", [True, False])
def test_the_withheld_square_of_a_checkerboard_comes_first(scorer, at_hand):
    graph, queries = checkerboard()
    model = scorer(graph)
    # The history alone leads to the same: a wrong parity never comes before a right one.
    if not at_hand:
        scores = model.score(query(*((u, [], "") for u in range(12))))
        same = np.arange(12)[:, None] % 2 == np.arange(12) % 2
        assert all(
            row[ours].min() > row[~ours].max()
            for row, ours in zip(scores, same, strict=True)
        )
        return
    assert (
        evaluate({"m": model}, queries, 12, ks=(1,), progress=False).means()["m"][
            "HR@1"
        ]
        == 1
    )


@pytest.mark.parametrize(
    "scorer", [UserFrequency, ItemKNN, EASE, lambda g: EASE(g, 1.0, history=True)]
)
def test_nobody_has_no_history(scorer):
    scores = scorer(checkerboard()[0]).score(query((-1, [], ""), (11, [], "")))
    assert np.ptp(scores[0]) == 0, "all squares are equally popular"
    assert np.ptp(scores[1]) > 0


def test_popularity_sees_no_pattern_on_a_checkerboard():
    graph, queries = checkerboard()
    means = evaluate(
        {"p": Popularity(graph)}, queries, 12, ks=(1,), progress=False
    ).means()
    assert means["p"] == pytest.approx(
        {"HR@1": 0, "NDCG@1": 0, "Recall@1": 0, "MRR": 1 / 4}
    )


def test_bad_settings_are_named(tiny):
    with pytest.raises(ValueError, match="decay must be positive"):
        UserFrequency(tiny, decay=0)
    with pytest.raises(ValueError, match="no event of the graph has a time"):
        UserFrequency(checkerboard()[0], decay=8)
    with pytest.raises(ValueError, match="penalty must be positive"):
        EASE(tiny, 0.0)
    with pytest.raises(ValueError, match="TF-IDF: 2 texts or vectors for 5 items"):
        TfIdf(tiny, ["a", "b"])
    with pytest.raises(ValueError, match="no item has a word"):
        TfIdf(tiny, ["", "-", "", "", "."])
    with pytest.raises(
        ValueError, match="untuned encoder: 4 texts or vectors for 5 items"
    ):
        UntunedEncoder(tiny, VECTORS[:4], words)
