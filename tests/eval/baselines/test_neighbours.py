"""UserKNN, decay and transitions on histories counted by hand, or with a known answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from eval.baselines.counts import ItemKNN
from eval.baselines.histories import Histories, unknown_last
from eval.baselines.neighbours import UserKNN
from eval.baselines.packaged import ALS, BM25, BPR
from eval.baselines.sequential import DecayedItemKNN, Transitions
from eval.measure.protocol import evaluate
from fusion.query_batch import QueryBatch, Ragged
from kg.graph import Graph, build_graph
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.sources.checkerboard import Checkerboard
from kg.tables import Tables

USER, ITEM = NodeType("user", "user"), NodeType("item", "item", text=("words",))
TEXTS = ["red shirt", "red shoe", "hat", "", "blue shoe", "red red red hat"]
# Items a to e, f never taken; w took nothing, and somebody unknown e.
TOOK = {
    "u": [("a", 0), ("b", 1), ("c", 2), ("a", 3)],
    "v": [("a", 5), ("c", 5), ("d", 6)],
    "x": [("b", 0), ("c", 9)],
}
A, B, C, D, E, F = range(6)


def snapshot(took, users, items, texts=None):
    schema = GraphSchema(
        (USER, ITEM), (EdgeType("took", "user", "item", "interaction", time="t"),)
    )
    rows = [
        (user, item, float(time)) for user, some in took.items() for item, time in some
    ]
    edges = dict(
        zip(
            ("source", "target", "time"),
            map(list, zip(*rows, strict=True)),
            strict=True,
        )
    )
    nodes = {
        "user": pa.table({"id": list(users)}),
        "item": pa.table({"id": list(items), "words": texts or [""] * len(items)}),
    }
    return build_graph(Tables(schema, nodes, {"took": pa.table(edges)}))


@pytest.fixture(scope="module")
def tiny():
    return snapshot(TOOK | {"y": [("e", 1)]}, "uvwxy", "abcdef", TEXTS)


def timed(took, times):
    """One user u and items a to d, with times that an edge type without times leaves open."""
    graph = snapshot(took, "u", "abcd")
    return replace(graph, events=replace(graph.events, time=np.array(times)))


def query(*rows):
    """Queries of (user, items, words)."""
    none = Ragged.of([[]] * len(rows))
    items = Ragged.of([row[1] for row in rows])
    return QueryBatch(
        np.array([r[0] for r in rows]),
        items,
        tuple(r[2] for r in rows),
        none,
        np.arange(len(rows)),
    )


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


def test_user_knn_by_hand(tiny):
    one, two = np.log(2), np.log(3)
    length = {
        "u": np.hypot(two, np.hypot(one, one)),
        "v": one * np.sqrt(3),
        "x": one * np.sqrt(2),
    }
    mean = {"u": (two + 2 * one) / 6, "v": 3 * one / 6, "x": 2 * one / 6}
    to_v = (two * one + one * one) / (length["u"] * length["v"])  # a and c
    to_x = 2 * one * one / (length["u"] * length["x"])  # b and c
    below = to_v + to_x
    own = mean["u"]
    expected = [
        own + to_v * (one - mean["v"]) / below,
        own + to_x * (one - mean["x"]) / below,
        own + (to_v * (one - mean["v"]) + to_x * (one - mean["x"])) / below,
        own + to_v * (one - mean["v"]) / below,
    ]
    row = UserKNN(tiny).score(query((0, [], "")))[0]
    np.testing.assert_allclose(row[:4], expected, atol=2e-6)
    assert row[A] > row[D], "both v's alone; a is more popular"
    assert row[D] > row[E] > row[F], "no neighbour took e or f"


def test_user_knn_asks_with_what_is_at_hand(tiny):
    one = np.log(2)
    # b alone: u and x took it; u's ratings are log 3, log 2 and log 2.
    u, x = one / np.hypot(np.log(3), np.hypot(one, one)), 1 / np.sqrt(2)
    row = UserKNN(tiny).score(query((-1, [B], "")))[0]
    mean_u, mean_x = (np.log(3) + 2 * one) / 6, 2 * one / 6
    np.testing.assert_allclose(
        row[A], one / 6 + u * (np.log(3) - mean_u) / (u + x), atol=2e-6
    )
    np.testing.assert_allclose(
        row[B], one / 6 + (u * (one - mean_u) + x * (one - mean_x)) / (u + x), atol=2e-6
    )
    nearest = UserKNN(tiny, neighbours=1).score(query((-1, [B], "")))[0]
    np.testing.assert_allclose(nearest[B], one / 6 + one - mean_x, atol=2e-6)
    assert nearest[C] > nearest[A], "x, the nearest, took no a"
    # At hand with a, x has taken a, b and c once each; of the others only v took d.
    u = (np.log(3) + 2 * one) / (np.sqrt(3) * np.hypot(np.log(3), np.hypot(one, one)))
    v = 2 / 3
    row = UserKNN(tiny).score(query((3, [A], "")))[0]
    np.testing.assert_allclose(
        row[D], one / 2 + v * (one - one / 2) / (u + v), atol=2e-6
    )
    alike = UserKNN(tiny).score(query((2, [B], ""), (-1, [B], "")))
    np.testing.assert_array_equal(alike[0], alike[1], err_msg="w took nothing")


def test_user_knn_shrinks_short_histories():
    graph = snapshot(
        {
            "u": [("a", 0), ("b", 0)],
            "v": [("a", 0), ("b", 0), ("c", 0)],
            "x": [("a", 0), ("d", 0)],
        },
        "uvx",
        "abcd",
    )
    row = UserKNN(graph, shrink=1.0).score(query((0, [], "")))[0]
    one = np.log(2)
    v, x = 2 * one**2 / (np.sqrt(6) * one**2 + 1), one**2 / (2 * one**2 + 1)
    np.testing.assert_allclose(
        row[3], one / 2 + x * (one - one / 2) / (v + x), atol=2e-6
    )


def test_over_the_items_taken_alone_equal_counts_say_nothing():
    graph = snapshot(
        {"u": [("a", 0), ("b", 0)], "v": [("a", 0), ("c", 0)], "x": [("d", 0)]},
        "uvx",
        "abcd",
    )
    taken = UserKNN(graph, mean="interacted").score(query((0, [], "")))[0]
    np.testing.assert_allclose(taken[[0, 2]], np.log(2), atol=2e-6)


def test_histories_are_in_order_of_time(tiny):
    histories = Histories(tiny)
    assert histories.item[:4].tolist() == [A, B, C, A]
    assert histories.age[:4].tolist() == [3, 2, 1, 0]
    assert histories.age[4:7].tolist() == [1, 1, 0]
    assert histories.offsets.tolist() == [0, 4, 7, 7, 9, 10, 10]
    mixed = timed(
        {"u": [("a", 0), ("b", 0), ("c", 0), ("d", 0)]}, [np.nan, 7, np.nan, 3]
    )
    assert Histories(mixed).item.tolist() == [0, 2, 3, 1]
    assert Histories(mixed).age.tolist() == [2, 2, 1, 0]


def test_transitions_by_hand(tiny):
    # u: a b c a, v: {a, c} then d, x: b c. From c: u to a 1, v to d 1. From b: u to c 1 and a
    # 1/2, x to c 1.
    model = Transitions(tiny, decay=0.5)
    expected = np.zeros((6, 6))
    expected[A, [A, B, C, D]] = [1 / 3, 1, 1 / 2, 1]
    expected[B, [A, C]] = [1 / 2, 2]
    expected[C, [A, D]] = [1, 1]
    np.testing.assert_allclose(model.next.toarray(), expected, atol=1e-6)
    scores = model.score(
        query((-1, [B, C], ""), (-1, [C, B], ""), (3, [], ""), (0, [], ""), (1, [], ""))
    )
    np.testing.assert_allclose(scores[0], expected[C] + expected[B] / 2, atol=2e-3)
    np.testing.assert_allclose(scores[1], expected[B] + expected[C] / 2, atol=2e-3)
    np.testing.assert_allclose(scores[2], expected[C] + expected[B] / 2, atol=2e-3)
    # The a that u took first and last counts from the last; v took a and c together, before d,
    # which leads nowhere.
    np.testing.assert_allclose(
        scores[3], expected[A] + expected[C] / 2 + expected[B] / 4, atol=2e-3
    )
    np.testing.assert_allclose(scores[4], (expected[A] + expected[C]) / 2, atol=2e-3)
    assert scores[0, A] > scores[0, D]


def test_transitions_reach_only_so_far(tiny):
    np.testing.assert_allclose(
        Transitions(tiny, window=1).next.toarray()[A], [0, 1, 0, 1, 0, 0]
    )
    assert np.diff(Transitions(tiny, keep=1).next.indptr).max() == 1
    together = (
        Transitions(tiny, together=0.25).next.toarray()
        - Transitions(tiny).next.toarray()
    )
    assert np.argwhere(abs(together) > 1e-6).tolist() == [[A, C], [C, A]]
    assert together[A, C] == 0.25


def test_decay_goes_by_place_and_by_moment(tiny):
    model = DecayedItemKNN(tiny, decay=0.5)
    near = model.similar.toarray()
    scores = model.score(query((-1, [D, B, D], ""), (0, [], ""), (1, [], "")))
    np.testing.assert_allclose(scores[0], near[D] + near[B] / 2, atol=2e-3)
    np.testing.assert_allclose(
        scores[1], near[A] + near[C] / 2 + near[B] / 4, atol=2e-3
    )
    np.testing.assert_allclose(scores[2], near[D] + (near[A] + near[C]) / 2, atol=2e-3)


def test_without_decay_it_is_item_knn(tiny):
    queries = query((-1, [D, B, D], ""), (0, [], ""), (1, [A], ""), (-1, [], ""))
    np.testing.assert_allclose(
        DecayedItemKNN(tiny, decay=1.0).score(queries), ItemKNN(tiny).score(queries)
    )


def test_what_lies_long_ago_still_comes_before_the_unknown():
    took = {
        "u": [("a", 0)] + [("z", t) for t in range(1, 400)],
        "v": [("a", 0), ("b", 1)],
        "x": [("c", 0), ("c", 1)],
    }
    scores = DecayedItemKNN(snapshot(took, "uvx", "abcz"), decay=0.5).score(
        query((0, [], ""))
    )[0]
    assert scores[1] > scores[2] > 0


def board(asked):
    """Each user by history or with all it took as context; the withheld item must come first."""
    source = Checkerboard()
    graph = build_graph(source.load())
    users = np.array([graph.vocabs["user"].row(u) for u in source.withheld])
    targets = Ragged.of(
        [[graph.vocabs["item"].row(i)] for i in source.withheld.values()]
    )
    events = graph.events
    lists = [np.unique(events.item[events.user == u]) for u in users]
    items = Ragged.of(lists)
    every = np.where(asked == "items", -1, users)
    return graph, QueryBatch(every, items, ("",) * len(users), targets, users)


@pytest.mark.parametrize("name", ["user knn", "decay", "als", "bpr"])
@pytest.mark.parametrize("asked", ["user", "items"])
def test_the_withheld_square_of_a_checkerboard_comes_first(name, asked):
    graph, queries = board(asked)
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


def test_bpr_folds_the_training_users_onto_themselves():
    graph, queries = board("user")
    model = build("bpr", graph)
    folded = model.fold(model.counts.history[queries.users], queries.users)
    np.testing.assert_allclose(
        folded[:, -1], 1, atol=1e-4, err_msg="the items' bias counts once"
    )
    assert (
        np.abs(folded - model.users[queries.users]).mean()
        < 0.5 * np.abs(model.users[queries.users]).mean()
    )


def test_transitions_stay_on_their_colour():
    graph, queries = board("user")
    scores = Transitions(graph).score(queries)
    for b, row in enumerate(scores):
        row[queries.context[b]] = -np.inf
        assert row.argmax() == queries.targets[b][0]


def test_unknown_items_come_last_whatever_the_sign():
    scores = np.array([[-5, 0, 3, 0], [7, 7, 7, 7]], np.float32)
    known = np.array([[True, False, True, False], [False] * 4])
    found = unknown_last(scores, known, np.array([0, 1, 0, 9], np.float32))
    assert found[0].argsort().tolist() == [1, 3, 0, 2]
    assert found[1].argmax() == 3


def test_bad_settings_are_named(tiny):
    for decay in (0, 1.5):
        with pytest.raises(ValueError, match="decay must be above 0 and at most 1"):
            Transitions(tiny, decay=decay)
    timeless = timed({"u": [("a", 0), ("b", 0)]}, [np.nan, np.nan])
    with pytest.raises(ValueError, match="transitions: no event of a user has a time"):
        Transitions(timeless)
    with pytest.raises(ValueError, match="UserKNN: 0 neighbours"):
        UserKNN(tiny, neighbours=0)
