"""What holds of the queries of every task."""

from dataclasses import replace

import numpy as np
import pytest

from fusion.tasks.attribute_search import AttributeSearch
from fusion.tasks.basket_completion import BasketCompletion
from fusion.tasks.next_item import NextItem
from tests.fusion.tasks.drawn import plain

TASKS = [
    BasketCompletion(min_items=2, draws=3),
    NextItem(),
    NextItem(exclude_seen=False, draws=2),
    AttributeSearch(50),
]


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_queries_have_one_target_outside_the_context_and_repeat_by_seed(fold, task):
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
def test_no_events_give_no_queries(fold, task):
    nothing = fold.asked.take(np.zeros(0, np.int64))
    assert (
        plain(task.training(fold.graph, nothing, 0))
        == plain(task.held_out(fold.graph, nothing, 0))
        == []
    )
