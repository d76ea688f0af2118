"""Percentile bootstrap over whole groups: users are redrawn, not their queries."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kg.errors import InputError
from kg.tables import FloatArray

_CELLS = 1 << 21  # weights held at once: 16 MiB


class Interval(NamedTuple):
    """A mean and its interval; low and high are NaN where there is one group alone."""

    mean: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half the interval's width."""
        return (self.high - self.low) / 2

    @property
    def clear(self) -> bool:
        """Whether zero lies outside."""
        return self.low > 0 or self.high < 0


def intervals(
    values: FloatArray,
    groups: npt.NDArray[np.int64],
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> list[Interval]:
    """The mean of each column with its interval, every column under the same draws of groups.

    Efron and Tibshirani, An Introduction to the Bootstrap, 1993; clusters are drawn, and the
    mean stays one of queries.

    Args:
        values: (B, M), one row a query.
        groups: (B,) which queries are drawn together.
        draws: How many bootstrap samples.
        seed: Of the draws.
        level: The share of the samples inside the interval.

    Raises:
        ValueError: There is no query, a value is NaN (the metric is not defined for that query),
            the lengths differ, or draws or level are out of range.
    """
    if values.ndim != 2 or not len(values) or groups.shape != (len(values),):
        raise InputError(
            f"values of shape {values.shape} and groups of {groups.shape}; (queries, "
            f"metrics) and (queries,) wanted"
        )
    if draws < 1 or not 0 < level < 1:
        raise InputError(
            f"draws {draws} must be at least 1 and level {level} between 0 and 1"
        )
    bad = np.isnan(values).any(axis=1)
    if bad.any():
        raise InputError(
            f"{bad.sum()} of {len(values)} values are NaN, the first of query "
            f"{bad.argmax()}; leave such queries out"
        )
    _, group = np.unique(groups, return_inverse=True)
    count = np.bincount(group)
    number = len(count)
    order = np.argsort(group, kind="stable")
    sums = np.add.reduceat(values[order], np.cumsum(count) - count, axis=0)
    means = values.mean(axis=0)
    if number == 1:
        return [Interval(float(mean), np.nan, np.nan) for mean in means]
    rng, step, samples = np.random.default_rng(seed), max(1, _CELLS // number), []
    for start in range(0, draws, step):
        some = min(step, draws - start)
        drawn = (
            rng.integers(number, size=(some, number))
            + np.arange(some)[:, None] * number
        )
        weights = (
            np.bincount(drawn.ravel(), minlength=some * number)
            .reshape(some, number)
            .astype(np.float64)
        )
        samples.append(weights @ sums / (weights @ count)[:, None])
    low, high = np.quantile(
        np.concatenate(samples), [(1 - level) / 2, (1 + level) / 2], axis=0
    )
    return [
        Interval(float(m), float(a), float(b))
        for m, a, b in zip(means, low, high, strict=True)
    ]


def mean_interval(
    values: FloatArray,
    groups: npt.NDArray[np.int64],
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """The mean of values (B,) and its interval; see intervals."""
    return intervals(values[:, None], groups, draws, seed, level)[0]


def paired_interval(
    a: FloatArray,
    b: FloatArray,
    groups: npt.NDArray[np.int64],
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """The mean of a - b, both (B,) over the same queries, and its interval; see intervals."""
    if a.shape != b.shape:
        raise InputError(f"{a.shape} values cannot be paired with {b.shape}")
    return mean_interval(a - b, groups, draws, seed, level)
