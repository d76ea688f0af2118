"""The rank of every right item in the full catalogue: pure, vectorised.

Every right item is ranked among all items that are not excluded, the query's other right items
included, so k targets at best take the ranks 1 to k.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fusion.query_batch import Ragged
from kg.errors import DataError, InputError
from kg.tables import FloatArray

_CELLS = 1 << 22  # scores looked at together: 16 MiB of float32


def check_targets(
    targets: Ragged,
    excluded: Ragged,
    items: int,
) -> None:
    """Refuse targets that no score could rank fairly.

    Raises:
        ValueError: The lists differ in number, a row is outside the catalogue, a query names a
            target twice, or a target is excluded.
    """
    if len(targets) != len(excluded):
        raise InputError(
            f"{len(targets)} lists of targets, {len(excluded)} lists of excluded items"
        )
    _check_rows("target", targets, items)
    _check_rows("excluded item", excluded, items)
    keys = targets.owners * items + targets.rows
    unique, counts = np.unique(keys, return_counts=True)
    if len(unique) < len(keys):
        repeated = unique[counts > 1]
        query, row = divmod(int(repeated[0]), items)
        raise InputError(f"query {query}: item {row} is twice among the targets")
    excluded_keys = excluded.owners * items + excluded.rows
    both = np.intersect1d(unique, excluded_keys)
    if len(both):
        query, row = divmod(int(both[0]), items)
        raise InputError(f"query {query}: item {row} is a target and excluded")


def _check_rows(
    kind: str,
    lists: Ragged,
    items: int,
) -> None:
    below = lists.rows < 0
    above = lists.rows >= items
    outside = np.flatnonzero(below | above)
    if len(outside):
        first = outside[0]
        row = lists.rows[first]
        query = lists.owners[first]
        raise InputError(
            f"query {query}: {kind} {row} is no row of a catalogue of {items} items"
        )


def ranks(
    scores: npt.ArrayLike,
    targets: Ragged,
    excluded: Ragged,
) -> FloatArray:
    """The 1-based rank of every target among all items not excluded; ties get the mid-rank.

    Args:
        scores: (B, I), higher is better; infinite is allowed.
        targets: B lists of the right items.
        excluded: B lists of the items that neither rank nor count.

    Returns:
        (T,) `1 + greater + (equal - 1) / 2`, in the order of targets.rows.

    Raises:
        DataError: The scores are no (B, I) matrix of numbers, or one is NaN.
        ValueError: See check_targets.
    """
    scores = np.asarray(scores)
    _check_scores(scores, targets)
    items = scores.shape[1]
    check_targets(targets, excluded, items)
    step = max(1, _CELLS // max(items, 1))
    _check_numbers(scores, step)
    count = len(targets.rows)
    target_ranks = np.empty(count)
    for start in range(0, count, step):
        part = slice(start, start + step)
        owners = targets.owners[part]
        block = scores[owners]
        gone = excluded.take(owners)
        own = np.take_along_axis(block, targets.rows[part, None], axis=1)
        # NaN is neither greater than nor equal to anything.
        block[gone.owners, gone.rows] = np.nan
        greater = np.count_nonzero(block > own, axis=1)
        equal = np.count_nonzero(block == own, axis=1)
        target_ranks[part] = 1 + greater + (equal - 1) / 2
    return target_ranks


def _check_scores(
    scores: npt.NDArray[Any],
    targets: Ragged,
) -> None:
    if scores.ndim != 2 or len(scores) != len(targets):
        raise DataError(
            f"scores of shape {scores.shape} for {len(targets)} queries; "
            "(queries, items) is wanted"
        )
    if not np.issubdtype(scores.dtype, np.floating):
        raise DataError(f"scores of type {scores.dtype}; floating point is wanted")


def _check_numbers(
    scores: npt.NDArray[Any],
    step: int,
) -> None:
    for start in range(0, len(scores), step):
        block = scores[start : start + step]
        bad = np.isnan(block)
        if bad.any():
            place, row = np.argwhere(bad)[0]
            query = start + place
            raise DataError(f"the score of item {row} for query {query} is NaN")
