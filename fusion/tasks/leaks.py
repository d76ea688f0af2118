"""Leaks: no graph holds what is asked of it. Checked before every training."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fusion.tasks.folds import Fold, held_events
from kg.errors import DataError
from kg.events import Events, event_keys
from kg.graph import Graph
from kg.metapaths.count import PathCounts
from kg.tables import IntArray


def check_fold(
    fold: Fold,
    counts: PathCounts,
) -> None:
    """Refuse a fold that can see its own answers.

    Args:
        fold: A graph, and the events asked about.
        counts: The metapath counts that the queries are answered with.

    Raises:
        DataError: An asked bundle has an edge or event in the graph, an asker takes an asked
            item alone there and not before the query, or the counts are of another graph.
    """
    graph = fold.graph
    asked = fold.asked
    items = graph.size(graph.item)
    bundles = asked.bundle[asked.bundle >= 0]
    _check_bundles(graph, bundles, "asked about")
    keys = asked.user * items + asked.item
    pairs, which = np.unique(keys, return_inverse=True)
    since = np.full(len(pairs), np.inf)
    times = np.nan_to_num(asked.time, nan=-np.inf)  # nothing is before an unknown time
    np.minimum.at(since, which, times)
    alone = _interactions_alone(graph)
    same_pair = np.isin(alone.user * items + alone.item, pairs)
    alone = alone.take(same_pair)
    place = np.searchsorted(pairs, alone.user * items + alone.item)
    before = alone.time < since[place]
    _check_interactions(graph, alone, ~before, "asked about")
    counted = counts.item["popularity"].sum()
    if counted != len(graph.events):
        raise DataError(
            f"leak: {counted:g} events are counted, "
            f"but the graph of the queries has {len(graph.events)}"
        )


def check_held(
    graph: Graph,
    held: pa.Table,
) -> None:
    """Refuse a training graph that holds held-out events.

    Args:
        graph: Of the training tables.
        held: As kg.split.held.events_table gives them.

    Raises:
        DataError: A held-out bundle has an edge or event in the graph, or a held-out taking of
            an item stands there.
    """
    bundle, items = graph.schema.of_role("bundle"), graph.size(graph.item)
    if bundle is not None:
        rows = graph.vocabs[bundle.name].rows(held["bundle"].drop_null())
        _check_bundles(graph, rows[rows >= 0], "held out")
    events = held_events(graph, held)
    known = _interactions_alone(graph)
    held_alone = events.take((events.bundle < 0) & (events.user >= 0))
    held_keys = event_keys(held_alone, items)
    leaked = np.isin(event_keys(known, items), held_keys)
    _check_interactions(graph, known, leaked, "held out")


def _check_bundles(
    graph: Graph,
    bundles: IntArray,
    what: str,
) -> None:
    node = graph.schema.of_role("bundle")
    if node is None:
        return
    ends = [graph.events.bundle]
    for (source, _, target), edge in graph.edges.items():
        if source == node.name:
            ends.append(edge.source)
        if target == node.name:
            ends.append(edge.target)
    leaked = np.intersect1d(np.concatenate(ends), bundles)
    if len(leaked):
        row = int(leaked[0])
        name = graph.vocabs[node.name].key(row)
        raise DataError(
            f"leak: {len(leaked)} bundles {what} have edges or events in the graph, "
            f"one of them {name!r}"
        )


def _interactions_alone(graph: Graph) -> Events:
    """Interactions outside bundles: by the events, and once more by the edges."""
    parts = [graph.events.take(graph.events.bundle < 0)]
    for (source, name, target), edge in graph.edges.items():
        if source != graph.user or target != graph.item:
            continue
        if graph.schema.edge(name).role == "interaction":
            bundle = np.full(len(edge), -1)
            parts.append(Events(edge.source, bundle, edge.target, edge.time))
    return Events.join(parts)


def _check_interactions(
    graph: Graph,
    events: Events,
    leaked: npt.NDArray[np.bool_],
    what: str,
) -> None:
    if leaked.any():
        rows = events.take(leaked)
        users = graph.vocabs[graph.user or ""]
        items = graph.vocabs[graph.item]
        user = users.key(int(rows.user[0]))
        item = items.key(int(rows.item[0]))
        raise DataError(
            f"leak: user {user!r} takes item {item!r} in the graph, but that is {what}"
        )
