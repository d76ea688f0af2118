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


def make_folds(
    graph: Graph,
    config: FoldConfig,
    seed: int,
) -> list[Fold]:
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
    dated = len(times) > 1 and not np.isnan(times).any()
    by = config.by or ("time" if dated else "bundle")
    if by == "time":
        folds = _windows(graph, config)
    elif by == "last":
        folds = _last(graph, config)
    else:
        folds = _dealt(graph, config, seed, by == "user")
    rng = np.random.default_rng(seed)
    items = graph.size(graph.item)
    count = round(config.cold * items)
    forgetting = []
    for fold in folds:
        forgotten = rng.permutation(items)[:count]
        rest = fold.graph.without_items(forgotten)
        forgetting.append(replace(fold, graph=rest))
    return forgetting


def _windows(
    graph: Graph,
    config: FoldConfig,
) -> list[Fold]:
    events = graph.events
    dated = events.time[~events.lasting]
    if not len(dated) or np.isnan(dated).any():
        raise DataError("folds.by time: some events have no time")
    folds, end = [], float(dated.max())
    for number in range(config.count):
        late = end - number * config.length
        early = end - (number + 1) * config.length
        inside = (events.time > early) & (events.time <= late)
        asked = events.take(inside)
        earliest = number == config.count - 1
        fold = Fold(graph.until(early), asked, earliest)
        if fold.graph.events.lasting.all() or not len(fold.asked):
            raise DataError(
                f"folds: window {number + 1} of {config.count} asks about {early:g}..{late:g}, "
                f"but training runs from {dated.min():g} to {end:g}; "
                "lower folds.count or folds.length"
            )
        folds.append(fold)
    return folds


def _dealt(
    graph: Graph,
    config: FoldConfig,
    seed: int,
    users: bool,
) -> list[Fold]:
    if config.count < 2:
        raise DataError(
            "folds: without times at least 2 folds are needed, so that each looks at the others"
        )
    events = graph.events
    single = -1 - np.arange(len(events))
    key = np.where(events.bundle >= 0, events.bundle, single)
    if users:
        whole_user = -1 - len(events) - events.user
        key = np.where(events.user >= 0, whole_user, key)
    groups, group = np.unique(key, return_inverse=True)
    if len(groups) < config.count:
        raise DataError(
            f"folds: {len(groups)} bundles and single items "
            f"cannot be dealt into {config.count} folds"
        )
    rng = np.random.default_rng(seed)
    dealt = rng.permutation(len(groups)) % config.count
    pair = events.user * graph.size(graph.item) + events.item
    folds = []
    for number in range(config.count):
        asked = dealt[group] == number
        same_pair = np.isin(pair, pair[asked])
        gone = asked | ((events.bundle < 0) & same_pair)
        rest = graph.without_events(gone)
        folds.append(Fold(rest, events.take(asked)))
    return folds


def _last(
    graph: Graph,
    config: FoldConfig,
) -> list[Fold]:
    events = graph.events
    known = (events.bundle < 0) & (events.user >= 0)
    alone = known & ~np.isnan(events.time)
    order = np.lexsort((events.item, events.time, events.user))
    order = order[alone[order]]
    user = events.user[order]
    number_in_order = np.arange(len(order))
    starts = np.searchsorted(user, user)
    stops = np.searchsorted(user, user, side="right")
    after = np.full(len(events), -1)  # the user's later events
    after[order] = stops - 1 - number_in_order
    before = np.zeros(len(events), int)  # and the earlier ones
    before[order] = number_in_order - starts
    folds = []
    for number in range(config.count):
        # Whoever has fewer than two things before it is not asked, and then nothing of theirs
        # is set aside.
        asked = (after == number) & (before >= 2)
        of_asker = np.isin(events.user, events.user[asked])
        late = (after >= 0) & (after <= number)
        rest = graph.without_events(of_asker & late)
        earliest = number == config.count - 1
        fold = Fold(rest, events.take(asked), earliest)
        if not asked.any():
            raise DataError(
                f"folds: no user has {number + 3} dated interactions outside bundles; "
                "lower folds.count"
            )
        folds.append(fold)
    return folds


def held_events(
    graph: Graph,
    held: pa.Table,
) -> Events:
    """Held-out events in the graph's rows.

    Held-out bundles, which it does not have, are numbered among themselves. Events of items
    that the graph does not have are left out.
    """
    items = graph.vocabs[graph.item].rows(held["item"])
    count = len(items)
    users = np.full(count, -1)
    if graph.user:
        users = graph.vocabs[graph.user].rows(held["user"])
    coded = held["bundle"].combine_chunks().dictionary_encode()
    bundles = np.asarray(coded.indices.fill_null(-1), np.int64)
    words: tuple[str, ...] = ()
    if "words" in held.column_names and count:
        texts = held["words"].to_pylist()
        named = dict(zip(bundles.tolist(), texts, strict=True))
        words = tuple(named[row] for row in range(len(coded.dictionary)))
    times = held["time"].to_numpy()
    events = Events(users, bundles, items, times, words)
    return events.take(items >= 0)
