"""Lists of rows that several tasks ask with: none, and one each."""

from __future__ import annotations

import numpy as np

from fusion.query_batch import Ragged
from kg.tables import IntArray


def no_rows(count: int) -> Ragged:
    """So many empty lists."""
    offsets = np.zeros(count + 1, np.int64)
    return Ragged(offsets, np.zeros(0, np.int64))


def one_each(rows: IntArray) -> Ragged:
    """A list for each row, of that row alone."""
    offsets = np.arange(len(rows) + 1)
    return Ragged(offsets, rows)
