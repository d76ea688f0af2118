"""Queries for next items, against the events themselves."""

import numpy as np
import pytest

from fusion.tasks.next_item import NextItem
from tests.fusion.tasks.drawn import plain


@pytest.mark.parametrize("new", [True, False])
def test_targets_are_of_the_window_and_unseen_where_asked(fold, new):
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
def test_history_is_oldest_first_and_never_the_target(fold, most):
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
