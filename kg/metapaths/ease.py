"""EASE: the linear model of baskets from themselves, in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack

from kg.errors import InputError

BLOCK = 1024  # columns of the Gram matrix made together


def ease_weights(baskets: Any, penalty: float) -> npt.NDArray[np.float32]:
    """(n, n) weights of each column's item from each row's, the diagonal 0.

    Steck, Embarrassingly shallow autoencoders for sparse data, 2019: `B = I - P diag(P)^-1`,
    `P = (X'X + penalty)^-1`.
    Made in place of the Gram matrix: Cholesky, inverse, both by LAPACK on one array of n x n
    float32.

    Args:
        baskets: (m, n) sparse, 0 and 1.
        penalty: L2 strength.

    Raises:
        ValueError: The penalty is too small for single precision.
    """
    items, columns = baskets.shape[1], baskets.tocsc()
    gram = np.empty((items, items), np.float32, order="F")
    for start in range(0, items, BLOCK):
        gram[:, start : start + BLOCK] = (
            columns.T @ columns[:, start : start + BLOCK]
        ).toarray()
    gram[np.diag_indices(items)] += penalty
    if not items:
        return gram
    gram, failed = lapack.spotrf(gram, lower=1, overwrite_a=1, clean=0)
    if not failed:
        gram, failed = lapack.spotri(gram, lower=1, overwrite_c=1)
    if failed:
        raise InputError(
            f"EASE: penalty {penalty} is too small for {items} items in single precision"
        )
    weights: npt.NDArray[np.float32] = (
        gram.T
    )  # C order, the inverse in the upper triangle
    for start in range(0, items, BLOCK):
        stop = start + BLOCK
        weights[stop:, start:stop] = weights[start:stop, stop:].T
        corner = weights[start:stop, start:stop]
        corner[:] = np.triu(corner) + np.triu(corner, 1).T
    weights /= -weights.diagonal()
    np.fill_diagonal(weights, 0)
    return weights
