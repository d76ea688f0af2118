"""Sparse matrices: made, multiplied and pruned in blocks, so that no product is ever whole."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from kg.tables import IntArray

Matrix: TypeAlias = sp.csr_matrix
BLOCK = (
    2**23
)  # entries of a block: the product of everything at once may be nearly full


def matrix_of(
    data: npt.NDArray[np.floating],
    ends: tuple[IntArray, IntArray],
    shape: tuple[int, int],
) -> Matrix:
    """CSR in single precision; equal places add up."""
    return sp.csr_matrix((np.asarray(data, np.float32), ends), shape=shape)


def top(matrix: Matrix, keep: int) -> Matrix:
    """The `keep` largest positive entries of every row."""
    kept = matrix.data > 0
    for row in np.flatnonzero(np.diff(matrix.indptr) > keep):
        start, stop = matrix.indptr[row : row + 2]
        kept[start + np.argpartition(matrix.data[start:stop], -keep)[:-keep]] = False
    ends = np.concatenate([[0], np.cumsum(kept)])[matrix.indptr]
    return sp.csr_matrix(
        (matrix.data[kept], matrix.indices[kept], ends), shape=matrix.shape
    )


def product(
    left: Matrix,
    right: Matrix,
    keep: int,
) -> Matrix:
    """The `keep` largest positive entries of every row of left @ right."""
    step = max(
        1,
        BLOCK // max(right.shape[1], 1),
    )
    blocks = (
        left[start : start + step] @ right for start in range(0, left.shape[0], step)
    )
    return sp.vstack([top(block.tocsr(), keep) for block in blocks]).tocsr()


def unit_rows(matrix: Matrix) -> Matrix:
    """The same with rows of length 1 or 0."""
    length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(1)).ravel())
    return (
        sp.diags((1 / np.maximum(length, 1e-9)).astype(np.float32)) @ matrix
    ).tocsr()
