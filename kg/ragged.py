"""Ragged rows and pair keys: many ranges laid end to end, and two row numbers written as one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


def ranges(starts: IntArray, lengths: IntArray) -> IntArray:
    """Every range's numbers, end to end: start, start + 1, ... for each range.

    Args:
        starts: (R,) where each range begins.
        lengths: (R,) how many numbers it has.

    Returns:
        (lengths.sum(),).
    """
    before = np.cumsum(lengths) - lengths
    numbers = np.repeat(starts - before, lengths)
    numbers += np.arange(len(numbers))
    return numbers


def owners(lengths: IntArray) -> IntArray:
    """(lengths.sum(),) which range each of their numbers belongs to."""
    return np.repeat(np.arange(len(lengths)), lengths)


def pair_key(
    first: IntArray,
    second: IntArray,
    size: int,
) -> IntArray:
    """One number for a pair of rows, ordered as the pairs are; `second` is below `size`."""
    return first * size + second


def split_pairs(keys: IntArray, size: int) -> tuple[IntArray, IntArray]:
    """The pairs of some keys, the inverse of pair_key."""
    first, second = np.divmod(keys, size)
    return first, second
