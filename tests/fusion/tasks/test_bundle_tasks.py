"""Asks in the words of bundles, and asks of whole collections, against the events themselves."""

from dataclasses import replace

import numpy as np
import pytest

from fusion.tasks.basket_completion import BasketCompletion
from fusion.tasks.bundle_intent import BundleIntent
from fusion.tasks.folds import FoldConfig, make_folds
from fusion.tasks.user_history import UserHistory
from kg.errors import DataError
from kg.graph import build_graph

TASKS = [
    BasketCompletion(min_items=2, every=True, text=True, limit=9),
    BundleIntent(limit=9),
    UserHistory(limit=9),
    UserHistory(draws=1),
]


@pytest.fixture(scope="module")
def fold(worded):
    return make_folds(build_graph(worded()), FoldConfig(1, 4.0, cold=0.0), 0)[0]


def plain(queries):
    lists = zip(
        queries.users.tolist(), queries.texts, queries.groups.tolist(), strict=True
    )
    return [
        (user, queries.context[b].tolist(), text, queries.targets[b].tolist(), group)
        for b, (user, text, group) in enumerate(lists)
    ]


def baskets(events):
    """By bundle row: its owners and items."""
    found: dict[int, tuple[set[int], set[int]]] = {}
    for user, bundle, item in zip(
        events.user.tolist(), events.bundle.tolist(), events.item.tolist(), strict=True
    ):
        if bundle >= 0:
            owners, items = found.setdefault(bundle, (set(), set()))
            owners.add(user)
            items.add(item)
    return found


def pairs(events):
    return {
        (u, i)
        for u, i in zip(events.user.tolist(), events.item.tolist(), strict=True)
        if u >= 0
    }


@pytest.mark.parametrize("task", TASKS, ids=str)
class TestEveryTask:
    def test_one_target_in_training_never_at_hand_and_the_same_by_seed(
        self, fold, task
    ):
        queries = plain(task.training(fold.graph, fold.asked, 0))
        assert (
            len(queries) == getattr(task, "limit", 0)
            or len(queries) == len({user for user, *_ in queries}) > 3
        )
        for _, items, _, targets, _ in queries:
            assert (
                len(targets) == 1
                and targets[0] not in items
                and len(set(items)) == len(items)
            )
        others = [
            plain(task.training(fold.graph, fold.asked, seed)) for seed in range(5)
        ]
        assert queries == others[0] and any(queries != other for other in others)

    def test_the_order_of_events_makes_no_difference(self, fold, task):
        order = np.random.default_rng(1).permutation(len(fold.asked))
        seen = np.random.default_rng(2).permutation(len(fold.graph.events))
        graph, asked = (
            replace(fold.graph, events=fold.graph.events.take(seen)),
            fold.asked.take(order),
        )
        for name in ("training", "held_out"):
            draw = getattr(task, name)
            assert plain(draw(graph, asked, 0)) == plain(
                draw(fold.graph, fold.asked, 0)
            )

    def test_nothing_to_ask_about_gives_no_asks(self, fold, task):
        nothing = fold.asked.take(np.zeros(0, np.int64))
        assert (
            plain(task.training(fold.graph, nothing, 0))
            == plain(task.held_out(fold.graph, nothing, 0))
            == []
        )
        blind = fold.graph.without_items(np.arange(fold.graph.size("item")))
        assert plain(task.held_out(blind, fold.asked, 0))


def test_every_item_of_a_basket_is_the_target_once_with_the_baskets_words(fold):
    found = {b: v for b, v in baskets(fold.asked).items() if len(v[1]) >= 3}
    task = BasketCompletion(
        min_items=3, draws=2, limit=0, user=False, text=True, every=True
    )
    for queries in (
        task.held_out(fold.graph, fold.asked, 0),
        task.training(fold.graph, fold.asked, 0),
    ):
        wanted = [
            (
                -1,
                sorted(items - {target}),
                fold.asked.words[b],
                [target],
                min(owners) if min(owners) >= 0 else -1 - b,
            )
            for b, (owners, items) in sorted(found.items())
            for target in sorted(items)
        ]
        assert plain(queries) == wanted and len(wanted) > 5
    limited = BasketCompletion(min_items=3, limit=4, user=False, text=True, every=True)
    some = plain(limited.training(fold.graph, fold.asked, 0))
    assert len(some) == 4 and all(query in wanted for query in some)
    assert len(limited.held_out(fold.graph, fold.asked, 0)) == len(wanted)
    assert set(
        BasketCompletion(min_items=3).held_out(fold.graph, fold.asked, 0).texts
    ) == {""}


def test_words_ask_for_the_items_of_their_bundle(worded):
    graph = build_graph(worded())
    found = {
        b: v for b, v in baskets(graph.events).items() if b != 3
    }  # b3 has no words
    held = plain(BundleIntent(limit=2).held_out(graph, graph.events, 0))
    assert held == [
        (
            -1,
            [],
            f"what b{b} is for",
            sorted(items),
            min(owners) if min(owners) >= 0 else -1 - b,
        )
        for b, (owners, items) in sorted(found.items())
    ]
    queries = plain(BundleIntent().training(graph, graph.events, 0))
    assert queries == [
        (*query[:3], [target], query[4]) for query in held for target in query[3]
    ]


@pytest.mark.parametrize(
    "task", [BundleIntent(), BasketCompletion(min_items=2, text=True)], ids=str
)
def test_bundles_that_have_no_words_are_refused(shop, task):
    graph = build_graph(shop())
    with pytest.raises(DataError, match="the graph's bundle type has no text"):
        task.held_out(graph, graph.events, 0)


def test_collections_ask_for_all_that_is_new_beside_all_that_the_user_has(fold):
    has, new = pairs(fold.graph.events), pairs(fold.asked) - pairs(fold.graph.events)
    assert pairs(fold.asked) & has and has  # some are taken again

    def query(user, targets):
        return (user, sorted(i for u, i in has if u == user), "", sorted(targets), user)

    users = sorted({user for user, _ in new})
    held = [query(user, {i for u, i in new if u == user}) for user in users]
    assert (
        plain(UserHistory(limit=1, draws=1).held_out(fold.graph, fold.asked, 0)) == held
    )
    assert max(len(targets) for *_, targets, _ in held) > 1
    every = plain(UserHistory().training(fold.graph, fold.asked, 0))
    assert every == [query(user, {item}) for user, item in sorted(new)]
    two = UserHistory(draws=2).training(fold.graph, fold.asked, 0)
    counts = np.unique([user for user, _ in sorted(new)], return_counts=True)[1]
    assert (
        np.unique(two.users, return_counts=True)[1].tolist()
        == np.minimum(counts, 2).tolist()
    )
    assert len(UserHistory(limit=3).training(fold.graph, fold.asked, 0)) == 3
    blank = fold.graph.without_items(np.arange(fold.graph.size("item")))
    assert all(
        items == []
        for _, items, *_ in plain(UserHistory().held_out(blank, fold.asked, 0))
    )


def test_collections_that_are_not_at_hand_are_masked(fold):
    for asked in (UserHistory.training, UserHistory.held_out):
        hand, hidden = (
            asked(UserHistory(in_context=there, draws=2), fold.graph, fold.asked, 0)
            for there in (True, False)
        )
        assert (
            hand.exclude is None
            and hidden.exclude is not None
            and not len(hidden.context.rows)
        )
        assert plain(replace(hidden, context=hidden.exclude)) == plain(hand)
        assert all(
            hidden.excluded[b].tolist() == hand.context[b].tolist()
            for b in range(len(hand))
        )
