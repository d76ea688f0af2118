"""Asks drawn from events, against the events themselves."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from fusion.tasks.attribute_search import SENTENCES, AttributeSearch
from fusion.tasks.basket_completion import BasketCompletion
from fusion.tasks.folds import FoldConfig, make_folds
from fusion.tasks.next_item import NextItem
from kg.errors import DataError
from kg.graph import build_graph

TASKS = [
    BasketCompletion(min_items=2, draws=3),
    NextItem(),
    NextItem(exclude_seen=False, draws=2),
    AttributeSearch(50),
]


@pytest.fixture(scope="module")
def fold(shop):
    return make_folds(build_graph(shop()), FoldConfig(1, 4.0, cold=0.0), 0)[0]


def plain(queries):
    return [
        (
            queries.users[b].item(),
            queries.context[b].tolist(),
            queries.texts[b],
            queries.targets[b].tolist(),
            queries.groups[b].item(),
        )
        for b in range(len(queries))
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


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_one_target_never_at_hand_and_the_same_by_seed(fold, task):
    queries = task.training(fold.graph, fold.asked, 0)
    assert len(queries) > 3
    for _, items, _, targets, _ in plain(queries):
        assert (
            len(targets) == 1
            and targets[0] not in items
            and len(set(items)) == len(items)
        )
    assert (
        plain(queries)
        == plain(task.training(fold.graph, fold.asked, 0))
        != plain(task.training(fold.graph, fold.asked, 1))
    )


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_the_order_of_events_and_edges_makes_no_difference(fold, task):
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(fold.asked))
        edges = {
            key: e.take(np.random.default_rng(seed).permutation(len(e)))
            for key, e in fold.graph.edges.items()
        }
        shuffled = replace(fold.graph, edges=edges)
        queries = task.training(shuffled, fold.asked.take(order), seed)
        assert plain(queries) == plain(task.training(fold.graph, fold.asked, seed))


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_nothing_to_ask_about_gives_no_asks(fold, task):
    nothing = fold.asked.take(np.zeros(0, np.int64))
    assert (
        plain(task.training(fold.graph, nothing, 0))
        == plain(task.held_out(fold.graph, nothing, 0))
        == []
    )


@pytest.mark.parametrize("least", [2, 3, 4])
def test_a_basket_without_one_item_asks_for_that_item(fold, least):
    found = {
        b: (owners, items)
        for b, (owners, items) in baskets(fold.asked).items()
        if len(items) >= least
    }
    queries = plain(
        BasketCompletion(min_items=least).held_out(fold.graph, fold.asked, 0)
    )
    assert len(queries) == len(found)
    for (user, items, text, (target,), group), (bundle, (owners, whole)) in zip(
        queries, sorted(found.items()), strict=True
    ):
        assert {*items, target} == whole and user == min(owners) and text == ""
        assert group == (user if user >= 0 else -1 - bundle)


def test_every_item_of_a_basket_may_be_the_target_and_all_are_as_likely(fold):
    bundle, (_, items) = max(baskets(fold.asked).items(), key=lambda kv: len(kv[1][1]))
    events = fold.asked.take(fold.asked.bundle == bundle)
    queries = BasketCompletion(min_items=2, draws=400).training(fold.graph, events, 0)
    found, counts = np.unique(queries.targets.rows, return_counts=True)
    assert set(found.tolist()) == items and len(queries) == 400
    assert counts.min() > 0.7 * 400 / len(items)


def test_draws_and_limits_of_baskets(fold):
    many = BasketCompletion(min_items=2, draws=3).training(fold.graph, fold.asked, 0)
    once = BasketCompletion(min_items=2).training(fold.graph, fold.asked, 0)
    assert len(many) == 3 * len(once) and len(once) > 3
    assert (
        len(
            BasketCompletion(min_items=2, draws=3, limit=5).training(
                fold.graph, fold.asked, 0
            )
        )
        == 5
    )
    held = BasketCompletion(min_items=2, draws=3, limit=2).held_out(
        fold.graph, fold.asked, 0
    )
    assert len(held) == len(once)  # what is measured is all of it, once
    anonymous = BasketCompletion(min_items=2, user=False).training(
        fold.graph, fold.asked, 0
    )
    assert (
        (anonymous.users == -1).all()
        and (anonymous.groups == once.groups).all()
        and (once.users >= 0).any()
    )


@pytest.mark.parametrize("most", [2, 3, 4])
def test_baskets_of_more_items_than_the_limit_are_left_out(fold, most):
    sizes = [len(items) for _, items in baskets(fold.asked).values()]
    task = BasketCompletion(min_items=2, max_items=most)
    for queries in (
        task.training(fold.graph, fold.asked, 0),
        task.held_out(fold.graph, fold.asked, 0),
    ):
        assert sorted(len(items) + 1 for _, items, *_ in plain(queries)) == sorted(
            s for s in sizes if 2 <= s <= most
        )
    with pytest.raises(ValueError, match="max_items 2 must be 0 or at least 3"):
        BasketCompletion(min_items=3, max_items=2)


@pytest.mark.parametrize("new", [True, False])
def test_next_items_are_taken_in_the_window_and_new_where_only_those_are_asked_for(
    fold, new
):
    before = set(
        zip(
            fold.graph.events.user.tolist(),
            fold.graph.events.item.tolist(),
            strict=True,
        )
    )
    taken = {
        (u, i)
        for u, i in zip(fold.asked.user.tolist(), fold.asked.item.tolist(), strict=True)
        if u >= 0
    }
    assert taken & before  # some are taken again
    queries = plain(
        NextItem(exclude_seen=new, draws=99).training(fold.graph, fold.asked, 0)
    )
    assert {(user, target) for user, _, _, (target,), _ in queries} == (
        taken - before if new else taken
    )
    assert all(
        items == [] and text == "" and group == user
        for user, items, text, _, group in queries
    )
    assert len(queries) == len(taken - before if new else taken)  # none twice


def test_draws_and_limits_of_next_items(fold):
    few = NextItem(draws=2).training(fold.graph, fold.asked, 0)
    assert np.bincount(few.users).max() == 2
    held = NextItem(draws=2).held_out(fold.graph, fold.asked, 0)
    assert held.users.tolist() == sorted(set(few.users.tolist()))  # one a user
    assert len(NextItem(limit=3).training(fold.graph, fold.asked, 0)) == 3
    targets = {
        NextItem().held_out(fold.graph, fold.asked, seed).targets.rows[0].item()
        for seed in range(20)
    }
    assert len(targets) > 1


def test_settings_of_next_items_are_checked():
    for make in (
        lambda: NextItem(draws=-1),
        lambda: NextItem(limit=-1),
        lambda: NextItem(history=-1),
    ):
        with pytest.raises(
            ValueError, match="draws, limit and history must be at least 0"
        ):
            make()


@pytest.mark.parametrize("most", [2, 50])
def test_the_history_is_what_the_user_took_oldest_first_and_none_of_it_is_asked_for(
    fold, most
):
    events = fold.graph.events
    rows = zip(
        events.time.tolist(), events.item.tolist(), events.user.tolist(), strict=True
    )
    taken = sorted(row for row in rows if row[2] >= 0)
    found = NextItem(exclude_seen=False, draws=9, history=most).training(
        fold.graph, fold.asked, 0
    )
    every = plain(
        NextItem(exclude_seen=False, draws=9).training(fold.graph, fold.asked, 0)
    )
    asked, taken_again = {(user, target) for user, *_, (target,), _ in plain(found)}, 0
    hands = {user: items for user, items, *_ in plain(found)}
    for user, _, _, (target,), _ in every:
        latest: dict[int, bool] = {}
        for _, item, who in taken:
            if who == user:
                latest.pop(item, None)  # where it was taken last
                latest[item] = True
        hand = list(latest)[-most:]
        assert hands.get(user, hand) == hand and ((user, target) in asked) == (
            target not in hand
        )
        taken_again += target in latest
    assert taken_again and max(found.context.lengths) > 1


def test_words_are_titles_of_attributes_of_the_target_and_only_of_those_with_text(shop):
    """Brands have words, tags have none; the title is read where there is one, not the id."""
    tables = shop()
    schema = tables.schema.to_dict()
    schema["nodes"][3] |= {"title": "name", "text": ["name"]}
    schema["nodes"].append({"name": "tag", "role": "attribute"})
    schema["edges"].append(
        {"name": "tagged", "source": "item", "target": "tag", "role": "relation"}
    )
    every = tables.nodes["item"]["id"]
    nodes = {**tables.nodes, "tag": pa.table({"id": ["t0"]})}
    nodes["brand"] = tables.nodes["brand"].append_column(
        "name", pa.array([f"Brand {n}" for n in range(4)])
    )
    edges = {
        **tables.edges,
        "tagged": pa.table({"source": every, "target": ["t0"] * len(every)}),
    }
    graph = build_graph(
        type(tables)(type(tables.schema).from_dict(schema), nodes, edges)
    )
    queries = plain(AttributeSearch(80, anonymous=1.0).training(graph, graph.events, 0))
    edge = graph.edges[("item", "by", "brand")]
    named = {
        (f"Brand {b}", i)
        for i, b in zip(edge.source.tolist(), edge.target.tolist(), strict=True)
    }
    assert {(text, target) for _, _, text, (target,), _ in queries} <= named
    assert len(queries) > 20 and all(
        user == -1 and items == [] for user, items, *_ in queries
    )
    assert {target for *_, (target,), _ in queries} == set(
        graph.events.item.tolist()
    ) & set(edge.source.tolist())
    taken = set(
        zip(graph.events.user.tolist(), graph.events.item.tolist(), strict=True)
    )
    held = plain(AttributeSearch().held_out(graph, graph.events, 0))
    assert {(user, target) for user, _, _, (target,), _ in held} <= taken
    assert len(held) > 1 and any(user >= 0 for user, *_ in held)
    assert (
        not AttributeSearch(relations=("tagged",))
        .training(graph, graph.events, 0)
        .texts
    )


def test_words_are_drawn_as_often_as_items_are_taken(shop):
    graph = build_graph(shop())
    rows = np.repeat([2, 4], [30, 10])  # two items that have a brand
    events = graph.events.take(np.zeros(40, np.int64))
    queries = AttributeSearch(4000).training(graph, replace(events, item=rows), 0)
    assert np.bincount(queries.targets.rows)[2] / len(queries) == pytest.approx(
        0.75, abs=0.03
    )


def test_who_asks_with_words_is_known_but_for_a_share_in_training(shop):
    graph = build_graph(shop())
    taken = set(
        zip(graph.events.user.tolist(), graph.events.item.tolist(), strict=True)
    )
    nobody = (graph.events.user < 0).mean()
    for share in (0.0, 0.3, 1.0):
        queries = AttributeSearch(3000, anonymous=share).training(
            graph, graph.events, 0
        )
        assert (queries.users < 0).mean() == pytest.approx(
            share + (1 - share) * nobody, abs=0.06
        )
        known = queries.users >= 0
        assert (
            set(
                zip(
                    queries.users[known].tolist(),
                    queries.targets.rows[known].tolist(),
                    strict=True,
                )
            )
            <= taken
        )
    assert np.unique(queries.groups).size == len(
        queries
    )  # an anonymous user is no group


def test_a_share_of_the_training_asks_is_said_in_sentences(shop):
    graph = build_graph(shop())
    names = AttributeSearch(2000).training(graph, graph.events, 0)
    said = AttributeSearch(2000, sentences=0.3).training(graph, graph.events, 0)
    assert (names.targets.rows == said.targets.rows).all() and (
        names.users == said.users
    ).all()
    wrapped = [a != b for a, b in zip(names.texts, said.texts, strict=True)]
    assert np.mean(wrapped) == pytest.approx(0.3, abs=0.05)
    for name, text in zip(names.texts, said.texts, strict=True):
        assert text == name or text in {sentence.format(name) for sentence in SENTENCES}
    held = AttributeSearch(sentences=1.0).held_out(graph, graph.events, 0)
    assert held.texts == AttributeSearch().held_out(graph, graph.events, 0).texts


def test_every_held_out_bundle_and_single_item_is_asked_for_in_words_once(shop):
    graph = build_graph(shop())
    named = set(graph.edges[("item", "by", "brand")].source.tolist())
    events = graph.events.take(np.isin(graph.events.item, list(named)))
    queries = AttributeSearch(limit=0).held_out(graph, events, 0)
    assert len(queries) == len(baskets(events)) + (events.bundle < 0).sum()


def test_a_relation_that_is_not_there_is_refused(shop):
    graph = build_graph(shop())
    with pytest.raises(DataError, match="no relation 'bye'"):
        AttributeSearch(relations=("by", "bye")).training(graph, graph.events, 0)


@pytest.mark.parametrize(
    "wrong", [{"limit": -1}, {"anonymous": 1.1}, {"sentences": -0.1}]
)
def test_shares_that_make_no_sense_are_refused(wrong):
    with pytest.raises(
        ValueError, match=f"words: {next(iter(wrong))} {next(iter(wrong.values()))}"
    ):
        AttributeSearch(**wrong)
