"""Segments: a path taken apart between named nodes, and what cutting it takes out."""

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

Take = Callable[[str, IntArray], None]  # edge type, rows

_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Segment:
    """What joins two named nodes of a path, over nameless ones (bundles, other users) or none.

    Attributes:
        kind: interacted (user to item), together (items of bundles), users (items of users),
            like_minded (all else over nameless nodes), or relation.
        a: The node nearer the query.
        b: The node nearer the item.
        first: Its first step in the path.
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
    """Takes paths apart.

    Args:
        graph: Where they were found.
        recount: Of the same graph.
    """

    def __init__(
        self,
        graph: Graph,
        recount: Recount,
    ) -> None:
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

    def segments(self, path: NodePath) -> list[Segment]:
        """In order, from the query to the item."""
        last = len(path.nodes) - 1
        named = [
            n
            for n, (kind, _) in enumerate(path.nodes)
            if kind not in self.blank or n in (0, last)
        ]
        return [self._segment(path, first, stop) for first, stop in pairwise(named)]

    def _segment(
        self,
        path: NodePath,
        first: int,
        stop: int,
    ) -> Segment:
        a, b = path.nodes[first], path.nodes[stop]
        between = [kind for kind, _ in path.nodes[first + 1 : stop]]
        kind = self._kind(
            a[0],
            b[0],
            between,
            path.steps[first],
        )
        times = path.times
        if kind == "interacted":
            times = len(self.interactions(a[1], b[1]))
        elif kind in {"together", "users"}:
            times = len(self._common(kind, a[1], b[1]))
        elif not between:
            times = 1
        return Segment(
            kind,
            a,
            b,
            first,
            stop - first,
            max(times, 1),
        )

    def _kind(
        self,
        a: str,
        b: str,
        between: list[str],
        step: tuple[str, bool],
    ) -> str:
        user, item, bundle = self.user, self.item, self.bundle
        if a == user and b == item and between in ([], [bundle]):
            role = self.graph.schema.edge(step[0]).role
            return "interacted" if between or role == "interaction" else "relation"
        if not between:
            return "relation"
        if not a == b == item:
            return "like_minded"
        if between == [bundle]:
            return "together"
        over_one_user = between.count(user) == 1 if user else False
        if over_one_user and set(between) <= {user, bundle}:
            return "users"
        return "like_minded"

    def interactions(
        self,
        user: int,
        item: int,
    ) -> IntArray:
        """The events of a user with an item, as their places."""
        events = self.graph.events
        own: IntArray = self.recount.of_users(np.array([user]))
        own = own[events.item[own] == item]
        return own

    def _common(
        self,
        kind: str,
        a: int,
        b: int,
    ) -> IntArray:
        """The bundles, or the users, that hold both items."""
        sets = (
            self.recount.changes.held
            if kind == "together"
            else self.recount.interactions
        )
        if sets is None:
            return _NONE
        of_a = sets.holding(a)
        return of_a[among(of_a, sets.holding(b))]

    def cut(
        self,
        path: NodePath,
        every: bool = True,
    ) -> Cut:
        """The edges that must go so that the path is gone, and with `every` all paths like it.

        A bundle stays its owner's, less the item; of two items in one bundle the one nearer
        the query goes, so that the other is interacted with as often as before. Relations go
        as they are.
        """
        found: dict[str, list[IntArray]] = {}

        def take(name: str, rows: IntArray) -> None:
            found.setdefault(name, []).append(np.asarray(rows, np.int64))

        for segment in self.segments(path):
            if every:
                self._take_all_like(path, segment, take)
            else:
                self._take_one(path, segment, take)
        return {name: distinct(np.concatenate(rows)) for name, rows in found.items()}

    def _take_one(
        self,
        path: NodePath,
        segment: Segment,
        take: Take,
    ) -> None:
        """Of a segment the one way that the path goes."""
        stop = segment.first + segment.steps
        if segment.kind in {"relation", "like_minded"}:
            self._take_steps(path, segment, take)
        else:
            place = stop - 1 if segment.kind == "interacted" else segment.first
            take(path.steps[place][0], np.array([path.edges[place]]))

    def _take_steps(
        self,
        path: NodePath,
        segment: Segment,
        take: Take,
    ) -> None:
        """Every edge of a segment."""
        for place in range(segment.first, segment.first + segment.steps):
            take(path.steps[place][0], np.array([path.edges[place]]))

    def _take_all_like(
        self,
        path: NodePath,
        segment: Segment,
        take: Take,
    ) -> None:
        """Of a segment all ways over nameless nodes."""
        a, b = segment.a[1], segment.b[1]
        if segment.kind == "relation":
            self._take_steps(path, segment, take)
        elif segment.kind == "like_minded":
            last = segment.first + segment.steps - 1
            take(path.steps[last][0], self._into(path, last))
        elif segment.kind == "interacted":
            self._out(take, b, users=np.array([a]))
        elif segment.kind == "together":
            self._out(take, a, bundles=self._common("together", a, b))
        else:
            self._out(take, a, users=self._common("users", a, b))

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

    def _into(
        self,
        path: NodePath,
        place: int,
    ) -> IntArray:
        """All edges of the step's type at the item's end."""
        name, back = path.steps[place]
        here, there = path.nodes[place], path.nodes[place + 1]
        edge = self.graph.edges[
            (there[0], name, here[0]) if back else (here[0], name, there[0])
        ]
        return np.flatnonzero((edge.source if back else edge.target) == there[1])

    def _out(
        self,
        take: Take,
        item: int,
        users: IntArray = _NONE,
        bundles: IntArray = _NONE,
    ) -> None:
        """Take an item out of bundles, and of all that some users interacted with."""
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
