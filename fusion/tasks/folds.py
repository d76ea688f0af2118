"""Folds: training queries, each about events that the graph it is asked of does not hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa

from kg.errors import DataError, InputError
from kg.events import Events
from kg.graph import Graph


@dataclass(frozen=True)
class FoldConfig:
    """How training events are set aside to be asked about.

    Either way a query's own basket cannot be in its counts or its messages;
    `fusion.tasks.leaks` holds that.

    - time: fold i asks about a window and looks at the graph before it, as serving will: the
      windows are the last `count * length` of the training time. Bundles without a user and a
      time stand in every fold's graph.
    - last: fold i asks about what every user took last but i, alone and not in a bundle, and
      looks at the graph without what they took from then on.
    - bundle: the events are dealt into `count` folds, bundles whole, and each fold looks at
      the graph without itself, and without its users' other interactions with the same items: where
      bundles are drawn from these, those would give them away.
    - user: the same, users whole, for a split that holds out whole users: a user's bundles
    share items.

    Attributes:
        count: How many folds; every one costs a pass over the graph for its counts.
        length: A window's length in the graph's time units.
        cold: Share of the items, another draw each fold, whose interactions the fold's graph
            forgets, so that the model learns what to make of cold items: without it, that no
            count means no.
        by: What the folds are cut by; where empty, time where events have times that differ,
            else bundle.
    """

    count: int = 2
    length: float = 8.0
    cold: float = 0.05
    by: Literal["", "time", "last", "bundle", "user"] = ""

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 < self.length < np.inf:
            raise InputError(
                f"folds: count {self.count} must be at least 1 and length {self.length} above 0"
            )
        if not 0 <= self.cold < 1:
            raise InputError(f"folds: cold {self.cold} must be in 0..1")


@dataclass(frozen=True)
class Fold:
    """A graph, and events that it does not hold.

    Attributes:
        graph: What may be looked at.
        asked: What is asked about.
        earliest: Whether the graph holds nothing that any fold asks about.
    """

    graph: Graph
    asked: Events
    earliest: bool = False


def make_folds(graph: Graph, config: FoldConfig, seed: int) -> list[Fold]:
    """Cut the training graph into folds.

    Raises:
        DataError: There are no events, a window leaves nothing before it, or there is too
            little to deal.
    """
    events = graph.events
    if not len(events):
        raise DataError(
            "the training graph has no interactions, so there is nothing to learn from"
        )
    times = np.unique(events.time[~events.lasting])
    by = config.by or (
        "time" if len(times) > 1 and not np.isnan(times).any() else "bundle"
    )
    if by == "time":
        folds = _windows(graph, config)
    else:
        folds = (
            _last(graph, config)
            if by == "last"
            else _dealt(graph, config, seed, by == "user")
        )
    rng, items = np.random.default_rng(seed), graph.size(graph.item)
    forgotten = [rng.permutation(items)[: round(config.cold * items)] for _ in folds]
    return [
        replace(f, graph=f.graph.without_items(gone))
        for f, gone in zip(folds, forgotten, strict=True)
    ]


def _windows(graph: Graph, config: FoldConfig) -> list[Fold]:
    events = graph.events
    dated = events.time[~events.lasting]
    if not len(dated) or np.isnan(dated).any():
        raise DataError("folds.by time: some events have no time")
    folds, end = [], float(dated.max())
    for number in range(config.count):
        late, early = end - number * config.length, end - (number + 1) * config.length
        asked = events.take((events.time > early) & (events.time <= late))
        fold = Fold(graph.until(early), asked, number == config.count - 1)
        if fold.graph.events.lasting.all() or not len(fold.asked):
            raise DataError(
                f"folds: window {number + 1} of {config.count} asks about {early:g}..{late:g}, "
                f"but training runs from {dated.min():g} to {end:g}; "
                "lower folds.count or folds.length"
            )
        folds.append(fold)
    return folds


def _dealt(graph: Graph, config: FoldConfig, seed: int, users: bool) -> list[Fold]:
    if config.count < 2:
        raise DataError(
            "folds: without times at least 2 folds are needed, so that each looks at the others"
        )
    events = graph.events
    key = np.where(events.bundle >= 0, events.bundle, -1 - np.arange(len(events)))
    if users:
        key = np.where(events.user >= 0, -1 - len(events) - events.user, key)
    groups, group = np.unique(key, return_inverse=True)
    if len(groups) < config.count:
        raise DataError(
            f"folds: {len(groups)} bundles and single items "
            f"cannot be dealt into {config.count} folds"
        )
    dealt = np.random.default_rng(seed).permutation(len(groups)) % config.count
    folds, pair = [], events.user * graph.size(graph.item) + events.item
    for number in range(config.count):
        mask = dealt[group] == number
        gone = mask | ((events.bundle < 0) & np.isin(pair, pair[mask]))
        folds.append(Fold(graph.without_events(gone), events.take(mask)))
    return folds


def _last(graph: Graph, config: FoldConfig) -> list[Fold]:
    events = graph.events
    alone = (events.bundle < 0) & (events.user >= 0) & ~np.isnan(events.time)
    order = np.lexsort((events.item, events.time, events.user))
    order = order[alone[order]]
    user = events.user[order]
    place = np.full(len(events), -1)  # how many the user took after it
    place[order] = np.searchsorted(user, user, side="right") - 1 - np.arange(len(order))
    rest = np.zeros(len(events), int)
    rest[order] = np.arange(len(order)) - np.searchsorted(
        user, user
    )  # and how many before
    folds = []
    for number in range(config.count):
        # Whoever has fewer than two things before it is not asked, and then nothing of theirs
        # is set aside.
        asked = (place == number) & (rest >= 2)
        gone = (
            np.isin(events.user, events.user[asked]) & (place >= 0) & (place <= number)
        )
        fold = Fold(
            graph.without_events(gone), events.take(asked), number == config.count - 1
        )
        if not asked.any():
            raise DataError(
                f"folds: no user has {number + 3} dated takings outside bundles; lower folds.count"
            )
        folds.append(fold)
    return folds


def held_events(graph: Graph, held: pa.Table) -> Events:
    """Held-out events in the graph's rows.

    Held-out bundles, which it does not have, are numbered among themselves. Events of items
    that the graph does not have are left out.
    """
    items = graph.vocabs[graph.item].rows(held["item"])
    count = len(items)
    users = (
        graph.vocabs[graph.user].rows(held["user"])
        if graph.user
        else np.full(count, -1)
    )
    coded = held["bundle"].combine_chunks().dictionary_encode()
    bundles = np.asarray(coded.indices.fill_null(-1), np.int64)
    named = (
        dict(zip(bundles.tolist(), held["words"].to_pylist(), strict=True))
        if "words" in held.column_names
        else {}
    )
    words = tuple(named[row] for row in range(len(coded.dictionary))) if named else ()
    return Events(users, bundles, items, held["time"].to_numpy(), words).take(
        items >= 0
    )
