"""TimeSplit: training before a moment, validation after it, then the test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kg.errors import InputError
from kg.graph import build_graph
from kg.split.held import Split
from kg.split.parts import (
    TEST,
    TRAIN,
    UNUSED,
    VALID,
    event_times,
    hold_out,
    ranks,
    refitted,
)
from kg.tables import Tables
from kg.times import Moment


@dataclass(frozen=True)
class TimeSplit:
    """By time: train <= train_until < valid <= valid_until < test, and test >= test_from.

    A bundle belongs whole to the part of its latest edge; one without a taker and a time, as
    an editor's outfit, stays in training. Every edge later than train_until leaves the
    training tables, timed relations too; what is neither valid nor test, or was an early
    taking of a later bundle, is used nowhere.

    Attributes:
        train_until: The last moment of training, in the unit of the edges' time; a date, as
            2025-01-31, stands for days since 1970, as which dates and timestamps are counted.
        valid_until: The last moment of validation.
        test_from: Test events are not earlier; valid_until where None.
        cold_fraction: Share of the items, 0..1, that loses all training events, to measure
            items never seen. What is known of them (texts, relations) stays.
        seed: Of the choice of cold items.
        refit: Whether the graph that is served and tested holds the validation events, too;
            the weights stay.
    """

    train_until: Moment
    valid_until: Moment
    test_from: Moment | None = None
    cold_fraction: float = 0.0
    seed: int = 0
    refit: bool = False

    def __post_init__(self) -> None:
        if (
            not self.train_until
            < self.valid_until
            <= (self.valid_until if self.test_from is None else self.test_from)
        ):
            raise InputError(f"{self}: must be train_until < valid_until <= test_from")
        if not 0 <= self.cold_fraction < 1:
            raise InputError(f"{self}: cold_fraction must be in 0..1")

    def __call__(self, tables: Tables) -> Split:
        """Split the tables; DataError where an event has no time or a part is empty."""
        graph = build_graph(tables)
        time = event_times(self, graph)
        part = np.full(len(time), UNUSED)
        part[time <= self.train_until] = TRAIN
        part[(time > self.train_until) & (time <= self.valid_until)] = VALID
        test_from = self.valid_until if self.test_from is None else self.test_from
        part[(time > self.valid_until) & (time >= test_from)] = TEST
        ids = graph.vocabs[graph.item].ids
        chosen = np.random.default_rng(self.seed).permutation(len(ids))[
            : round(self.cold_fraction * len(ids))
        ]
        cold = np.isin(ranks(ids), chosen)
        split = hold_out(self, tables, graph, part, until=self.train_until, cold=cold)
        return (
            refitted(
                self, split, tables, graph, part, until=self.valid_until, cold=cold
            )
            if self.refit
            else split
        )
