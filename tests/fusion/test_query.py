import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion.query import Constraints, Query
from fusion.query_batch import QueryBatch, Ragged
from kg.errors import InputError

LISTS = st.lists(st.lists(st.integers(0, 99), max_size=5), max_size=8)


def plain(ragged):
    return [ragged[b].tolist() for b in range(len(ragged))]


def asks_of(lists):
    """A query for every list: its rows at hand, and everything else told from its number."""
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
def test_taken_asks_keep_their_parts_together(lists, data):
    which = (
        data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=10))
        if lists
        else []
    )
    taken = asks_of(lists).take(np.array(which, np.int64))
    assert len(taken) == len(which)
    assert taken.users.tolist() == [i - 1 for i in which]
    assert plain(taken.context) == [lists[i] for i in which]
    assert taken.texts == tuple(f"text {i}" for i in which)
    assert plain(taken.targets) == [[i, i] for i in which]
    assert taken.groups.tolist() == [i % 3 for i in which]


@given(LISTS, st.integers(1, 9))
def test_batches_are_all_asks_once_in_order(lists, size):
    batches = list(asks_of(lists).batches(size))
    assert [x for b in batches for x in plain(b.context)] == lists
    assert [u for b in batches for u in b.users.tolist()] == list(
        range(-1, len(lists) - 1)
    )
    assert all(len(b) == size for b in batches[:-1]) and all(
        0 < len(b) <= size for b in batches
    )


def test_an_ask_is_checked():
    assert Query(items=["a", "b"]).items == ("a", "b")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'abc'"):
        Query(items="abc")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1, not 0"):
        Query(k=0)


def test_constraints_may_be_mappings_as_they_are_over_http():
    told = Constraints(
        within={"colour": ["red"]},  # type: ignore[arg-type]
        without={"a": ("b",)},  # type: ignore[arg-type]
        between={"price": [None, 3]},  # type: ignore[arg-type]
    )
    plain = Constraints(
        (), (("colour", ("red",)),), (("a", ("b",)),), (("price", (None, 3)),)
    )
    assert told == plain and hash(told) == hash(plain)
    for wrong in ({"colour": "red"}, (("colour", "red"),)):
        with pytest.raises(
            InputError,
            match="within colour must be a sequence, not the one string 'red'",
        ):
            Constraints(within=wrong)  # type: ignore[arg-type]
    with pytest.raises(
        InputError, match=r"within must be a mapping .*, not \('colour', 'red'\)"
    ):
        Constraints(within=("colour", "red"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bounds", "fault"),
    [
        ((2.0, 1.0), "between price: the least, 2.0, is above the most, 1.0"),
        ((float("nan"), None), "between price: a bound must not be NaN"),
        (("1", None), "between price: '1' is no number"),
        ((True, None), "between price: True is no number"),
    ],
)
def test_a_range_that_is_none_is_refused(bounds, fault):
    with pytest.raises((ValueError, InputError), match=fault):
        Constraints(between=(("price", bounds),))


def test_there_is_an_end_to_the_items_at_hand():
    with pytest.raises(
        ValueError, match="10000 items at hand are too many; at most 1000 can be"
    ):
        Query(items=tuple(map(str, range(10_000))))
