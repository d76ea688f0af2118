"""PureSVD: what users take, rebuilt from its strongest singular vectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.utils.extmath import randomized_svd

from kg.sparse import BLOCK, Matrix, top

Factors = npt.NDArray[np.float32]
FACTORED = "user-item factored"


def item_factors(counts: Matrix, rank: int) -> Factors:
    """(I, at most rank) the right singular vectors of log(1 + counts), counts (U, I): how often users took items.

    Cremonesi, Koren and Turrin, Performance of recommender algorithms on top-N recommendation tasks, 2010. A user's
    score for an item is then <log(1 + the user's counts) V, V_item>: linear in what the user took, item by item.

    The decomposition starts from a fixed draw that depends on the shape of the counts; where singular values fall
    slowly, the last vectors depend on it.
    """
    rank = min(rank, min(counts.shape) - 1)
    if rank < 1 or not counts.nnz:
        return np.zeros((counts.shape[1], 0), np.float32)
    _, _, right = randomized_svd(counts.log1p().astype(np.float64), rank, random_state=0)
    return np.ascontiguousarray(right.T, np.float32)


def rebuilt(counts: Matrix, factors: Factors, keep: int) -> Matrix:
    """(U, I) the `keep` largest positive scores of each user, for items that the user has not taken."""
    asked, blocks = counts.log1p() @ factors, []
    step = max(1, BLOCK // max(counts.shape[1], 1))
    for start in range(0, counts.shape[0], step):
        scores = asked[start : start + step] @ factors.T
        scores[counts[start : start + step].nonzero()] = 0
        if keep < scores.shape[1]:
            np.copyto(scores, 0, where=scores < np.partition(scores, -keep, axis=1)[:, [-keep]])
        blocks.append(top(sp.csr_matrix(np.maximum(scores, 0), dtype=np.float32), keep))
    return sp.vstack(blocks).tocsr()
