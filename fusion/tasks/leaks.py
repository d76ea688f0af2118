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


def check_fold(fold: Fold, counts: PathCounts) -> None:
    """Refuse a fold that can see its own answers.

    Args:
        fold: A graph, and the events asked about.
        counts: The metapath counts that the queries are answered with.

    Raises:
        DataError: An asked bundle has an edge or event in the graph, an asker takes an asked
            item alone there and not before the query, or the counts are of another graph.
    """
    graph, asked, items = fold.graph, fold.asked, fold.graph.size(fold.graph.item)
    _check_bundles(graph, asked.bundle[asked.bundle >= 0], "asked about")
    pairs, which = np.unique(asked.user * items + asked.item, return_inverse=True)
    since = np.full(len(pairs), np.inf)
    np.minimum.at(
        since, which, np.nan_to_num(asked.time, nan=-np.inf)
    )  # nothing is before an unknown time
    taken = _taken_alone(graph)
    taken = taken.take(np.isin(taken.user * items + taken.item, pairs))
    place = np.searchsorted(pairs, taken.user * items + taken.item)
    _check_taken(graph, taken, ~(taken.time < since[place]), "asked about")
    counted = counts.item["popularity"].sum()
    if counted != len(graph.events):
        raise DataError(
            f"leak: {counted:g} events are counted, "
            f"but the graph of the queries has {len(graph.events)}"
        )


def check_held(graph: Graph, held: pa.Table) -> None:
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
    events, taken = held_events(graph, held), _taken_alone(graph)
    alone = events.take((events.bundle < 0) & (events.user >= 0))
    _check_taken(
        graph,
        taken,
        np.isin(event_keys(taken, items), event_keys(alone, items)),
        "held out",
    )


def _check_bundles(graph: Graph, bundles: IntArray, what: str) -> None:
    node = graph.schema.of_role("bundle")
    if node is None:
        return
    ends = [graph.events.bundle]
    for (source, _, target), edge in graph.edges.items():
        ends += [
            rows
            for end, rows in ((source, edge.source), (target, edge.target))
            if end == node.name
        ]
    leaked = np.intersect1d(np.concatenate(ends), bundles)
    if len(leaked):
        name = graph.vocabs[node.name].key(int(leaked[0]))
        raise DataError(
            f"leak: {len(leaked)} bundles {what} have edges or events in the graph, "
            f"one of them {name!r}"
        )


def _taken_alone(graph: Graph) -> Events:
    """Items taken without a bundle: by the events, and once more by the edges."""
    parts = [graph.events.take(graph.events.bundle < 0)]
    for (source, name, target), edge in graph.edges.items():
        if (
            source == graph.user
            and target == graph.item
            and graph.schema.edge(name).role == "interaction"
        ):
            parts.append(
                Events(edge.source, np.full(len(edge), -1), edge.target, edge.time)
            )
    return Events.join(parts)


def _check_taken(
    graph: Graph, taken: Events, leaked: npt.NDArray[np.bool_], what: str
) -> None:
    if leaked.any():
        first = taken.take(leaked)
        user = graph.vocabs[graph.user or ""].key(int(first.user[0]))
        item = graph.vocabs[graph.item].key(int(first.item[0]))
        raise DataError(
            f"leak: user {user!r} takes item {item!r} in the graph, but that is {what}"
        )
