"""Intents: the words of a bundle alone, to its items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fusion.query_batch import QueryBatch, Ragged
from fusion.tasks.rows import no_rows
from kg.errors import DataError
from kg.events import Events
from kg.graph import Graph
from kg.tables import IntArray


@dataclass(frozen=True)
class BundleIntent:
    """What people called a bundle is the query; the user is anonymous, and there is no context.

    Training queries have one item of the bundle as their target, held-out queries all of them.
    Bundles without words are left out.

    Attributes:
        limit: Most queries a fold in training, 0 for no limit.
    """

    needs: ClassVar[str] = (
        "bundles that have words, among the events that the folds ask about"
    )

    limit: int = 0

    def training(
        self,
        graph: Graph,
        events: Events,
        seed: int,
    ) -> QueryBatch:
        """One query for each item of each bundle."""
        pairs = _pairs(events)
        if self.limit and self.limit < len(pairs):
            rng = np.random.default_rng(seed)
            drawn = rng.choice(len(pairs), self.limit, replace=False)
            pairs = pairs.take(np.sort(drawn))
        return _queries(pairs, np.arange(len(pairs)))

    def held_out(
        self,
        graph: Graph,
        events: Events,
        seed: int,
    ) -> QueryBatch:
        """One query for every held-out bundle."""
        pairs = _pairs(events)
        _, starts = np.unique(pairs.bundle, return_index=True)
        return _queries(pairs, starts)


def bundle_words(
    events: Events,
    bundles: IntArray,
) -> tuple[str, ...]:
    """The words of some bundles; DataError where bundles have no text at all."""
    if len(bundles) and not events.words:
        raise DataError(
            "the task asks with the words of bundles, but the graph's bundle type has no text"
        )
    return tuple(events.words[bundle] for bundle in bundles.tolist())


def _pairs(events: Events) -> Events:
    """Each item of each bundle with words once, with its first owner; sorted."""
    inside = events.take(events.bundle >= 0)
    order = np.lexsort((inside.user, inside.item, inside.bundle))
    inside = inside.take(order)
    pairs = np.stack([inside.bundle, inside.item])
    _, first = np.unique(pairs, axis=1, return_index=True)
    texts = bundle_words(inside, inside.bundle[first])
    has_words = np.array([bool(text.strip()) for text in texts], bool)
    return inside.take(first[has_words])


def _queries(
    pairs: Events,
    starts: IntArray,
) -> QueryBatch:
    """One query from each start to before the next."""
    count = len(starts)
    user = pairs.user[starts]
    bundle = pairs.bundle[starts]
    return QueryBatch(
        np.full(count, -1),
        no_rows(count),
        bundle_words(pairs, bundle),
        Ragged(np.append(starts, len(pairs)), pairs.item),
        np.where(user >= 0, user, -1 - bundle),
    )
