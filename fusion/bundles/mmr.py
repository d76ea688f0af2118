"""Diversity: items that are good and unlike each other, by maximal marginal relevance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kg.errors import InputError
from kg.tables import FloatArray, IntArray


def diversified(
    score: FloatArray,
    vectors: npt.NDArray[np.floating],
    k: int,
    diversity: float,
) -> IntArray:
    """The places of k items, picked one by one: each the best by relevance less likeness.

    An item is worth (1 - d) relevance - d likeness. Relevance is the score, put in 0..1 over
    the N items; likeness is the largest cosine to an item picked before. Carbonell and
    Goldstein 1998, "The use of MMR".

    Args:
        score: (N,) higher is better.
        vectors: (N, D) of length 1 or 0.
        k: How many; all where there are fewer.
        diversity: d, 0..1; 0 is the order of the scores.
    """
    if not 0 <= diversity <= 1:
        raise InputError(
            f"diversity must be in 0..1, not {diversity}", field="diversity"
        )
    order = np.argsort(-score, kind="stable")
    if diversity == 0 or not len(score):
        return order[:k]
    spread = float(score.max() - score.min())
    value = (1 - diversity) * (score - score.min()) / max(spread, 1e-9)
    alike, left, picked = np.zeros(len(score)), np.ones(len(score), bool), list[int]()
    for _ in range(min(k, len(score))):
        gain = np.where(left, value - diversity * alike, -np.inf)
        best = int(order[np.argmax(gain[order])])  # ties go to the higher score
        picked.append(best)
        left[best] = False
        alike = np.maximum(alike, vectors @ vectors[best])
    return np.array(picked, np.int64)


def likeness(vectors: npt.NDArray[np.floating]) -> float:
    """The mean cosine of the pairs of (N, D) vectors of length 1 or 0; 0 for one.

    It is 1 less the intra-list distance.
    """
    count = len(vectors)
    if count < 2:
        return 0.0
    total = float(np.sum(vectors @ vectors.T) - np.sum(vectors * vectors))
    return total / (count * (count - 1))
