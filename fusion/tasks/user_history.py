"""User history: a user and all items so far, to what comes next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fusion.query_batch import QueryBatch, Ragged
from fusion.tasks.rows import no_rows, one_each
from kg.events import Events
from kg.graph import Graph
from kg.tables import IntArray


@dataclass(frozen=True)
class UserHistory:
    """One query a user: the user and, as context, all items so far, to all the user's new items.

    Context items are never ranked, so this is the usual protocol of recommendation from
    implicit feedback (He et al. 2020, "LightGCN", section 4.1): all items ranked, those of
    training excluded. Training queries have one target each.

    Attributes:
        in_context: Whether what the user has is the context; else it is excluded, and the user
            alone is asked, which costs less where it is hundreds of items.
        limit: Most queries a fold in training, 0 for no limit.
        draws: Most queries a user and fold in training, 0 for one for each new item.
    """

    needs: ClassVar[str] = "users who take something that they had not taken before"

    in_context: bool = True
    limit: int = 0
    draws: int = 0

    def training(
        self,
        graph: Graph,
        events: Events,
        seed: int,
    ) -> QueryBatch:
        """One query for each user and new item."""
        rng = np.random.default_rng(seed)
        user, item = _new(graph, events)
        chosen = np.arange(len(user))
        if self.draws:
            order = rng.permutation(len(user))
            by_user = np.argsort(user[order], kind="stable")
            order = order[by_user]
            place = np.arange(len(order)) - np.searchsorted(user, user[order])
            chosen = np.sort(order[place < self.draws])
        if self.limit and self.limit < len(chosen):
            chosen = np.sort(rng.choice(chosen, self.limit, replace=False))
        targets = one_each(item[chosen])
        return self._queries(graph, user[chosen], targets)

    def held_out(
        self,
        graph: Graph,
        events: Events,
        seed: int,
    ) -> QueryBatch:
        """One query for every user who took something new."""
        user, item = _new(graph, events)
        users, starts = np.unique(user, return_index=True)
        bounds = np.append(starts, len(user))
        return self._queries(graph, users, Ragged(bounds, item))

    def _queries(
        self,
        graph: Graph,
        users: IntArray,
        targets: Ragged,
    ) -> QueryBatch:
        keys = _keys(graph, graph.events)
        owner, item = np.divmod(keys, graph.size(graph.item))
        every = np.arange(graph.size(graph.user) + 1 if graph.user else 1)
        offsets = np.searchsorted(owner, every).astype(np.int64)
        interacted = Ragged(offsets, item).take(users)
        words = ("",) * len(users)
        if self.in_context:
            return QueryBatch(users, interacted, words, targets, users)
        nothing = no_rows(len(users))
        return QueryBatch(users, nothing, words, targets, users, interacted)


def _new(
    graph: Graph,
    events: Events,
) -> tuple[IntArray, IntArray]:
    """The users and items of events that the graph does not hold; sorted, each pair once."""
    before = _keys(graph, graph.events)
    pairs = np.setdiff1d(_keys(graph, events), before)
    user, item = np.divmod(pairs, graph.size(graph.item))
    return user, item


def _keys(
    graph: Graph,
    events: Events,
) -> IntArray:
    known = events.take(events.user >= 0)
    items = graph.size(graph.item)
    keys: IntArray = np.unique(known.user * items + known.item)
    return keys
