"""What every baseline of histories must hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from eval.baselines.neighbours import UserKNN
from eval.baselines.packaged import ALS, BM25, BPR
from eval.baselines.sequential import DecayedItemKNN, Transitions
from eval.measure.protocol import evaluate
from kg.graph import Graph
from tests.eval.baselines.interactions import (
    TEXTS,
    A,
    B,
    C,
    D,
    E,
    F,
    checkerboard_queries,
    history_graph,
    timed,
)
from tests.eval.baselines.queries import query


@pytest.fixture(scope="module")
def tiny():
    return history_graph()


COUNTING: dict[str, Callable[[Graph], Any]] = {
    "user knn": UserKNN,
    "user knn, two": lambda g: UserKNN(g, neighbours=2, shrink=1.0),
    "user knn, taken": lambda g: UserKNN(g, mean="interacted"),
    "decay": DecayedItemKNN,
    "transitions": Transitions,
    "together": lambda g: Transitions(g, together=0.5, keep=2),
}
PACKAGED: dict[str, tuple[str, Callable[[Graph], Any]]] = {
    "bm25": ("bm25s", lambda g: BM25(g, TEXTS)),
    "als": ("implicit", lambda g: ALS(g, factors=4)),
    "bpr": ("implicit", lambda g: BPR(g, factors=4)),
}


def build(name, graph):
    if name in COUNTING:
        return COUNTING[name](graph)
    package, maker = PACKAGED[name]
    pytest.importorskip(package, reason="needs the benchmark extra")
    return maker(graph)


EVERY = pytest.mark.parametrize("name", [*COUNTING, *PACKAGED])


@EVERY
def test_with_nothing_to_go_by_popularity_decides(tiny, name):
    scores = build(name, tiny).score(query((-1, [], ""), (2, [], "")))
    assert scores.dtype == np.float32
    # a and c 3 times, b twice, d and e once, f never
    for row in scores:
        assert row[A] == row[C] > row[B] > row[D] == row[E] > row[F]


@EVERY
def test_asks_do_not_see_each_other(tiny, name):
    scorer = build(name, tiny)
    mixed = query(
        (0, [C], ""),
        (-1, [], "shoe"),
        (1, [], ""),
        (2, [F], "hat"),
        (-1, [], ""),
        (0, [A, D], ""),
        (3, [E], ""),
    )
    alone = np.concatenate(
        [scorer.score(mixed.take(np.array([b]))) for b in range(len(mixed))]
    )
    np.testing.assert_allclose(scorer.score(mixed), alone, rtol=1e-5, atol=1e-6)
    before = scorer.score(mixed).copy()
    scorer.score(mixed)[:] = 0
    np.testing.assert_array_equal(
        scorer.score(mixed), before, err_msg="the caller's array is the scorer's own"
    )


@pytest.mark.parametrize("name", [*COUNTING, "als", "bpr"])
def test_an_item_never_taken_comes_last_and_says_nothing(tiny, name):
    scorer = build(name, tiny)
    scores = scorer.score(query((-1, [A, C], ""), (-1, [F], "")))
    assert (scores[:, :F] > scores[:, [F]]).all()
    row = scores[1]
    assert row[A] == row[C] > row[B] > row[D] == row[E]


@pytest.mark.parametrize("name", ["user knn", "decay", "als", "bpr"])
@pytest.mark.parametrize("asked", ["user", "items"])
def test_the_withheld_square_of_a_checkerboard_comes_first(name, asked):
    graph, queries = checkerboard_queries(asked)
    model = build(name, graph)
    if asked == "items":
        assert (
            evaluate(
                {"m": model}, queries, graph.size("item"), ks=(1,), progress=False
            ).means()["m"]["HR@1"]
            == 1
        )
        return
    scores = model.score(query(*((u, [], "") for u in queries.users)))
    for b, row in enumerate(scores):
        row[queries.context[b]] = -np.inf
        assert row.argmax() == queries.targets[b][0]


def test_bad_settings_are_named(tiny):
    for decay in (0, 1.5):
        with pytest.raises(ValueError, match="decay must be above 0 and at most 1"):
            Transitions(tiny, decay=decay)
    timeless = timed({"u": [("a", 0), ("b", 0)]}, [np.nan, np.nan])
    with pytest.raises(ValueError, match="transitions: no event of a user has a time"):
        Transitions(timeless)
    with pytest.raises(ValueError, match="UserKNN: 0 neighbours"):
        UserKNN(tiny, neighbours=0)
