"""Prices: what an item usually costs, from what was paid for it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kg.tables import IntArray, Vocab


def odd_prices(prices: pa.ChunkedArray) -> IntArray:
    """The rows whose price is there and no finite number from 0 on."""
    odd = []
    for row, price in enumerate(prices.to_pylist()):
        try:
            fine = price is None or 0 <= float(price) < np.inf
        except (TypeError, ValueError):
            fine = False
        odd += [] if fine else [row]
    return np.array(odd, np.int64)


def median_prices(
    keys: pa.ChunkedArray,
    paid: pa.ChunkedArray,
    wanted: pa.ChunkedArray | pa.Array,
    digits: int,
) -> pa.Array:
    """The median of what was paid for each wanted key, rounded.

    It is null where nothing is known, or nothing was paid.

    Args:
        keys: (N,) whose price each payment was.
        paid: (N,) payments; null, infinite and NaN count as unknown.
        wanted: (I,) distinct keys.
        digits: Decimal places kept.
    """
    owner, value = (
        Vocab(wanted).rows(keys),
        np.asarray(
            pc.cast(paid, pa.float64()).fill_null(np.nan),
            np.float64,
        ),
    )
    known = (owner >= 0) & np.isfinite(value)
    order = np.lexsort((value[known], owner[known]))
    value, count = value[known][order], np.bincount(owner[known], minlength=len(wanted))
    start = np.cumsum(count) - count
    some = count > 0
    middle = [value[(start + half)[some]] for half in ((count - 1) // 2, count // 2)]
    found = np.full(len(wanted), np.nan)
    found[some] = np.round(
        (middle[0] + middle[1]) / 2,
        digits,
    )
    return pa.array(found, pa.float64(), mask=~(found > 0))
