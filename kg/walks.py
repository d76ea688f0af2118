"""Walks: simple typed paths of at most four hops between sets of nodes, found from both ends on CSR arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kg.graph import EdgeKey, EdgeList, Graph
from kg.tables import FloatArray, IntArray

Node = tuple[str, int]
Flags = Mapping[str, npt.NDArray[np.bool_]]
_DENSE = 2**23  # entries of a table over middles and sources; beyond, over middles alone


@dataclass(frozen=True)
class Walk:
    """A path from a source to a target in which no node stands twice.

    Attributes:
        nodes: (type, row) of each node, in order.
        steps: (edge name, whether it is walked against its direction) between them.
        edges: The row of each edge in its edge list; of parallel edges the latest.
        times: Paths of the same steps that differ in blank inner nodes alone, this one included; where one of two
            inner ends is blank, those that meet themselves are counted, too.
        cost: 1 a hop, and log(1 + neighbours) of every inner node: what is passed by many tells little.
    """

    nodes: tuple[Node, ...]
    steps: tuple[tuple[str, bool], ...]
    edges: tuple[int, ...]
    times: int
    cost: float


@dataclass(frozen=True)
class _Hop:
    """One edge type in one direction: distinct neighbours, ascending, by row of the source type."""

    name: str
    back: bool
    source: str
    target: str
    starts: IntArray
    ends: IntArray
    rows: IntArray
    time: FloatArray

    @classmethod
    def of(cls, key: EdgeKey, back: bool, edge: EdgeList, sizes: Mapping[str, int]) -> _Hop:
        source, name, target = key
        here, there = edge.source, edge.target
        if back:
            source, target, here, there = target, source, there, here
        late = np.nan_to_num(edge.time, nan=-np.inf)
        order = np.lexsort((late, there, here))
        if source == target:
            order = order[here[order] != there[order]]
        pair = here[order] * sizes[target] + there[order]
        order = order[np.append(pair[1:] != pair[:-1], True)[: len(order)]]  # the latest of parallel edges
        starts = np.concatenate([[0], np.cumsum(np.bincount(here[order], minlength=sizes[source]))])
        return cls(name, back, source, target, starts, there[order], order, late[order])

    def expand(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        """(place in rows, place in ends) of every edge that leaves these rows."""
        count = self.starts[rows + 1] - self.starts[rows]
        first = np.repeat(self.starts[rows] - np.cumsum(count) + count, count)
        return np.repeat(np.arange(len(rows)), count), np.arange(int(count.sum())) + first


@dataclass(frozen=True)
class _Half:
    """Paths of one kind from an end to nodes m, dearest first; `over` stands between, -1 where nothing does."""

    steps: tuple[_Hop, ...]
    m: IntArray
    over: IntArray
    end: IntArray
    times: IntArray
    cost: FloatArray

    @property
    def kind(self) -> str:
        return self.steps[-1].target

    def take(self, which: npt.NDArray[np.bool_] | IntArray) -> _Half:
        m, over, end, times = (part[which] for part in (self.m, self.over, self.end, self.times))
        return _Half(self.steps, m, over, end, times, self.cost[which])


class Walks:
    """Finds paths in one graph; bundles are nodes like any other.

    A search meets in the middle. Hubs are dear, and none is looked through from an end: a node with more than `widest`
    neighbours is the middle of a path of two or four hops or one inner node of three, but stands beside no end of a
    path of four.

    Args:
        graph: Where to search.
        blank: Types whose nodes, inside a path, do not tell it from others: the baskets, the other people.
        widest: Most neighbours of a node that is looked through.
    """

    def __init__(self, graph: Graph, blank: Sequence[str] = (), widest: int = 4096) -> None:
        self.blank, self.widest = frozenset(blank), widest
        self.sizes = {name: graph.size(name) for name in graph.vocabs}
        self._hops: dict[str, list[_Hop]] = {name: [] for name in graph.vocabs}
        for key, edge in graph.edges.items():
            for back in (False, True):
                hop = _Hop.of(key, back, edge, self.sizes)
                self._hops[hop.source].append(hop)
        self.degree = {
            name: sum((np.diff(hop.starts) for hop in hops), np.zeros(self.sizes[name], np.int64))
            for name, hops in self._hops.items()
        }
        self._dear = {name: np.log1p(degree) for name, degree in self.degree.items()}

    def find(self, sources: Sequence[Node], target: Node, hops: int = 4, each: int | None = 4) -> list[Walk]:
        """Paths, those of many times and few hubs first.

        Args:
            sources: Where a path may begin; no path passes through another of them.
            target: Where it ends.
            hops: Most edges of a path, 1 to 4.
            each: Paths of a kind, none blank to the other; None for every path there is, one by one.
        """
        if not 1 <= hops <= 4:
            raise ValueError(f"hops = {hops}: paths have 1 to 4")
        starts: dict[str, list[int]] = {}
        for kind, row in sources:
            if (kind, row) != target:
                starts.setdefault(kind, []).append(row)
        barred = {name: np.zeros(size, bool) for name, size in self.sizes.items()}
        barred[target[0]][target[1]] = True
        near = [h for kind, rows in starts.items() for h in self._first(kind, np.unique(rows))]
        found = [walk for h in near for walk in self._direct(h, target)]
        for kind, rows in starts.items():
            barred[kind][rows] = True
        near = [h.take(~barred[h.kind][h.m]) for h in near]
        back = [h.take(~barred[h.kind][h.m]) for h in self._first(target[0], np.array([target[1]]))]
        pairs = [(f, b) for f in near for b in back] if hops > 1 else []
        if hops > 2:
            here, there = _reached(near, self.sizes), _reached(back, self.sizes)
            far = list(self._second(near, barred, there if hops == 3 else None, each))
            here = here if hops == 3 else _reached([*near, *far], self.sizes)
            behind = list(self._second(back, barred, here, each))
            pairs += [(f, b) for f in far for b in back] + [(f, b) for f in near for b in behind]
            pairs += [(f, b) for f in far for b in behind] if hops == 4 else []
        for forward, backward in pairs:
            if forward.kind == backward.kind:
                found += self._join(forward, backward, target, each)
        once = {(walk.nodes, walk.steps): walk for walk in sorted(found, key=lambda w: w.times)}
        return sorted(once.values(), key=lambda w: (w.cost - np.log(w.times), w.nodes, w.steps))

    def _first(self, kind: str, rows: IntArray) -> Iterator[_Half]:
        for hop in self._hops[kind]:
            place, at = hop.expand(rows)
            order = np.lexsort((hop.time[at], -self._dear[hop.target][hop.ends[at]]))
            place, at = place[order], at[order]
            ones = np.ones(len(at), np.int64)
            yield _Half((hop,), hop.ends[at], -ones, rows[place], ones, ones.astype(float))

    def _direct(self, half: _Half, target: Node) -> Iterator[Walk]:
        (hop,) = half.steps
        for row in half.end[half.m == target[1]].tolist() if hop.target == target[0] else []:
            yield self._walk(((hop.source, row), target), ((hop.name, hop.back),), 1, 1.0)

    def _second(
        self, halves: Sequence[_Half], barred: Flags, wanted: Flags | None, each: int | None
    ) -> Iterator[_Half]:
        """A hop further, to nodes that are not barred, and wanted; to each through its two cheapest neighbours."""
        for half in halves:
            half = half.take(self.degree[half.kind][half.m] <= self.widest)
            for hop in self._hops[half.kind] if len(half.m) else []:
                if wanted is not None and not wanted[hop.target].any():
                    continue
                place, at = hop.expand(half.m)
                m = hop.ends[at]
                ok = ~barred[hop.target][m]
                if wanted is not None:
                    ok &= wanted[hop.target][m]
                place, m = place[ok], m[ok]
                cost = half.cost[place] + self._dear[half.kind][half.m[place]] + 1
                made = _Half((*half.steps, hop), m, half.m[place], half.end[place], half.times[place], cost)
                if each is not None and len(m):
                    made = _cheapest(made, self.sizes[hop.target], half.kind in self.blank)
                if len(made.m):
                    yield made

    def _join(self, forward: _Half, backward: _Half, target: Node, each: int | None) -> list[Walk]:
        kind = forward.kind
        meets = np.zeros(self.sizes[kind], bool)
        meets[backward.m] = True
        forward = forward.take(meets[forward.m])
        forward = forward.take(np.argsort(forward.m, kind="stable"))
        count = np.bincount(forward.m, minlength=self.sizes[kind])
        n = count[backward.m]
        right = np.repeat(np.arange(len(backward.m)), n)
        first = np.repeat((np.cumsum(count) - count)[backward.m] - np.cumsum(n) + n, n)
        left = first + np.arange(len(first))
        if len(forward.steps) == len(backward.steps) == 2 and forward.steps[0].target == backward.steps[0].target:
            other = forward.over[left] != backward.over[right]
            left, right = left[other], right[other]
        if not len(left):
            return []
        f, b = forward.take(left), backward.take(right)
        cost, times = f.cost + b.cost + self._dear[kind][f.m], f.times * b.times
        order = np.argsort(cost, kind="stable")
        if each is not None:
            named = [f.end] + [nodes for nodes, step in ((f.over, f.steps[0]), (f.m, f.steps[-1]), (b.over, b.steps[0]))
                               if step.target not in self.blank]  # fmt: skip
            alike = np.unique(np.stack(named)[:, order], axis=1, return_index=True, return_inverse=True)
            times = np.bincount(alike[2].ravel(), times[order]).astype(np.int64)
            order = order[alike[1]]
            best = np.argsort(cost[order] - np.log(times), kind="stable")[:each]
            order, times = order[best], times[best]
        found = []
        steps = [(h.name, h.back) for h in f.steps] + [(h.name, not h.back) for h in reversed(b.steps)]
        for at, many in zip(order.tolist(), (times if each is not None else times[order]).tolist(), strict=True):
            nodes = [(f.steps[0].source, int(f.end[at]))]
            nodes += [(f.steps[0].target, int(f.over[at]))] * (len(f.steps) == 2) + [(kind, int(f.m[at]))]
            nodes += [(b.steps[0].target, int(b.over[at]))] * (len(b.steps) == 2)
            found.append(self._walk((*nodes, target), tuple(steps), many, float(cost[at])))
        return found

    def _walk(self, nodes: tuple[Node, ...], steps: tuple[tuple[str, bool], ...], times: int, cost: float) -> Walk:
        edges = []
        for (name, back), here, there in zip(steps, nodes, nodes[1:], strict=False):
            hops = self._hops[here[0]]
            (hop,) = [h for h in hops if h.name == name and h.back == back and h.target == there[0]]
            start, stop = hop.starts[here[1] : here[1] + 2]
            edges.append(int(hop.rows[start + np.searchsorted(hop.ends[start:stop], there[1])]))
        return Walk(nodes, steps, tuple(edges), times, cost)


def _reached(halves: Sequence[_Half], sizes: Mapping[str, int]) -> Flags:
    flags = {name: np.zeros(size, bool) for name, size in sizes.items()}
    for half in halves:
        flags[half.kind][half.m] = True
    return flags


def _cheapest(half: _Half, size: int, blank: bool) -> _Half:
    """Of the paths from an end to a node the last two, over different nodes; where those are blank, they count for all.

    Two are enough: the cheapest whole path of a kind takes the first from one side and at worst the second from the
    other, where both first would go over one node.
    """
    _, source = np.unique(half.end, return_inverse=True)
    count = int(source.max()) + 1
    key = half.m * count + source if size * count <= _DENSE else half.m
    size = size * count if size * count <= _DENSE else size
    last = np.full(size, -1)
    last[key] = np.arange(len(key))  # of equal keys numpy keeps the last
    best = last[key]
    rest = np.flatnonzero(half.over != half.over[best])
    second = np.full(size, -1)
    second[key[rest]] = rest
    kept = np.unique(np.concatenate([last[last >= 0], second[second >= 0]]))
    found = half.take(kept)
    if not blank:
        return found
    total = np.bincount(key, half.times, minlength=size).astype(np.int64)[key[kept]]
    # the first of two stands for all but the second, which stands for itself
    is_first, two = best[kept] == kept, second[key[kept]] >= 0
    return _Half(found.steps, found.m, found.over, found.end, np.where(is_first, total - two, 1), found.cost)
