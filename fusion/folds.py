"""Folds: training asks, each about events that the graph it is asked of does not hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from kg.graph import Events, Graph
from kg.tables import DataError


@dataclass(frozen=True)
class FoldConfig:
    """How training events are set aside to be asked about.

    With times, fold i asks about a window and looks at the graph before it, as serving will: the windows are the last
    `count * length` of the training time. Without times, the events are dealt into `count` folds, whole bundles (or
    whole users' items) together, and each fold looks at the graph without itself. Either way an ask's own basket cannot
    be in its counts or its messages.

    Attributes:
        count: How many folds; every one costs a pass over the graph for its counts.
        length: A window's length in the graph's time units.
    """

    count: int = 2
    length: float = 8.0

    def __post_init__(self) -> None:
        if self.count < 1 or self.length <= 0:
            raise ValueError(f"folds: count {self.count} must be at least 1 and length {self.length} above 0")


@dataclass(frozen=True)
class Fold:
    """A graph, and events that it does not hold."""

    graph: Graph
    asked: Events


def make_folds(graph: Graph, config: FoldConfig, seed: int) -> list[Fold]:
    """Cut the training graph into folds.

    Raises:
        DataError: There are no events, or a window leaves nothing before it.
    """
    events = graph.events
    if not len(events):
        raise DataError("the training graph has no interactions, so there is nothing to learn from")
    if np.isnan(events.time).any():
        return _dealt(graph, config, seed)
    folds, end = [], float(events.time.max())
    for number in range(config.count):
        late, early = end - number * config.length, end - (number + 1) * config.length
        fold = Fold(graph.until(early), events.take((events.time > early) & (events.time <= late)))
        if not len(fold.graph.events) or not len(fold.asked):
            raise DataError(
                f"folds: window {number + 1} of {config.count} asks about {early:g}..{late:g}, but training runs from "
                f"{events.time.min():g} to {end:g}; lower folds.count or folds.length"
            )
        folds.append(fold)
    return folds


def _dealt(graph: Graph, config: FoldConfig, seed: int) -> list[Fold]:
    if config.count < 2:
        raise DataError("folds: without times at least 2 folds are needed, so that each looks at the others")
    events = graph.events
    key = np.where(events.bundle >= 0, events.bundle, -1 - np.arange(len(events)))
    groups, group = np.unique(key, return_inverse=True)
    dealt = np.random.default_rng(seed).permutation(len(groups)) % config.count
    masks = [dealt[group] == number for number in range(config.count)]
    return [Fold(graph.without_events(mask), events.take(mask)) for mask in masks]


def held_events(graph: Graph, held: pa.Table) -> Events:
    """Held-out events in the graph's rows; held-out bundles, which it does not have, are numbered among themselves.

    Events of items that the graph does not have are left out.
    """
    items = graph.vocabs[graph.item].rows(held["item"])
    count = len(items)
    users = graph.vocabs[graph.user].rows(held["user"]) if graph.user else np.full(count, -1)
    bundles = held["bundle"].combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy()
    events = Events(users, np.asarray(bundles, np.int64), items, held["time"].to_numpy())
    return events.take(items >= 0)
