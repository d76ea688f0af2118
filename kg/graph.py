"""Graph: typed edge lists over dense rows, with reverses, built from training tables only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from kg.events import EdgeKey, EdgeList, Events, event_keys, events_of
from kg.ragged import pair_key, split_pairs
from kg.schema import GraphSchema
from kg.tables import IntArray, Tables, Vocab

REVERSE = "rev_"


@dataclass(frozen=True)
class Graph:
    """A product knowledge graph in memory.

    Attributes:
        schema: The types.
        vocabs: By node type, id <-> row.
        edges: By (source type, edge name, target type), forward only; `typed_edges` adds the
            reverses.
        events: The interactions and memberships once more, as events.
        titles: By attribute type, and for items, what people read of each node.
    """

    schema: GraphSchema
    vocabs: Mapping[str, Vocab]
    edges: Mapping[EdgeKey, EdgeList]
    events: Events
    titles: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def item(self) -> str:
        """The item type's name."""
        return self.schema.item.name

    @property
    def user(self) -> str | None:
        """The user type's name, None where there are no users."""
        node = self.schema.of_role("user")
        return node.name if node else None

    def size(self, name: str) -> int:
        """How many nodes a type has."""
        return len(self.vocabs[name])

    def typed_edges(self) -> dict[EdgeKey, EdgeList]:
        """Every edge list and its reverse, named rev_..., for message passing.

        Where users reach items through bundles only, their two-step edges are added as one, named
        "<interaction>_<membership>", so that two layers reach from a user to other users.
        """
        edges = dict(self.edges)
        user, events = self.user, self.events
        owned = (events.user >= 0) & (events.bundle >= 0)
        if user and owned.any():
            name = "_".join(
                e.name
                for e in self.schema.edges
                if e.role in {"interaction", "membership"}
            )
            items = self.size(self.item)
            pairs = np.unique(pair_key(events.user[owned], events.item[owned], items))
            source, target = split_pairs(pairs, items)
            blank = np.full(len(pairs), np.nan)
            edges[(user, name, self.item)] = EdgeList(
                source,
                target,
                np.ones(len(pairs)),
                blank,
            )
        for (source_type, name, target_type), edge in list(edges.items()):
            edges[(target_type, REVERSE + name, source_type)] = edge.flipped()
        return edges

    def until(self, time: float) -> Self:
        """The graph as it stood at a time.

        Every later edge and event is gone; nodes and rows stay.
        """
        edges = {key: e.take(~(e.time > time)) for key, e in self.edges.items()}
        kept = replace(
            self, edges=edges, events=self.events.take(~(self.events.time > time))
        )
        dated = np.unique(
            self.events.bundle[(self.events.time > time) & (self.events.bundle >= 0)]
        )
        return kept.without_bundles(dated)

    def without_bundles(self, bundles: IntArray) -> Self:
        """The graph without these bundles' edges and events; nodes and rows stay."""
        node = self.schema.of_role("bundle")
        if node is None or not len(bundles):
            return self
        gone = np.zeros(self.size(node.name), bool)
        gone[bundles] = True
        edges = {}
        for (source, name, target), edge in self.edges.items():
            keep = np.ones(len(edge), bool)
            if source == node.name:
                keep &= ~gone[edge.source]
            if target == node.name:
                keep &= ~gone[edge.target]
            edges[(source, name, target)] = edge.take(keep)
        events = self.events.take(
            ~((self.events.bundle >= 0) & gone[self.events.bundle])
        )
        return replace(self, edges=edges, events=events)

    def without_items(self, items: IntArray) -> Self:
        """The graph as if nobody had interacted with these items: no event, no membership.

        Relations stay.
        """
        gone = np.zeros(self.size(self.item), bool)
        gone[items] = True
        edges = {}
        for (source, name, target), edge in self.edges.items():
            taken = target == self.item and self.schema.edge(name).role != "relation"
            edges[(source, name, target)] = (
                edge.take(~gone[edge.target]) if taken else edge
            )
        return replace(
            self, edges=edges, events=self.events.take(~gone[self.events.item])
        )

    def without_events(self, gone: npt.NDArray[np.bool_]) -> Self:
        """The graph without the (user, item) interactions of these events, (len(events),) bool.

        A bundle that has one of them goes as a whole.
        """
        lost = self.events.take(gone)
        kept = self.without_bundles(np.unique(lost.bundle[lost.bundle >= 0]))
        direct = lost.take(lost.bundle < 0)
        if not len(direct) or self.user is None:
            return kept
        items = self.size(self.item)
        lost_keys = event_keys(direct, items)
        edges = dict(kept.edges)
        for key, edge in edges.items():
            if (
                key[0] == self.user
                and key[2] == self.item
                and self.schema.edge(key[1]).role == "interaction"
            ):
                here = Events(
                    edge.source,
                    np.full(len(edge), -1),
                    edge.target,
                    edge.time,
                )
                edges[key] = edge.take(~np.isin(event_keys(here, items), lost_keys))
        events = kept.events
        alone = events.bundle < 0
        return replace(
            kept,
            edges=edges,
            events=events.take(
                ~(alone & np.isin(event_keys(events, items), lost_keys))
            ),
        )


def build_graph(tables: Tables) -> Graph:
    """Number the nodes and edges of the (training) tables."""
    schema = tables.schema
    vocabs = {n.name: tables.vocab(n.name) for n in schema.nodes}
    edges = {}
    for edge in schema.edges:
        table = tables.edges[edge.name]
        count = len(table)
        weight = table["weight"].to_numpy() if edge.weight else np.ones(count)
        time = table["time"].to_numpy() if edge.time else np.full(count, np.nan)
        edges[(edge.source, edge.name, edge.target)] = EdgeList(
            vocabs[edge.source].rows(table["source"]),
            vocabs[edge.target].rows(table["target"]),
            weight,
            time,
        )
    titles = {
        n.name: tables.titles(n.name)
        for n in schema.nodes
        if n.role in {"attribute", "item"}
    }
    bundle = schema.of_role("bundle")
    words = (
        tuple(tables.texts(bundle.name)) if bundle is not None and bundle.text else ()
    )
    return Graph(
        schema,
        vocabs,
        edges,
        events_of(schema, vocabs, edges, words),
        titles,
    )
