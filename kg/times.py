"""Times: numbers in the graph's own unit, which are days since 1970 where they were dates."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

MOMENT = "moment"
Moment = Annotated[float, MOMENT]
"""A setting that is a time of the graph.

A number in its unit, or in a recipe a date or a moment, counted in days.
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WRITTEN = ", dates written as numbers, which are no days: make them dates (2024-12-31)"
_DAYS = (
    3650,
    73_000,
)  # of the years 1980 to 2169; what lies elsewhere is of another unit


def days_of(when: date) -> float:
    """Days since 1970 of a date's first moment, or of a moment, in UTC where it has no zone.

    An edge's times are in the same unit.
    """
    if not isinstance(when, datetime):
        when = datetime(when.year, when.month, when.day, tzinfo=UTC)
    return ((when if when.tzinfo else when.replace(tzinfo=UTC)) - _EPOCH) / timedelta(
        days=1
    )


def dates_of(times: FloatArray) -> str:
    """The first and the last of some times as dates in brackets, "" where they can be no days."""
    if not len(times) or times.min() <= _DAYS[0] or times.max() >= _DAYS[1]:
        return ""
    first, last = (
        (_EPOCH + timedelta(days=float(t))).date() for t in (times.min(), times.max())
    )
    return f" ({first} to {last})"


def span_of(times: FloatArray) -> str:
    """The first and the last of some times as numbers and, where they can be, as dates."""
    if not len(times):
        return "none"
    first, last = (
        np.format_float_positional(t, trim="-") for t in (times.min(), times.max())
    )
    return f"{first} to {last}{dates_of(times)}{_WRITTEN if _written(times) else ''}"


def _written(times: FloatArray) -> bool:
    """Whether all are dates written as one number, 20241231, which counts no days."""
    if times.min() < 19000101 or times.max() > 21991231 or (times % 1).any():
        return False
    months, days = times // 100 % 100, times % 100
    return bool(((months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)).all())
