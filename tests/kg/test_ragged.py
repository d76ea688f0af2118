"""Ragged ranges and pair keys against plain loops."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kg.ragged import owners, pair_key, ranges, split_pairs

small = st.integers(0, 5)


@given(st.lists(st.tuples(st.integers(-3, 9), small)))
def test_ranges_are_laid_end_to_end_each_number_with_its_owner(parts):
    starts = np.array([start for start, _ in parts], np.int64)
    lengths = np.array([length for _, length in parts], np.int64)
    expected = [
        (owner, start + nth)
        for owner, (start, length) in enumerate(parts)
        for nth in range(length)
    ]
    numbers = ranges(starts, lengths)
    assert list(zip(owners(lengths), numbers, strict=True)) == expected
    assert numbers.dtype == np.int64


@given(st.lists(st.tuples(st.integers(0, 9), small), min_size=1))
def test_pair_keys_split_into_the_pairs_and_order_as_they_do(pairs):
    first, second = np.array(pairs, np.int64).T
    keys = pair_key(first, second, 6)
    assert [part.tolist() for part in split_pairs(keys, 6)] == [
        first.tolist(),
        second.tolist(),
    ]
    assert [pairs[n] for n in np.argsort(keys, kind="stable")] == sorted(pairs)
