"""GroupedSplit: whole users, or whole bundles, are held out at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from kg.errors import InputError
from kg.graph import build_graph
from kg.split.held import Split
from kg.split.parts import TEST, TRAIN, VALID, hold_out, ranks
from kg.tables import Tables

Group = Literal["user", "bundle"]


@dataclass(frozen=True)
class GroupedSplit:
    """At random, whole groups at a time.

    Held-out users keep their node but none of their edges to items and bundles: where bundles
    are drawn from what users took, one edge left behind gives the held-out bundle away.

    Attributes:
        valid_fraction: Share of the groups to choose on, 0..1.
        test_fraction: Share of the groups to report, 0..1.
        seed: Of the draw.
        group: user: all that one user took is in one part, and a bundle that nobody took is a
            group of its own.
            bundle: each bundle is a group, and items taken alone only train.
        fold: Which run of the drawn groups is tested; validation is what follows it, in a
            circle. Folds 0..n-1 with a test_fraction of 1/n test every group once.
    """

    valid_fraction: float
    test_fraction: float
    seed: int = 0
    group: Group = "user"
    fold: int = 0

    def __post_init__(self) -> None:
        if (
            min(self.valid_fraction, self.test_fraction) <= 0
            or self.valid_fraction + self.test_fraction >= 1
        ):
            raise InputError(
                f"{self}: the fractions must be above 0 and together below 1"
            )
        if self.group not in get_args(Group):
            raise InputError(f"{self}: group must be one of {get_args(Group)}")
        if self.fold < 0 or (self.fold + 1) * self.test_fraction > 1 + 1e-9:
            raise InputError(
                f"{self}: fold must be at least 0 and (fold + 1) * test_fraction at most 1"
            )

    def __call__(self, tables: Tables) -> Split:
        """Split the tables; DataError where a part is empty."""
        graph = build_graph(tables)
        events = graph.events
        group = np.full(len(events), -1)
        bundle, user = tables.schema.of_role("bundle"), tables.schema.of_role("user")
        if bundle is not None:
            inside = events.bundle >= 0
            group[inside] = ranks(graph.vocabs[bundle.name].ids)[events.bundle[inside]]
        if user is not None and self.group == "user":
            known = events.user >= 0
            group[known] = -2 - ranks(graph.vocabs[user.name].ids)[events.user[known]]
        groups = np.unique(group[group != -1])
        drawn = np.random.default_rng(self.seed).permutation(groups)
        start, end = (
            round(n * self.test_fraction * len(groups))
            for n in (self.fold, self.fold + 1)
        )
        later = np.roll(drawn, -end)[: round(self.valid_fraction * len(groups))]
        part = np.where(
            np.isin(group, drawn[start:end]),
            TEST,
            np.where(np.isin(group, later), VALID, TRAIN),
        )
        gone = None
        if user is not None and self.group == "user":
            gone = np.zeros(graph.size(user.name), bool)
            gone[events.user[(part != TRAIN) & (events.user >= 0)]] = True
        return hold_out(self, tables, graph, part, gone_users=gone)
