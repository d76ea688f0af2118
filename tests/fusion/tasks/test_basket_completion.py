"""Queries drawn from baskets, against the baskets themselves."""

import numpy as np
import pytest

from fusion.tasks.basket_completion import BasketCompletion
from tests.fusion.tasks.drawn import baskets, plain


@pytest.mark.parametrize("least", [2, 3, 4])
def test_the_target_is_the_item_left_out_of_the_basket(fold, least):
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
