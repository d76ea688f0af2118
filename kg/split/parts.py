"""What the splits of events share.

Each event has a part, and nothing held out is left to train on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kg.errors import DataError
from kg.graph import Graph
from kg.ragged import pair_key
from kg.split.held import BoolArray, Held, Split, named
from kg.tables import FloatArray, IntArray, Tables
from kg.times import dates_of

TRAIN, VALID, TEST, UNUSED = range(4)


def hold_out(
    config: object,
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
        part = np.where(part == whole, part, UNUSED)
        kept_nodes[bundle.name] = bundle_part == TRAIN
    edges, at = {}, 0
    for edge in schema.edges:
        rows = graph.edges[(edge.source, edge.name, edge.target)]
        keep = ~(rows.time > until)
        for end, ends in ((edge.source, rows.source), (edge.target, rows.target)):
            if end in kept_nodes:
                keep &= kept_nodes[end][ends]
        if edge.role == "interaction" and edge.target == item:
            keep &= part[alone][at : at + len(rows)] == TRAIN
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
    seen = (part == TRAIN) & ~cold[events.item]
    for name, chosen in (
        ("training", seen),
        ("validation", part == VALID),
        ("test", part == TEST),
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
        valid or Held(named(graph, events.take(part == VALID))),
        Held(named(graph, events.take(part == TEST))),
    )
    return Split(
        tables.with_tables(nodes, edges),
        valid,
        test,
        ~train_items,
    )


def refitted(
    config: object,
    split: Split,
    tables: Tables,
    graph: Graph,
    part: IntArray,
    **how: Any,
) -> Split:
    """The split with its later form: what is validation only trains there."""
    later = hold_out(
        config,
        tables,
        graph,
        np.where(part == VALID, TRAIN, part),
        valid=split.valid,
        **how,
    )
    return replace(split, later=later)


def event_times(config: object, graph: Graph) -> FloatArray:
    """When each event happened.

    A bundle's items all have the latest time that its user has for them.
    """
    events = graph.events
    lasting = events.lasting
    lost = np.flatnonzero(np.isnan(events.time) & ~(lasting & ~lasting.all()))
    if len(lost):
        raise DataError(
            f"{config}: {len(lost)} of {len(events)} events have no time, one of them of "
            f"{_lost(graph, lost)}"
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
    remedy = f"name the time of {' or '.join(untimed)} in the schema"
    return f"{what}; {remedy}, or take kg.split.grouped:GroupedSplit"


def ranks(ids: pa.Array) -> IntArray:
    """The place of each id in sorted order, so that no draw depends on the order of rows."""
    return np.asarray(pc.rank(ids, tiebreaker="first"), np.int64) - 1
