"""Queries of baselines, as rows."""

from __future__ import annotations

import numpy as np

from fusion.query_batch import QueryBatch, Ragged


def query(*rows):
    """Queries of (user, items, words)."""
    none = Ragged.of([[]] * len(rows))
    items = Ragged.of([row[1] for row in rows])
    return QueryBatch(
        np.array([r[0] for r in rows]),
        items,
        tuple(r[2] for r in rows),
        none,
        np.arange(len(rows)),
    )
