"""Paths from item to item through groups of them: users, or bundles."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from kg.events import Events
from kg.metapaths.sparse import BLOCK, Matrix, matrix_of, top


def bundle_items(events: Events, items: int) -> Matrix | None:
    """(bundles, I) 0 or 1, bundles without events left out; None where there are no bundles."""
    inside = events.bundle >= 0
    if not inside.any():
        return None
    _, rows = np.unique(events.bundle[inside], return_inverse=True)
    shape = (int(rows.max()) + 1, items)
    return matrix_of(np.ones(inside.sum()), (rows, events.item[inside]), shape).sign()


def co_occurrences(
    groups: Matrix,
    name: str,
    keep: int,
) -> dict[str, Matrix]:
    """Item to item through groups (rows of a 0/1 matrix).

    Returned are the count, the share of the target's groups, and the cosine.
    """
    groups = groups.astype(np.float32)
    degree = np.maximum(
        np.asarray(groups.sum(0)).ravel(),
        1,
    )
    transposed = groups.T.tocsr()
    counts, cosines = [], []
    step = max(1, BLOCK // groups.shape[1])
    for start in range(0, groups.shape[1], step):
        block = (transposed[start : start + step] @ groups).tocoo()
        other = start + block.row != block.col
        row, column, both = block.row[other], block.col[other], block.data[other]
        near = (both / np.sqrt(degree[start + row] * degree[column])).astype(np.float32)
        # ties between counts go to the larger cosine
        counts.append(
            top(
                matrix_of(both + near / 2, (row, column), block.shape),
                keep,
            )
        )
        cosines.append(top(matrix_of(near, (row, column), block.shape), keep))
    count, cosine = sp.vstack(counts).tocsr(), sp.vstack(cosines).tocsr()
    count.data = np.floor(count.data)
    share = (count @ sp.diags((1 / degree).astype(np.float32))).tocsr()
    path = f"item-{name}-item"
    return {path: count, f"{path} share": share, f"{path} cosine": cosine}
