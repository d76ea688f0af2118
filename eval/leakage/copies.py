"""Copies of what is held out: bundles, pairs of user and item, queries in texts."""

from __future__ import annotations

import numpy as np

from fusion.query_batch import QueryBatch
from kg.events import Events
from kg.graph import Graph
from kg.split.held import Split
from kg.tables import IntArray

TWINS = 0.25  # share of the held-out bundles that stand in training item by item


def target_notes(
    split: Split, graph: Graph, task: str, queries: QueryBatch
) -> list[str]:
    """How many targets are cold, and how many queries stand in their target's text."""
    target = queries.targets.rows[queries.targets.offsets[:-1]]
    notes = [
        f"{task}: {split.cold[target].mean():.1%} of {len(queries):,} targets are in "
        f"no training event"
    ]
    worded = np.flatnonzero([bool(text.strip()) for text in queries.texts])
    if len(worded):
        texts = split.train.texts(graph.item)
        inside = sum(
            queries.texts[n].strip().lower() in texts[target[n]].lower() for n in worded
        )
        notes.append(
            f"{task}: the query stands word by word in the target's text in "
            f"{inside:,} of {len(worded):,} queries"
        )
    return notes


def twin_bundles(graph: Graph, held: Events) -> tuple[int, int]:
    """How many held-out bundles of two items or more repeat a training bundle, and of how many."""
    known = set(_sets(graph.events))
    ours = _sets(held)
    return sum(items in known for items in ours), len(ours)


def _sets(events: Events) -> list[bytes]:
    inside = events.bundle >= 0
    bundle, item = np.unique(
        np.stack([events.bundle[inside], events.item[inside]]), axis=1
    )
    _, starts = np.unique(bundle, return_index=True)
    return [part.tobytes() for part in np.split(item, starts[1:]) if len(part) > 1]


def repeated_pairs(graph: Graph, held: Events) -> tuple[int, int]:
    """How many distinct held-out (user, item) pairs are training pairs, and how many there are."""
    pairs = _pairs(held, graph.size(graph.item))
    return len(
        np.intersect1d(pairs, _pairs(graph.events, graph.size(graph.item)))
    ), len(pairs)


def _pairs(events: Events, items: int) -> IntArray:
    known = events.user >= 0
    return np.unique(events.user[known] * items + events.item[known])
