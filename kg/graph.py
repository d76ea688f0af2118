"""Graph: typed edge lists over dense rows, with reverses, built from training tables only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from kg.ragged import owners, pair_key, ranges, split_pairs
from kg.schema import GraphSchema
from kg.tables import FloatArray, IntArray, Tables, Vocab

EdgeKey = tuple[str, str, str]
REVERSE = "rev_"


@dataclass(frozen=True)
class EdgeList:
    """E edges of one type as rows of their ends.

    Attributes:
        source: (E,) rows of the source type.
        target: (E,) rows of the target type.
        weight: (E,) strengths, all 1 where the type has none.
        time: (E,) when, NaN where the type has none.
    """

    source: IntArray
    target: IntArray
    weight: FloatArray
    time: FloatArray

    def __len__(self) -> int:
        return len(self.source)

    def take(self, which: npt.NDArray[np.bool_] | IntArray) -> EdgeList:
        """The chosen edges."""
        return EdgeList(
            self.source[which], self.target[which], self.weight[which], self.time[which]
        )

    def flipped(self) -> EdgeList:
        """The same edges, the other way."""
        return EdgeList(self.target, self.source, self.weight, self.time)


@dataclass(frozen=True)
class Events:
    """Who took which item, when, together with what.

    The interactions with bundles resolved to items.

    The items taken alone come first, in the order of the interaction edges. A bundle that
    several users took stands here once for each; where both the taking and the membership have
    a time, the later one counts.

    Attributes:
        user: (E,) user rows, -1 where nobody is known.
        bundle: (E,) bundle rows, -1 where the item was taken alone.
        item: (E,) item rows.
        time: (E,) when, NaN where unknown.
        words: By bundle row, what people called the bundle; empty where the bundle type has no
            text.
    """

    user: IntArray
    bundle: IntArray
    item: IntArray
    time: FloatArray
    words: tuple[str, ...] = ()

    @classmethod
    def join(cls, parts: Sequence[Events], words: tuple[str, ...] = ()) -> Events:
        """All events of several parts, in order."""
        none = np.zeros(0, np.int64)
        user, bundle, item = (
            np.concatenate([none, *(getattr(p, f) for p in parts)])
            for f in ("user", "bundle", "item")
        )
        return cls(
            user,
            bundle,
            item,
            np.concatenate([np.zeros(0), *(p.time for p in parts)]),
            words,
        )

    def __len__(self) -> int:
        return len(self.item)

    @property
    def lasting(self) -> npt.NDArray[np.bool_]:
        """(E,) whether it is of a bundle without a taker and a time, as an editor's outfit.

        A fact, not an act.
        """
        acts = np.zeros(
            self.bundle.max(initial=-1) + 2, bool
        )  # by bundle, and nothing for -1
        acts[self.bundle[(self.user >= 0) | ~np.isnan(self.time)]] = True
        lasting: npt.NDArray[np.bool_] = (self.bundle >= 0) & ~acts[self.bundle]
        return lasting

    def take(self, which: npt.NDArray[np.bool_] | IntArray) -> Events:
        """The chosen events."""
        return Events(
            self.user[which],
            self.bundle[which],
            self.item[which],
            self.time[which],
            self.words,
        )


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
                source, target, np.ones(len(pairs)), blank
            )
        for (source_type, name, target_type), edge in list(edges.items()):
            edges[(target_type, REVERSE + name, source_type)] = edge.flipped()
        return edges

    def until(self, time: float) -> Self:
        """The graph as it stood at a time.

        Every edge and event later than it is gone, nodes and rows stay.
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
        """The graph as if these items had never been taken: no event, interaction or membership.

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

        Bundles whole.
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
                    edge.source, np.full(len(edge), -1), edge.target, edge.time
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


def event_keys(events: Events, items: int) -> npt.NDArray[np.complex128]:
    """(E,) what tells the events of users and items apart.

    User, item and time, an unknown time equal to itself.
    """
    # A complex number is a pair that numpy sorts and compares: (user and item, time).
    time = np.nan_to_num(events.time, nan=-1e300)
    return pair_key(events.user, events.item, items) + 1j * time


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
    return Graph(schema, vocabs, edges, events_of(schema, vocabs, edges, words), titles)


def events_of(
    schema: GraphSchema,
    vocabs: Mapping[str, Vocab],
    edges: Mapping[EdgeKey, EdgeList],
    words: tuple[str, ...],
) -> Events:
    """The interactions and memberships among some edges, as events."""
    none = np.zeros(0, np.int64)
    bundle = schema.of_role("bundle")
    roles = {e.name: e.role for e in schema.edges}
    taken = [(key[2], e) for key, e in edges.items() if roles[key[1]] == "interaction"]
    parts = [
        Events(e.source, np.full(len(e), -1), e.target, e.time)
        for end, e in taken
        if end == schema.item.name
    ]
    if bundle is not None:
        owned = [e for end, e in taken if end == bundle.name]
        user = np.concatenate([none, *(e.source for e in owned)])
        owner_of = np.concatenate([none, *(e.target for e in owned)])
        time = np.concatenate([np.zeros(0), *(e.time for e in owned)])
        order = np.argsort(owner_of, kind="stable")
        # Row -1, nobody at no time, stands for the owner of a bundle that has none.
        user, time = np.append(user[order], -1), np.append(time[order], np.nan)
        count = np.bincount(owner_of, minlength=len(vocabs[bundle.name]))
        start = np.cumsum(count) - count
        for (_, name, _), edge in edges.items():
            if roles[name] == "membership":
                repeats = np.maximum(count[edge.source], 1)
                owned_from = np.where(count[edge.source] > 0, start[edge.source], -1)
                rows = ranges(owned_from, repeats)
                member = edge.take(owners(repeats))
                later = np.fmax(member.time, time[rows])
                parts.append(Events(user[rows], member.source, member.target, later))
    return Events.join(parts, words)
