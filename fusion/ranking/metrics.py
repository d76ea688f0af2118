"""Full-catalogue ranking metrics from the ranks of the right items: pure, vectorised.

The metrics return one value a query, NaN where it has no target, ready for the bootstrap.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fusion.query_batch import Ragged
from kg.errors import InputError
from kg.tables import FloatArray, IntArray

Metric = Callable[[FloatArray, Ragged], FloatArray]
"""Ranks (T,) of B lists of targets to (B,) values."""

_NAMED = re.compile(r"MRR|(HR|NDCG|Recall)@([1-9]\d*)")


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
    of_k = _AT_K[match[1]]
    k = int(match[2])

    def at_k(
        ranks: FloatArray,
        targets: Ragged,
    ) -> FloatArray:
        return of_k(ranks, targets, k)

    return at_k


def hit(
    found: FloatArray,
    targets: Ragged,
    k: int,
) -> FloatArray:
    """(B,) HR@k: 1 where any target is among the first k."""
    reached = _best(found, targets) <= k
    asked = targets.lengths > 0
    return np.where(asked, reached, np.nan)


def recall(
    found: FloatArray,
    targets: Ragged,
    k: int,
) -> FloatArray:
    """(B,) Recall@k: the share of the targets among the first k."""
    owners, places, _ = _places(found, targets)
    reached = _sum(owners, places <= k, targets)
    return _share(reached, targets.lengths)


def precision(
    found: FloatArray,
    targets: Ragged,
    k: int,
) -> FloatArray:
    """(B,) Precision@k: the share of the first k that are targets."""
    reached = recall(found, targets, k) * targets.lengths
    asked = targets.lengths > 0
    return np.where(asked, reached / k, np.nan)


def mrr(
    found: FloatArray,
    targets: Ragged,
) -> FloatArray:
    """(B,) one over the rank of the best target."""
    return 1 / _best(found, targets)


def average_precision(
    found: FloatArray,
    targets: Ragged,
    k: int | None = None,
) -> FloatArray:
    """(B,) the mean precision at each target's rank; beyond k counts nothing. Its mean is MAP."""
    last = np.inf if k is None else k
    owners, places, _ = _places(found, targets)
    starts = targets.offsets[owners]
    position = np.arange(len(places)) - starts + 1
    within = places <= last
    precisions = position / places * within
    reached = _sum(owners, precisions, targets)
    ideal = np.minimum(targets.lengths, last)
    return _share(reached, ideal)


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
    last = np.inf if k is None else k
    gain = np.exp2(_grades(targets, relevance)) - 1
    owners, places, order = _places(found, targets, gain)
    reached = _discounted(gain[order], places, last)
    ideal_order = np.lexsort((-gain, targets.owners))
    starts = targets.offsets[owners]
    position = np.arange(len(gain)) - starts + 1
    ideal = _discounted(gain[ideal_order], position, last)
    part = _sum(owners, reached, targets)
    whole = _sum(owners, ideal, targets)
    return _share(part, whole)


def _grades(
    targets: Ragged,
    relevance: npt.ArrayLike | None,
) -> FloatArray:
    """(T,) the grades given, checked; 1 each where none are."""
    if relevance is None:
        return np.ones(len(targets.rows))
    grades = np.asarray(relevance, np.float64)
    if grades.shape != targets.rows.shape or not (grades > 0).all():
        raise InputError(
            f"relevance of shape {grades.shape} for {len(targets.rows)} targets; "
            "each needs one above 0"
        )
    return grades


def _discounted(
    gain: FloatArray,
    places: FloatArray | IntArray,
    last: float,
) -> FloatArray:
    """(T,) each gain by its place; 0 beyond the last."""
    reached = places <= last
    discount = np.log2(places + 1)
    values: FloatArray = gain * reached / discount
    return values


def _places(
    found: FloatArray,
    targets: Ragged,
    gain: FloatArray | None = None,
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
    owners = targets.owners
    places = found[order]
    count = len(places)
    first = np.ones(count, bool)  # of the targets of one query that tie
    other_query = owners[1:] != owners[:-1]
    other_place = places[1:] != places[:-1]
    first[1:] = other_query | other_place
    starts = np.flatnonzero(first)
    group = np.cumsum(first) - 1
    within = np.arange(count) - starts[group]
    sizes = np.bincount(group)[group]
    apart = places + within - (sizes - 1) / 2
    return owners, apart, order


def _best(
    found: FloatArray,
    targets: Ragged,
) -> FloatArray:
    asked = targets.lengths > 0
    starts = targets.offsets[:-1]
    _, places, _ = _places(found, targets)
    best = np.full(len(targets), np.nan)
    best[asked] = places[starts[asked]]
    return best


def _sum(
    owners: IntArray,
    values: npt.NDArray[np.floating | np.bool_],
    targets: Ragged,
) -> FloatArray:
    sums = np.bincount(owners, weights=values, minlength=len(targets))
    return sums.astype(np.float64)


def _share(
    part: FloatArray,
    whole: npt.NDArray[np.floating | np.integer],
) -> FloatArray:
    out = np.full(len(part), np.nan)
    np.divide(part, whole, out=out, where=whole > 0)
    return out


_AT_K = {"HR": hit, "NDCG": ndcg, "Recall": recall}
