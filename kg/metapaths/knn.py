"""Neighbours: what users take who take alike, as the path user - item - user - item."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from kg.metapaths.sparse import BLOCK, Matrix, top, unit_rows
from kg.tables import IntArray

NEAR = "user-item-user-item"


def nearest(
    unit: Matrix,
    users: IntArray,
    most: int,
) -> Matrix:
    """(B, U) the cosines of some users with the `most` nearest others.

    The rows of unit, (U, I), have length 1 or 0.
    """
    near = (unit[users] @ unit.T).tocsr()
    near.data[near.indices == np.repeat(users, np.diff(near.indptr))] = 0
    return top(near, most)


def by_neighbours(
    counts: Matrix,
    most: int,
    keep: int,
) -> Matrix:
    """(U, I) what a user's nearest users take, of what the user has not taken.

    It is the mean of log(1 + counts), weighted by nearness.

    User-based collaborative filtering (Resnick et al., GroupLens, 1994) without means: a count
    of 0 is no low opinion.

    Args:
        counts: (U, I) how often users took items.
        most: How many users are near.
        keep: Entries kept a user.
    """
    ratings, blocks = counts.log1p().tocsr(), []
    unit = unit_rows(ratings)
    step = max(1, BLOCK // max(*counts.shape, 1))
    for start in range(0, counts.shape[0], step):
        near = nearest(
            unit,
            np.arange(start, min(start + step, counts.shape[0])),
            most,
        )
        total = np.maximum(
            np.asarray(near.sum(1)).ravel(),
            1e-9,
        )
        found = (sp.diags((1 / total).astype(np.float32)) @ near @ ratings).tocsr()
        blocks.append(
            top(
                (found - found.multiply(counts[start : start + step].sign())).tocsr(),
                keep,
            )
        )
    return (
        sp.vstack(blocks).tocsr()
        if blocks
        else sp.csr_matrix(counts.shape, dtype=np.float32)
    )
