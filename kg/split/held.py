"""What a split gives: the facts to train on, and the events held out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kg.events import Events
from kg.graph import Graph, build_graph
from kg.schema import NodeRole
from kg.tables import Tables, hash_rows

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Held:
    """Held-out events, as `events_table` gives them."""

    events: pa.Table

    def __len__(self) -> int:
        return len(self.events)


@dataclass(frozen=True)
class Split:
    """The facts to train on, and the events held out.

    Attributes:
        train: All users, items and attributes, but no bundle, interaction or membership that
            is held out or unused.
        valid: What to choose on.
        test: What to report, once.
        cold: (items,) in the rows of train's item table: those that no training event names.
        later: The same once all is chosen, where the split says so: its training tables hold
            the validation events, too, and what is served and tested looks at those. None
            where both look at the same.
    """

    train: Tables
    valid: Held
    test: Held
    cold: BoolArray
    later: Split | None = None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the training tables and the held-out events, whatever the order of rows."""
        digest = hashlib.sha256(self.train.fingerprint().encode())
        for held in (self.valid, self.test):
            digest.update(hash_rows(held.events))
        return digest.hexdigest()


def events_table(tables: Tables) -> pa.Table:
    """Who took which item, when, together with what.

    Returns:
        Columns user, bundle (null where there is none), item (string ids), time (float64, NaN
        where unknown) and, where
        bundles have text, words: the bundle's.
    """
    graph = build_graph(tables)
    return named(graph, graph.events)


def named(graph: Graph, events: Events) -> pa.Table:
    """Events by their ids, as events_table gives them."""
    columns: dict[str, pa.Array] = {}
    roles: tuple[NodeRole, ...] = ("user", "bundle", "item")
    for role, rows in zip(
        roles, (events.user, events.bundle, events.item), strict=True
    ):
        node = graph.schema.of_role(role)
        ids = graph.vocabs[node.name].ids if node else pa.array([], pa.string())
        columns[role] = ids.take(pa.array(rows, mask=rows < 0))
    columns["time"] = pa.array(events.time, pa.float64())
    if events.words:
        columns["words"] = pa.array(events.words, pa.string()).take(
            pa.array(events.bundle, mask=events.bundle < 0)
        )
    return pa.table(columns)
