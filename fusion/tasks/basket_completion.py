"""Basket completion: all items of a bundle but one, and its owner, to the one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fusion.query_batch import QueryBatch, Ragged
from fusion.tasks.bundle_intent import bundle_words
from fusion.tasks.rows import one_each
from kg.errors import InputError
from kg.events import Events
from kg.graph import Graph
from kg.tables import IntArray


@dataclass(frozen=True)
class BasketCompletion:
    """One item of every basket is the target, at random or each in turn; the others are context.

    Attributes:
        min_items: Baskets with fewer distinct items are left out.
        max_items: Baskets with more are left out, too; 0 for no limit.
        limit: Most queries a fold in training, 0 for no limit.
        draws: Queries made of a basket in training; held-out baskets give one each.
        user: Whether the owner is part of the query.
        text: Whether the basket's words are.
        every: Each item of a basket is the target in turn, in training and held out, whatever
            `draws` is.
    """

    needs: ClassVar[str] = (
        "bundles of at least `min_items` items among the events that the folds ask about"
    )

    min_items: int = 3
    max_items: int = 0
    limit: int = 0
    draws: int = 1
    user: bool = True
    text: bool = False
    every: bool = False

    def __post_init__(self) -> None:
        least = max(self.min_items, 2)
        if self.max_items and self.max_items < least:
            raise InputError(
                f"baskets: max_items {self.max_items} must be 0 or at least {least}"
            )

    def training(
        self,
        graph: Graph,
        events: Events,
        seed: int,
    ) -> QueryBatch:
        """Queries about the events, for a graph that does not hold them."""
        return self._queries(events, seed, self.draws, self.limit)

    def held_out(
        self,
        graph: Graph,
        events: Events,
        seed: int,
    ) -> QueryBatch:
        """One query for every held-out basket, or for every item of one."""
        return self._queries(events, seed, 1, 0)

    def _queries(
        self,
        events: Events,
        seed: int,
        draws: int,
        limit: int,
    ) -> QueryBatch:
        rng = np.random.default_rng(seed)
        inside = events.take(events.bundle >= 0)
        # Sorted by bundle, item and user: the same draw whatever the order in which a store
        # gives the edges.
        order = np.lexsort((inside.user, inside.item, inside.bundle))
        inside = inside.take(order)
        same_bundle = inside.bundle[1:] == inside.bundle[:-1]
        same_item = inside.item[1:] == inside.item[:-1]
        twice = np.zeros(len(inside), bool)
        twice[1:] = same_bundle & same_item
        inside = inside.take(~twice)
        _, starts, counts = np.unique(
            inside.bundle, return_index=True, return_counts=True
        )
        enough = counts >= max(self.min_items, 2)
        few = counts <= (self.max_items or counts)
        fits = enough & few
        starts = starts[fits]
        counts = counts[fits]
        times = counts if self.every else np.full(len(counts), draws)
        starts = np.repeat(starts, times)
        counts = np.repeat(counts, times)
        turn = np.arange(len(starts)) - np.searchsorted(starts, starts)
        if limit and limit < len(starts):
            chosen = np.sort(rng.choice(len(starts), limit, replace=False))
            starts = starts[chosen]
            counts = counts[chosen]
            turn = turn[chosen]
        if not self.every:
            turn = rng.integers(0, np.maximum(counts, 1))
        target = starts + turn
        return self._batch(inside, starts, counts, target)

    def _batch(
        self,
        inside: Events,
        starts: IntArray,
        counts: IntArray,
        target: IntArray,
    ) -> QueryBatch:
        """The queries whose baskets start somewhere in `inside`, and whose targets stand there."""
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        shift = np.repeat(starts - offsets[:-1], counts)
        flat = shift + np.arange(offsets[-1])
        rest = flat[flat != np.repeat(target, counts)]
        shorter = offsets - np.arange(len(offsets))
        count = len(target)
        owner = inside.user[target]
        bundle = inside.bundle[target]
        words = ("",) * count
        if self.text:
            words = bundle_words(inside, bundle)
        return QueryBatch(
            owner if self.user else np.full(count, -1),
            Ragged(shorter, inside.item[rest]),
            words,
            one_each(inside.item[target]),
            np.where(owner >= 0, owner, -1 - bundle),
        )
