"""PureSVD: what users take, rebuilt from its strongest singular vectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import svds

from kg.metapaths.sparse import BLOCK, Matrix, top

Factors = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]
DENSE = 1_000_000  # cells of a matrix that is decomposed whole
PURESVD = "user-item PureSVD"


def item_factors(counts: Matrix, rank: int) -> Factors:
    """(I, at most rank) the right singular vectors of log(1 + counts), counts (U, I).

    The counts are how often users interacted with items.

    Cremonesi, Koren and Turrin, Performance of recommender algorithms on top-N recommendation
    tasks, 2010. A user's score for an item is then <log(1 + the user's counts) V, V_item>:
    linear in what the user took, item by item.

    Users and items of no taking are left out of the decomposition, so that those who come
    later change nothing.
    """
    users, items = (np.flatnonzero(np.bincount(ends)) for ends in counts.nonzero())
    rank = max(
        min(rank, len(users) - 1, len(items) - 1),
        0,
    )
    factors = np.zeros((counts.shape[1], rank), np.float32)
    if rank:
        values, right = _largest(
            counts[users][:, items].log1p().astype(np.float64),
            rank,
        )
        factors[items] = np.where(
            values > 1e-6 * values.max(),
            right.T,
            0,
        )  # to a value of 0 any vector belongs
    return factors


def _largest(ratings: Matrix, rank: int) -> tuple[Float64s, Float64s]:
    """The largest singular values and (rank, items) their right vectors, the same at every call."""
    if (
        np.prod(ratings.shape) <= DENSE
    ):  # Lanczos draws anew where few values are distinct, as in small matrices
        _, values, right = np.linalg.svd(ratings.toarray(), full_matrices=False)
        return values[:rank], right[:rank]
    start = np.random.default_rng(0).standard_normal(min(ratings.shape))
    _, values, right = svds(ratings, rank, v0=start, return_singular_vectors="vh")
    return values, right


def rebuilt(
    counts: Matrix,
    factors: Factors,
    keep: int,
) -> Matrix:
    """(U, I) each user's `keep` largest positive scores, of items not interacted with."""
    asked, blocks = counts.log1p() @ factors, []
    step = max(
        1,
        BLOCK // max(counts.shape[1], 1),
    )
    for start in range(0, counts.shape[0], step):
        scores = asked[start : start + step] @ factors.T
        scores[counts[start : start + step].nonzero()] = 0
        if keep < scores.shape[1]:
            np.copyto(
                scores,
                0,
                where=scores < np.partition(scores, -keep, axis=1)[:, [-keep]],
            )
        blocks.append(top(sp.csr_matrix(np.maximum(scores, 0), dtype=np.float32), keep))
    return sp.vstack(blocks).tocsr()
