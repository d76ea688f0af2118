"""Full-catalogue ranking metrics from the ranks of the right items: pure, vectorised.

Every right item is ranked among all unmasked items, the query's other right items included, so k
targets at best take the ranks 1 to k. The metrics return one value a query, NaN where it has no
target, ready for the bootstrap.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fusion.query_batch import Ragged
from kg.errors import DataError, InputError
from kg.tables import FloatArray, IntArray

Metric = Callable[[FloatArray, Ragged], FloatArray]
"""Ranks (T,) of B lists of targets to (B,) values."""

_CELLS = 1 << 22  # scores looked at together: 16 MiB of float32
_NAMED = re.compile(r"MRR|(HR|NDCG|Recall)@([1-9]\d*)")


def check_targets(targets: Ragged, masked: Ragged, items: int) -> None:
    """Refuse targets that no score could rank fairly.

    Raises:
        ValueError: The lists differ in number, a row is outside the catalogue, a query names a
            target twice, or a target is masked.
    """
    if len(targets) != len(masked):
        raise InputError(
            f"{len(targets)} lists of targets, {len(masked)} lists of masked items"
        )
    for what, lists in (("target", targets), ("masked item", masked)):
        outside = np.flatnonzero((lists.rows < 0) | (lists.rows >= items))
        if len(outside):
            row, owner = lists.rows[outside[0]], lists.owners[outside[0]]
            raise InputError(
                f"ask {owner}: {what} {row} is no row of a catalogue of {items} items"
            )
    keys = targets.owners * items + targets.rows
    unique, counts = np.unique(keys, return_counts=True)
    if len(unique) < len(keys):
        query, row = divmod(int(unique[counts > 1][0]), items)
        raise InputError(f"ask {query}: item {row} is twice among the targets")
    both = np.intersect1d(unique, masked.owners * items + masked.rows)
    if len(both):
        query, row = divmod(int(both[0]), items)
        raise InputError(f"ask {query}: item {row} is a target and masked")


def ranks(scores: npt.ArrayLike, targets: Ragged, masked: Ragged) -> FloatArray:
    """The 1-based rank of every target among its query's unmasked items; ties get the mid-rank.

    Args:
        scores: (B, I), higher is better; infinite is allowed.
        targets: B lists of the right items.
        masked: B lists of the items that neither rank nor count.

    Returns:
        (T,) `1 + greater + (equal - 1) / 2`, in the order of targets.rows.

    Raises:
        DataError: The scores are no (B, I) matrix of numbers, or one is NaN.
        ValueError: See check_targets.
    """
    scores = np.asarray(scores)
    if scores.ndim != 2 or len(scores) != len(targets):
        raise DataError(
            f"scores of shape {scores.shape} for {len(targets)} asks; (asks, items) is wanted"
        )
    if not np.issubdtype(scores.dtype, np.floating):
        raise DataError(f"scores of type {scores.dtype}; floating point is wanted")
    items = scores.shape[1]
    check_targets(targets, masked, items)
    owners, found = targets.owners, np.empty(len(targets.rows))
    step = max(1, _CELLS // max(items, 1))
    for start in range(0, len(scores), step):
        bad = np.isnan(scores[start : start + step])
        if bad.any():
            query, row = np.argwhere(bad)[0]
            raise DataError(f"the score of item {row} for ask {start + query} is NaN")
    for start in range(0, len(found), step):
        part = slice(start, start + step)
        block, seen = scores[owners[part]], masked.take(owners[part])
        own = np.take_along_axis(block, targets.rows[part, None], axis=1)
        block[seen.owners, seen.rows] = (
            np.nan
        )  # is neither greater than nor equal to anything
        greater, equal = (
            np.count_nonzero(block > own, axis=1),
            np.count_nonzero(block == own, axis=1),
        )
        found[part] = 1 + greater + (equal - 1) / 2
    return found


def metric_named(name: str) -> Metric:
    """The metric that "MRR", "HR@k", "NDCG@k" or "Recall@k" names.

    Raises:
        InputError: No metric is called so.
    """
    match = _NAMED.fullmatch(name)
    if match is None:
        raise InputError(f"{name!r}: it is MRR, HR@k, NDCG@k or Recall@k")
    if match[1] is None:
        return mrr
    of_k = {"HR": hit, "NDCG": ndcg, "Recall": recall}[match[1]]
    k = int(match[2])
    return lambda found, targets: of_k(found, targets, k)


def hit(found: FloatArray, targets: Ragged, k: int) -> FloatArray:
    """(B,) HR@k: 1 where any target is among the first k."""
    return np.where(targets.lengths > 0, _best(found, targets) <= k, np.nan)


def recall(found: FloatArray, targets: Ragged, k: int) -> FloatArray:
    """(B,) Recall@k: the share of the targets among the first k."""
    owners, places, _ = _places(found, targets)
    return _share(_sum(owners, places <= k, targets), targets.lengths)


def precision(found: FloatArray, targets: Ragged, k: int) -> FloatArray:
    """(B,) Precision@k: the share of the first k that are targets."""
    return np.where(
        targets.lengths > 0, recall(found, targets, k) * targets.lengths / k, np.nan
    )


def mrr(found: FloatArray, targets: Ragged) -> FloatArray:
    """(B,) one over the rank of the best target."""
    return 1 / _best(found, targets)


def average_precision(
    found: FloatArray, targets: Ragged, k: int | None = None
) -> FloatArray:
    """(B,) the mean precision at each target's rank; beyond k counts nothing. Its mean is MAP."""
    owners, places, _ = _places(found, targets)
    position = np.arange(len(places)) - targets.offsets[owners] + 1
    ideal = targets.lengths if k is None else np.minimum(targets.lengths, k)
    return _share(
        _sum(owners, position / places * (places <= (k or np.inf)), targets), ideal
    )


