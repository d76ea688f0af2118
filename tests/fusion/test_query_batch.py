"""Queries as rows: their parts stay together, and nothing excluded is lost."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from fusion.query_batch import QueryBatch, Ragged, join

LISTS = st.lists(st.lists(st.integers(0, 99), max_size=5), max_size=8)


def plain(ragged):
    return [ragged[b].tolist() for b in range(len(ragged))]


def batch_of(lists):
    """A query for every list: its context, and everything else told from its number."""
    n = len(lists)
    numbers, targets = np.arange(n), Ragged.of([[i, i] for i in range(n)])
    return QueryBatch(
        numbers - 1,
        Ragged.of(lists),
        tuple(f"text {i}" for i in range(n)),
        targets,
        numbers % 3,
    )


@given(LISTS)
def test_ragged_is_the_lists_it_is_made_of(lists):
    ragged = Ragged.of(lists)
    assert plain(ragged) == lists
    assert ragged.lengths.tolist() == [len(x) for x in lists]
    assert ragged.owners.tolist() == [b for b, x in enumerate(lists) for _ in x]
    assert ragged.rows.dtype == ragged.offsets.dtype == np.int64


@given(LISTS, st.data())
def test_taking_picks_lists_in_the_order_asked_for_and_more_than_once(lists, data):
    which = (
        data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=10))
        if lists
        else []
    )
    taken = Ragged.of(lists).take(np.array(which, np.int64))
    assert plain(taken) == [lists[i] for i in which]
    again = taken.take(np.arange(len(taken)))
    assert (
        again.offsets.tolist() == taken.offsets.tolist()
        and again.rows.tolist() == taken.rows.tolist()
    )


@given(LISTS, st.data())
def test_taken_queries_keep_their_parts_together(lists, data):
    which = (
        data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=10))
        if lists
        else []
    )
    taken = batch_of(lists).take(np.array(which, np.int64))
    assert len(taken) == len(which)
    assert taken.users.tolist() == [i - 1 for i in which]
    assert plain(taken.context) == [lists[i] for i in which]
    assert taken.texts == tuple(f"text {i}" for i in which)
    assert plain(taken.targets) == [[i, i] for i in which]
    assert taken.groups.tolist() == [i % 3 for i in which]


@given(LISTS, st.integers(1, 9))
def test_batches_are_all_queries_once_in_order(lists, size):
    batches = list(batch_of(lists).batches(size))
    assert [x for b in batches for x in plain(b.context)] == lists
    assert [u for b in batches for u in b.users.tolist()] == list(
        range(-1, len(lists) - 1)
    )
    assert all(len(b) == size for b in batches[:-1]) and all(
        0 < len(b) <= size for b in batches
    )


def test_what_is_excluded_is_the_context_and_what_else_is_said():
    context, more = Ragged.of([[1, 2], [], [3]]), Ragged.of([[5], [4], []])
    plain_batch = QueryBatch.of([0, -1, 2], context)
    assert plain_batch.excluded is context
    assert plain(replace(plain_batch, exclude=more).excluded) == [[1, 2, 5], [4], [3]]


def test_tensors_are_the_rows_made_once_a_device_and_may_be_trained_on():
    context, more = Ragged.of([[1, 2], [], [3]]), Ragged.of([[5], [4], []])
    batch = QueryBatch.of([0, -1, 2], context, ["a", "", "b"], more)
    cpu = torch.device("cpu")
    with torch.inference_mode():
        tensors = batch.to(cpu)
    assert batch.to(cpu) is tensors and len(tensors) == 3
    assert tensors.context.tolist() == [1, 2, 3]
    assert tensors.owners.tolist() == [0, 0, 2]
    assert tensors.excluded.tolist() == [1, 2, 5, 4, 3]
    assert tensors.excluded_owners.tolist() == [0, 0, 0, 1, 2]
    assert tensors.known_users.tolist() == [0, 2]
    assert tensors.texts == ("a", "", "b")
    assert not tensors.context.is_inference()


def test_a_query_has_input_by_its_user_its_context_or_where_read_its_text():
    batch = QueryBatch.of(
        [0, -1, -1, -1], Ragged.of([[], [1], [], []]), ["", "", "red", " "]
    )
    assert batch.has_input(text=True).tolist() == [True, True, True, False]
    assert batch.has_input(text=False).tolist() == [True, True, False, False]


def test_joined_queries_keep_their_values(trained):
    queries = [queries for _, _, queries in trained.prepared.folds]
    joined = join(queries)
    assert len(joined) == sum(map(len, queries))
    for start, part in ((0, queries[0]), (len(queries[0]), queries[1])):
        for n in range(len(part)):
            assert (
                joined.users[start + n] == part.users[n]
                and joined.texts[start + n] == part.texts[n]
            )
            assert np.array_equal(joined.context[start + n], part.context[n])
            assert np.array_equal(joined.targets[start + n], part.targets[n])
    assert joined.exclude is None


def test_joined_queries_keep_their_exclusions(trained):
    one, other = (queries for _, _, queries in trained.prepared.folds)
    masked = Ragged.of([[n % 3, 5] for n in range(len(other))])
    joined = join([one, replace(other, exclude=masked)])
    assert joined.exclude is not None and not joined.exclude.lengths[: len(one)].any()
    assert all(
        joined.exclude[len(one) + n].tolist() == [n % 3, 5] for n in range(len(other))
    )
