"""Links: a path between named nodes, taken apart; what it stands for in the graph, and what cutting it takes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kg.counterfactual.edits import Cut, among, distinct
from kg.counterfactual.recount import Recount
from kg.graph import Graph
from kg.pathfinding.search import Node, NodePath
from kg.tables import IntArray

_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Segment:
    """What joins two named nodes of a path, nameless ones (bundles, other users) between them or none.

    Attributes:
        kind: took (user to item), together (items of bundles), takers (items of users),
            like_minded (all else over nameless nodes), or relation.
        a: The node nearer the query.
        b: The node nearer the item.
        first: Its first step in the walk.
        steps: How many steps.
        times: How many ways there are over nameless nodes; 1 for a relation.
    """

    kind: str
    a: Node
    b: Node
    first: int
    steps: int
    times: int


class Segmenter:
    """Takes walks apart.

    Args:
        graph: Where they were found.
        recount: Of the same graph.
    """

    def __init__(self, graph: Graph, recount: Recount) -> None:
        self.graph, self.recount = graph, recount
        bundle = graph.schema.of_role("bundle")
        self.bundle, self.user, self.item = (
            (bundle.name if bundle else None),
            graph.user,
            graph.item,
        )
        self.blank = tuple(name for name in (self.bundle, self.user) if name)
        self._memberships = [
            key for key in graph.edges if graph.schema.edge(key[1]).role == "membership"
        ]
        self._direct = [
            key
            for key in graph.edges
            if graph.schema.edge(key[1]).role == "interaction" and key[2] == graph.item
        ]

    def links(self, walk: NodePath) -> list[Segment]:
        """In order, from the query to the item."""
        named = [
            n
            for n, (kind, _) in enumerate(walk.nodes)
            if kind not in self.blank or n in (0, len(walk.nodes) - 1)
        ]
        found = []
        for first, last in pairwise(named):
            a, b = walk.nodes[first], walk.nodes[last]
            between = [kind for kind, _ in walk.nodes[first + 1 : last]]
            kind = self._kind(a[0], b[0], between, walk.steps[first])
            times = walk.times
            if kind == "took":
                times = len(self.takings(a[1], b[1]))
            elif kind in {"together", "takers"}:
                times = len(self._common(kind, a[1], b[1]))
            elif not between:
                times = 1
            found.append(Segment(kind, a, b, first, last - first, max(times, 1)))
        return found

    def _kind(self, a: str, b: str, between: list[str], step: tuple[str, bool]) -> str:
        user, item, bundle = self.user, self.item, self.bundle
        if a == user and b == item and between in ([], [bundle]):
            return (
                "took"
                if between or self.graph.schema.edge(step[0]).role == "interaction"
                else "relation"
            )
        if not between:
            return "relation"
        if a == b == item and between == [bundle]:
            return "together"
        if (
            a == b == item
            and user
            and set(between) <= {user, bundle}
            and between.count(user) == 1
        ):
            return "takers"
        return "like_minded"

    def takings(self, user: int, item: int) -> IntArray:
        """The events in which a user took an item, as their places."""
        events = self.graph.events
        own: IntArray = self.recount.of_users(np.array([user]))
        own = own[events.item[own] == item]
        return own

    def _common(self, kind: str, a: int, b: int) -> IntArray:
        sets = (
            self.recount.changes.held
            if kind == "together"
            else self.recount.interactions
        )
        if sets is None:
            return _NONE
        of_a = sets.holding(a)
        return of_a[among(of_a, sets.holding(b))]

    def cut(self, walk: NodePath, every: bool = True) -> Cut:
        """The edges that must go so that the path is gone, and with `every` all paths like it.

        What an item was taken in stays its owner's, less the item; of two items in one bundle
        the one nearer the query goes, so that the other is taken as often as before. Relations
        go as they are.
        """
        found: dict[str, list[IntArray]] = {}

        def take(name: str, rows: IntArray) -> None:
            found.setdefault(name, []).append(np.asarray(rows, np.int64))

        for link in self.links(walk):
            stop = link.first + link.steps
            if link.kind == "relation" or (link.kind == "like_minded" and not every):
                for (name, _), row in zip(
                    walk.steps[link.first : stop],
                    walk.edges[link.first : stop],
                    strict=True,
                ):
                    take(name, np.array([row]))
            elif link.kind == "like_minded":
                take(walk.steps[stop - 1][0], self._into(walk, stop - 1))
            elif not every:
                place = stop - 1 if link.kind == "took" else link.first
                take(walk.steps[place][0], np.array([walk.edges[place]]))
            elif link.kind == "took":
                self._out(take, link.b[1], users=np.array([link.a[1]]))
            elif link.kind == "together":
                self._out(
                    take,
                    link.a[1],
                    bundles=self._common("together", link.a[1], link.b[1]),
                )
            else:
                self._out(
                    take, link.a[1], users=self._common("takers", link.a[1], link.b[1])
                )
        return {name: distinct(np.concatenate(rows)) for name, rows in found.items()}

    def owners(self, cut: Cut) -> Cut:
        """The cut, but that a bundle which still holds anything stays its owners'."""
        events = {key: self.graph.edges[key] for key in self._memberships}
        kept = [
            np.delete(edge.source, cut.get(key[1], _NONE))
            for key, edge in events.items()
        ]
        bundles = distinct(np.concatenate([_NONE, *kept]))
        found = dict(cut)
        for key, edge in self.graph.edges.items():
            if key[2] == self.bundle and key[1] in cut:
                found[key[1]] = cut[key[1]][~np.isin(edge.target[cut[key[1]]], bundles)]
        return found

    def _into(self, walk: NodePath, place: int) -> IntArray:
        """All edges of the step's type at the item's end."""
        name, back = walk.steps[place]
        here, there = walk.nodes[place], walk.nodes[place + 1]
        edge = self.graph.edges[
            (there[0], name, here[0]) if back else (here[0], name, there[0])
        ]
        return np.flatnonzero((edge.source if back else edge.target) == there[1])

    def _out(
        self,
        take: Callable[[str, IntArray], None],
        item: int,
        users: IntArray = _NONE,
        bundles: IntArray = _NONE,
    ) -> None:
        """Take an item out of bundles, and of all that some users took."""
        events = self.graph.events
        own = self.recount.of_users(users) if len(users) else _NONE
        own = own[events.item[own] == item]
        bundles = distinct(
            np.concatenate([bundles, events.bundle[own][events.bundle[own] >= 0]])
        )
        for key in self._memberships if len(bundles) else []:
            take(key[1], self.recount.changes.edges_of(key, bundles, item))
        for key in self._direct if len(users) else []:
            edge = self.graph.edges[key]
            take(
                key[1],
                np.flatnonzero((edge.target == item) & np.isin(edge.source, users)),
            )
