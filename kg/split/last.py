"""LeaveLast: each user's last things are held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kg.errors import InputError
from kg.graph import build_graph
from kg.split.held import Split
from kg.split.parts import TEST, TRAIN, VALID, event_times, hold_out, ranks, refitted
from kg.tables import Tables


@dataclass(frozen=True)
class LeaveLast:
    """By user: the last `test` things each one took are test, the `valid` before them valid.

    A thing is a bundle, or an item taken alone. Users with no more than valid + test things
    only train. Things of one time are ordered by id, which every store keeps.

    Attributes:
        valid: How many to choose on, at least 1.
        test: How many to report, at least 1.
        refit: Whether the graph that is served and tested holds the validation events, too;
            the weights stay. The test follows upon them, so asks that know them are the rule
            in the literature.
    """

    valid: int = 1
    test: int = 1
    refit: bool = True

    def __post_init__(self) -> None:
        if min(self.valid, self.test) < 1:
            raise InputError(f"{self}: valid and test must be at least 1")

    def __call__(self, tables: Tables) -> Split:
        """Split the tables; DataError where an event has no time or a part is empty."""
        graph = build_graph(tables)
        events, time = graph.events, event_times(self, graph)
        alone = events.bundle < 0
        thing = np.where(
            alone,
            ranks(graph.vocabs[graph.item].ids)[events.item],
            0,
        )
        node = tables.schema.of_role("bundle")
        if node is not None:
            thing[~alone] = (
                -1 - ranks(graph.vocabs[node.name].ids)[events.bundle[~alone]]
            )
        order = np.lexsort((thing, time, events.user))
        rows = np.stack([events.user, time, thing], axis=1)[order]
        new = np.ones(len(rows), bool)
        new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
        owner = rows[new, 0].astype(int) + 1  # 0 is nobody
        count = np.bincount(owner)
        left = np.cumsum(count)[owner] - np.arange(
            len(owner)
        )  # things from here to the owner's last, itself included
        held = (
            (owner > 0)
            & (count[owner] > self.valid + self.test)
            & (left <= self.valid + self.test)
        )
        part = np.zeros(len(events), int)
        part[order] = np.where(held, np.where(left <= self.test, TEST, VALID), TRAIN)[
            np.cumsum(new) - 1
        ]
        split = hold_out(self, tables, graph, part)
        return refitted(self, split, tables, graph, part) if self.refit else split
