"""Splits: what a model may see, and what it is asked about. Nothing held out is left in the training tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kg.errors import DataError, InputError
from kg.graph import Graph, build_graph
from kg.ragged import pair_key
from kg.split.held import BoolArray, Held, Split, events_table, named
from kg.tables import FloatArray, IntArray, Tables
from kg.times import Moment, dates_of

__all__ = ["GroupedSplit", "Held", "LeaveLast", "Split", "TimeSplit", "events_table"]

Group = Literal["user", "bundle"]
_TRAIN, _VALID, _TEST, _UNUSED = range(4)


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
        time = _times(self, graph)
        part = np.full(len(time), _UNUSED)
        part[time <= self.train_until] = _TRAIN
        part[(time > self.train_until) & (time <= self.valid_until)] = _VALID
        test_from = self.valid_until if self.test_from is None else self.test_from
        part[(time > self.valid_until) & (time >= test_from)] = _TEST
        ids = graph.vocabs[graph.item].ids
        chosen = np.random.default_rng(self.seed).permutation(len(ids))[
            : round(self.cold_fraction * len(ids))
        ]
        cold = np.isin(_ranks(ids), chosen)
        split = _split(self, tables, graph, part, until=self.train_until, cold=cold)
        return (
            _refitted(
                self, split, tables, graph, part, until=self.valid_until, cold=cold
            )
            if self.refit
            else split
        )


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
        events, time = graph.events, _times(self, graph)
        alone = events.bundle < 0
        thing = np.where(alone, _ranks(graph.vocabs[graph.item].ids)[events.item], 0)
        node = tables.schema.of_role("bundle")
        if node is not None:
            thing[~alone] = (
                -1 - _ranks(graph.vocabs[node.name].ids)[events.bundle[~alone]]
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
        part[order] = np.where(
            held, np.where(left <= self.test, _TEST, _VALID), _TRAIN
        )[np.cumsum(new) - 1]
        split = _split(self, tables, graph, part)
        return _refitted(self, split, tables, graph, part) if self.refit else split


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
            group[inside] = _ranks(graph.vocabs[bundle.name].ids)[events.bundle[inside]]
        if user is not None and self.group == "user":
            known = events.user >= 0
            group[known] = -2 - _ranks(graph.vocabs[user.name].ids)[events.user[known]]
        groups = np.unique(group[group != -1])
        drawn = np.random.default_rng(self.seed).permutation(groups)
        start, end = (
            round(n * self.test_fraction * len(groups))
            for n in (self.fold, self.fold + 1)
        )
        later = np.roll(drawn, -end)[: round(self.valid_fraction * len(groups))]
        part = np.where(
            np.isin(group, drawn[start:end]),
            _TEST,
            np.where(np.isin(group, later), _VALID, _TRAIN),
        )
        gone = None
        if user is not None and self.group == "user":
            gone = np.zeros(graph.size(user.name), bool)
            gone[events.user[(part != _TRAIN) & (events.user >= 0)]] = True
        return _split(self, tables, graph, part, gone_users=gone)


def _split(
    config: TimeSplit | LeaveLast | GroupedSplit,
    tables: Tables,
    graph: Graph,
    part: IntArray,
    *,
    until: float = np.inf,
    cold: BoolArray | None = None,
    gone_users: BoolArray | None = None,
    valid: Held | None = None,
) -> Split:
    """Hold out by the part of each event; valid stands in for events of that part.

    A bundle that several took leaves training whole if it does for any of them; it is asked
    about in the latest part, and what the others did with it is used nowhere.
    """
    schema, events = tables.schema, graph.events
    bundle, user, item = (
        schema.of_role("bundle"),
        schema.of_role("user"),
        schema.item.name,
    )
    cold = np.zeros(graph.size(item), bool) if cold is None else cold
    kept_nodes: dict[str, BoolArray] = {}
    alone = events.bundle < 0
    if bundle is not None:
        bundle_part = np.zeros(graph.size(bundle.name), int)
        np.maximum.at(bundle_part, events.bundle[~alone], part[~alone])
        whole = np.where(alone, part, bundle_part[events.bundle])
        part = np.where(part == whole, part, _UNUSED)
        kept_nodes[bundle.name] = bundle_part == _TRAIN
    edges, at = {}, 0
    for edge in schema.edges:
        rows = graph.edges[(edge.source, edge.name, edge.target)]
        keep = ~(rows.time > until)
        for end, ends in ((edge.source, rows.source), (edge.target, rows.target)):
            if end in kept_nodes:
                keep &= kept_nodes[end][ends]
        if edge.role == "interaction" and edge.target == item:
            keep &= part[alone][at : at + len(rows)] == _TRAIN
            at += len(rows)
        if edge.role != "relation" and edge.target == item:
            keep &= ~cold[rows.target]
        if gone_users is not None and user is not None:
            taking = {item, bundle.name if bundle else item}
            if edge.source == user.name and edge.target in taking:
                keep &= ~gone_users[rows.source]
            if edge.target == user.name and edge.source in taking:
                keep &= ~gone_users[rows.target]
        edges[edge.name] = tables.edges[edge.name].filter(pa.array(keep))
    nodes = {
        name: tables.nodes[name].filter(pa.array(keep))
        for name, keep in kept_nodes.items()
    }
    seen = (part == _TRAIN) & ~cold[events.item]
    for name, chosen in (
        ("training", seen),
        ("validation", part == _VALID),
        ("test", part == _TEST),
    ):
        if not chosen.any() and (name != "validation" or valid is None):
            dated = events.time[~np.isnan(events.time)]
            span = (
                f"; their times run from {dated.min()} to {dated.max()}{dates_of(dated)}"
                if len(dated)
                else ""
            )
            raise DataError(f"{config}: no {name} events out of {len(events)}{span}")
    train_items = np.zeros(graph.size(item), bool)
    train_items[events.item[seen]] = True
    valid, test = (
        valid or Held(named(graph, events.take(part == _VALID))),
        Held(named(graph, events.take(part == _TEST))),
    )
    return Split(tables.with_tables(nodes, edges), valid, test, ~train_items)


def _refitted(
    config: TimeSplit | LeaveLast,
    split: Split,
    tables: Tables,
    graph: Graph,
    part: IntArray,
    **how: Any,
) -> Split:
    """The split with its later form: what is validation only trains there."""
    later = _split(
        config,
        tables,
        graph,
        np.where(part == _VALID, _TRAIN, part),
        valid=split.valid,
        **how,
    )
    return replace(split, later=later)


def _times(config: TimeSplit | LeaveLast, graph: Graph) -> FloatArray:
    """When each event's thing was taken: a bundle's items all at the latest time that its taker has for them."""
    events = graph.events
    lasting = events.lasting
    lost = np.flatnonzero(np.isnan(events.time) & ~(lasting & ~lasting.all()))
    if len(lost):
        raise DataError(
            f"{config}: {len(lost)} of {len(events)} events have no time, one of them of {_lost(graph, lost)}"
        )
    # Row -1 stands for nobody and for no bundle: both are counted from 0 here.
    bundles = int(events.bundle.max(initial=0)) + 2
    pairs = pair_key(events.user + 1, events.bundle + 1, bundles)
    _, taking = np.unique(pairs, return_inverse=True)
    latest = np.full(taking.max(initial=0) + 1, -np.inf)
    np.maximum.at(latest, taking, np.where(lasting, -np.inf, events.time))
    return np.where(events.bundle < 0, events.time, latest[taking])


def _lost(graph: Graph, lost: IntArray) -> str:
    """The first thing that has no time, and what can be done about it."""
    events, schema, bundle = graph.events, graph.schema, graph.schema.of_role("bundle")
    inside = lost[events.bundle[lost] >= 0]
    if bundle is None or not len(inside):
        what = f"item {graph.vocabs[graph.item].key(int(events.item[lost[0]]))!r}"
        reach = {graph.item}
    else:
        what = f"{bundle.name} {graph.vocabs[bundle.name].key(int(events.bundle[inside[0]]))!r}"
        reach = {bundle.name, graph.item}
    untimed = [
        e.name
        for e in schema.edges
        if e.role != "relation" and e.target in reach and not e.time
    ]
    return f"{what}; name the time of {' or '.join(untimed)} in the schema, or take kg.split.time:GroupedSplit"


def _ranks(ids: pa.Array) -> IntArray:
    """The place of each id among all in sorted order, so that no draw depends on the order of rows."""
    return np.asarray(pc.rank(ids, tiebreaker="first"), np.int64) - 1
