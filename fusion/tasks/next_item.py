"""The next item: a user, or what the user took lately, to an item new to the user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fusion.query_batch import QueryBatch, Ragged
from fusion.tasks.rows import one_each
from kg.errors import InputError
from kg.events import Events
from kg.graph import Graph
from kg.tables import IntArray


@dataclass(frozen=True)
class NextItem:
    """One query a user and window: the user, to one item at random of those taken in the window.

    With a history, what the user took before is the context, oldest first, and is not ranked:
    the protocol of sequential recommendation (Kang and McAuley 2018, "Self-attentive
    sequential recommendation"). What stands there is not asked for either, though it come
    again: a history that lacked the target alone would give it away.

    Attributes:
        exclude_seen: Only items that the user has not taken in the graph before.
        limit: Most queries a fold in training, 0 for no limit.
        draws: Queries made of a user in training; held-out users give one each.
        history: How many of the user's latest distinct items are context. 0 asks by the
            user alone; what is then asked with context items, by nobody known above
            all, is answered by weights that never saw any.
    """

    needs: ClassVar[str] = (
        "users who take something, where `new` says so for the first time"
    )

    exclude_seen: bool = True
    limit: int = 0
    draws: int = 4
    history: int = 0

    def __post_init__(self) -> None:
        if min(self.draws, self.limit, self.history) < 0:
            raise InputError(f"{self}: draws, limit and history must be at least 0")

    def training(
        self,
        graph: Graph,
        events: Events,
        seed: int,
    ) -> QueryBatch:
        """Queries about the events, for a graph that does not hold them."""
        return self._queries(graph, events, seed, self.draws, self.limit)

    def held_out(
        self,
        graph: Graph,
        events: Events,
        seed: int,
    ) -> QueryBatch:
        """One query for every user who took something."""
        return self._queries(graph, events, seed, 1, 0)

    def _queries(
        self,
        graph: Graph,
        events: Events,
        seed: int,
        draws: int,
        limit: int,
    ) -> QueryBatch:
        rng = np.random.default_rng(seed)
        size = graph.size(graph.item)
        known = events.take(events.user >= 0)
        pairs = np.unique(known.user * size + known.item)
        if self.exclude_seen:
            before = graph.events
            pairs = np.setdiff1d(pairs, before.user * size + before.item)
        owner, context = pairs[:0], pairs[:0]
        if self.history:
            owner, context = _latest(graph, self.history)
        pairs = np.setdiff1d(pairs, owner * size + context)
        user, item = np.divmod(pairs, size)
        order = rng.permutation(len(user))
        by_user = np.argsort(user[order], kind="stable")
        order = order[by_user]
        ordered = user[order]
        place = np.arange(len(order)) - np.searchsorted(ordered, ordered)
        chosen = order[place < draws]
        if limit and limit < len(chosen):
            chosen = np.sort(rng.choice(chosen, limit, replace=False))
        users = user[chosen]
        return QueryBatch(
            users,
            _of_users(owner, context, users),
            ("",) * len(chosen),
            one_each(item[chosen]),
            users,
        )


def _latest(
    graph: Graph,
    most: int,
) -> tuple[IntArray, IntArray]:
    """(users, items): each user's latest items, the oldest first, each once, where it came last."""
    events = graph.events.take(graph.events.user >= 0)
    order = np.lexsort((events.item, events.time, events.user))
    user = events.user[order]
    item = events.item[order]
    keys = user * graph.size(graph.item) + item
    backwards = keys[::-1]
    _, last = np.unique(backwards, return_index=True)
    kept = np.sort(len(user) - 1 - last)
    user = user[kept]
    item = item[kept]
    stops = np.searchsorted(user, user, side="right")
    late = stops - np.arange(len(user)) <= most
    return user[late], item[late]


def _of_users(
    owner: IntArray,
    items: IntArray,
    users: IntArray,
) -> Ragged:
    """The items of each user, by their owners, ascending."""
    starts = np.searchsorted(owner, users)
    stops = np.searchsorted(owner, users, side="right")
    ranges = zip(starts, stops, strict=True)
    return Ragged.of([items[start:stop] for start, stop in ranges])
