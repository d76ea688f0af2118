"""Sparse matrices whose rows are gathered and added up, not multiplied."""

from __future__ import annotations

from typing import Self

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor


class Sparse:
    """A sparse matrix by rows: three tensors that live on any device.

    Attributes:
        starts: (N + 1,) row n is columns[starts[n]:starts[n + 1]].
        columns: (E,) where the entries stand.
        values: (E,) the entries.
        width: How many columns there are.
    """

    def __init__(
        self,
        starts: Tensor,
        columns: Tensor,
        values: Tensor,
        width: int,
    ) -> None:
        self.starts, self.columns, self.values = starts, columns, values
        self.width = width

    @classmethod
    def of(cls, matrix: sp.csr_matrix, device: torch.device) -> Self:
        """From scipy."""
        starts = matrix.indptr.astype(np.int64)
        columns = matrix.indices.astype(np.int64)
        values = matrix.data.astype(np.float32)
        return cls(
            torch.as_tensor(starts, device=device),
            torch.as_tensor(columns, device=device),
            torch.as_tensor(values, device=device),
            matrix.shape[1],
        )

    def spread(
        self,
        rows: Tensor,
        owners: Tensor,
        size: int,
        reduce: str = "sum",
        weights: Tensor | None = None,
    ) -> Tensor:
        """(size, width) row b is the sum, or the maximum, of the rows whose owner is b.

        Args:
            rows: (R,) rows of the matrix, some perhaps twice.
            owners: (R,) which row of the result each goes to.
            size: Rows of the result.
            reduce: "sum" or "amax".
            weights: (R,) what each row is multiplied by; 1 where None.
        """
        if not len(rows):
            return torch.zeros(size, self.width, device=rows.device)
        entries, lengths = self._entries(rows)
        lines = owners.repeat_interleave(lengths)
        where = lines * self.width + self.columns[entries]
        values = self.values[entries]
        if weights is not None:
            values = values * weights.repeat_interleave(lengths)
        out = torch.zeros(size * self.width, device=rows.device)
        if reduce == "sum":
            out.index_add_(0, where, values)
        else:
            out.scatter_reduce_(0, where, values, reduce)
        return out.view(size, self.width)

    def among(self, rows: Tensor, columns: Tensor) -> Sparse:
        """The matrix of some rows and some columns alone, numbered as they come."""
        entries, lengths = self._entries(rows)
        number = torch.full((self.width,), -1, device=rows.device)
        number[columns] = torch.arange(len(columns), device=rows.device)
        column = number[self.columns[entries]]
        inside = column >= 0
        owner = torch.arange(len(rows), device=rows.device)
        owner = owner.repeat_interleave(lengths)
        counts = torch.bincount(owner[inside], minlength=len(rows))
        starts = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
        return Sparse(
            starts,
            column[inside],
            self.values[entries][inside],
            len(columns),
        )

    def _entries(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The places of some rows' entries, row after row, and (R,) how many each has."""
        lengths = self.starts[rows + 1] - self.starts[rows]
        ends = lengths.cumsum(0)
        total = int(ends[-1]) if len(ends) else 0
        first = self.starts[rows] - ends + lengths
        place = torch.arange(total, device=rows.device)
        return place + first.repeat_interleave(lengths), lengths
