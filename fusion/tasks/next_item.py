"""The next new item: a user, to an item that the user has not taken before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusion.ask import Asks, Ragged
from kg.graph import Events, Graph


@dataclass(frozen=True)
class NextItem:
    """One ask a user and window: the user alone, to one item at random of those taken in the window.

    Attributes:
        new: Only items that the user has not taken in the graph before.
        limit: Most asks a fold in training, 0 for no limit.
        draws: Asks made of a user in training; held-out users give one each.
    """

    new: bool = True
    limit: int = 0
    draws: int = 4

    def training(self, graph: Graph, events: Events, seed: int) -> Asks:
        """Asks about the events, for a graph that does not hold them."""
        return self._asks(graph, events, seed, self.draws, self.limit)

    def held_out(self, graph: Graph, events: Events, seed: int) -> Asks:
        """One ask for every user who took something."""
        return self._asks(graph, events, seed, 1, 0)

    def _asks(self, graph: Graph, events: Events, seed: int, draws: int, limit: int) -> Asks:
        rng = np.random.default_rng(seed)
        size = graph.size(graph.item)
        pairs = np.unique(events.user[events.user >= 0] * size + events.item[events.user >= 0])
        if self.new:
            before = graph.events
            pairs = np.setdiff1d(pairs, before.user * size + before.item)
        user, item = np.divmod(pairs, size)
        order = rng.permutation(len(user))
        order = order[np.argsort(user[order], kind="stable")]
        place = np.arange(len(order)) - np.searchsorted(user[order], user[order])
        chosen = order[place < draws]
        if limit and limit < len(chosen):
            chosen = np.sort(rng.choice(chosen, limit, replace=False))
        count = len(chosen)
        return Asks(
            user[chosen],
            Ragged(np.zeros(count + 1, np.int64), np.zeros(0, np.int64)),
            ("",) * count,
            Ragged(np.arange(count + 1), item[chosen]),
            user[chosen],
        )