def ndcg(
    found: FloatArray,
    targets: Ragged,
    k: int | None = None,
    relevance: npt.ArrayLike | None = None,
) -> FloatArray:
    """(B,) NDCG@k: gain `2^rel - 1`, discount `1 / log2(rank + 1)`, ideal over all targets.

    Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, 2002; the gain
    is Burges's, 2005.

    Args:
        found: (T,) from ranks.
        targets: B lists of the right items.
        k: What is ranked later counts nothing; all counts where None.
        relevance: (T,) grades above 0 in the order of targets.rows; 1 each where None.

    Raises:
        ValueError: The grades are not T numbers above 0.
    """
    grades = (
        np.ones(len(targets.rows))
        if relevance is None
        else np.asarray(relevance, np.float64)
    )
    if grades.shape != targets.rows.shape or not (grades > 0).all():
        raise InputError(
            f"relevance of shape {grades.shape} for {len(targets.rows)} targets; "
            "each needs one above 0"
        )
    gain, last = np.exp2(grades) - 1, np.inf if k is None else k
    owners, places, order = _places(found, targets, gain)
    reached = _discounted(gain[order], places, last)
    ideal_order = np.lexsort((-gain, targets.owners))
    position = np.arange(len(gain)) - targets.offsets[owners] + 1
    ideal = _discounted(gain[ideal_order], position, last)
    return _share(_sum(owners, reached, targets), _sum(owners, ideal, targets))


def _discounted(
    gain: FloatArray, places: FloatArray | IntArray, last: float
) -> FloatArray:
    """(T,) each gain by its place; 0 beyond the last."""
    values: FloatArray = gain * (places <= last) / np.log2(places + 1)
    return values


def _places(
    found: FloatArray, targets: Ragged, gain: FloatArray | None = None
) -> tuple[IntArray, FloatArray, IntArray]:
    """Owners (T,), places (T,) ascending by query, and the order (T,) that sorts the targets so.

    Targets of one query that tie share a mid-rank, which must not be counted as one place taken
    twice (a precision above 1): they are set out one place apart around it, the least gain
    first.
    """
    if found.shape != targets.rows.shape:
        raise InputError(
            f"ranks of shape {found.shape} for {len(targets.rows)} targets"
        )
    if gain is None:
        gain = np.zeros(len(found))
    order = np.lexsort((gain, found, targets.owners))
    owners, places = targets.owners, found[order]
    first = np.ones(len(places), bool)  # of the targets of one query that tie
    first[1:] = (owners[1:] != owners[:-1]) | (places[1:] != places[:-1])
    starts = np.flatnonzero(first)
    group = np.cumsum(first) - 1
    within = np.arange(len(places)) - starts[group]
    sizes = np.bincount(group)[group]
    return owners, places + within - (sizes - 1) / 2, order


def _best(found: FloatArray, targets: Ragged) -> FloatArray:
    some = targets.lengths > 0
    best = np.full(len(targets), np.nan)
    best[some] = _places(found, targets)[1][targets.offsets[:-1][some]]
    return best


def _sum(
    owners: IntArray, values: npt.NDArray[np.floating | np.bool_], targets: Ragged
) -> FloatArray:
    return np.bincount(owners, weights=values, minlength=len(targets)).astype(
        np.float64
    )


def _share(
    part: FloatArray, whole: npt.NDArray[np.floating | np.integer]
) -> FloatArray:
    out = np.full(len(part), np.nan)
    np.divide(part, whole, out=out, where=whole > 0)
    return out
