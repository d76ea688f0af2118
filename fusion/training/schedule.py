"""Which queries each step takes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kg.tables import IntArray


def schedule(
    sizes: list[int], batch: int, epochs: int, seed: int
) -> Iterator[tuple[int, IntArray]]:
    """(fold, query numbers) a step: every query once an epoch, a batch from one fold, folds mixed.

    The same by seed.
    """
    for epoch in range(epochs):
        rng = np.random.default_rng([seed, epoch])
        orders = [rng.permutation(size) for size in sizes]
        # A short last batch is dropped, so that every step weighs the same, unless it is all
        # that there is.
        starts = [
            (fold, start)
            for fold, size in enumerate(sizes)
            if size
            for start in range(0, max(size - batch, 0) + 1, batch)
        ]
        for number in rng.permutation(len(starts)):
            fold, start = starts[number]
            yield fold, orders[fold][start : start + batch]


def evenly(steps: int, times: int) -> set[int]:
    """The ends of so many even parts of the steps."""
    return {round(steps * (number + 1) / times) for number in range(times)}
