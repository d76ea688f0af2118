"""Simple typed paths of at most four hops between nodes, found from both ends on CSR arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kg.errors import InputError
from kg.graph import Graph
from kg.pathfinding.half_paths import HalfPath, Hop, best, cheapest
from kg.ragged import owners, ranges
from kg.tables import IntArray

Node = tuple[str, int]
Flags = Mapping[str, npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class NodePath:
    """A path from a source to a target in which no node stands twice.

    Attributes:
        nodes: (type, row) of each node, in order.
        steps: (edge name, whether it is followed against its direction) between them.
        edges: The row of each edge in its edge list; of parallel edges the latest.
        times: Paths of the same steps that differ in blank inner nodes alone, this one
            included; where one of two inner ends is blank, those that meet themselves are
            counted, too.
        cost: 1 a hop, and log(1 + neighbours) of every inner node: what is passed by many
            tells little.
    """

    nodes: tuple[Node, ...]
    steps: tuple[tuple[str, bool], ...]
    edges: tuple[int, ...]
    times: int
    cost: float


class PathSearch:
    """Finds paths in one graph; bundles are nodes like any other.

    A search meets in the middle. Hubs are dear, and none is looked through from an end: a node
    with more than `widest` neighbours is the middle of a path of two or four hops or one inner
    node of three, but stands beside no end of a path of four.

    Args:
        graph: Where to search.
        blank: Types whose nodes, inside a path, do not tell it from others: the baskets, the
            other people.
        widest: Most neighbours of a node that is looked through.
    """

    def __init__(
        self, graph: Graph, blank: Sequence[str] = (), widest: int = 4096
    ) -> None:
        self.blank, self.widest = frozenset(blank), widest
        self.sizes = {name: graph.size(name) for name in graph.vocabs}
        self._hops: dict[str, list[Hop]] = {name: [] for name in graph.vocabs}
        self._hop: dict[tuple[str, str, str, bool], Hop] = {}
        for key, edge in graph.edges.items():
            for back in (False, True):
                hop = Hop.of(key, back, edge, self.sizes)
                self._hops[hop.source].append(hop)
                self._hop[(hop.source, hop.name, hop.target, back)] = hop
        self.degree = {
            name: sum(
                (np.diff(hop.starts) for hop in hops),
                np.zeros(self.sizes[name], np.int64),
            )
            for name, hops in self._hops.items()
        }
        self._dear = {name: np.log1p(degree) for name, degree in self.degree.items()}

    def find(
        self, sources: Sequence[Node], target: Node, hops: int = 4, each: int | None = 4
    ) -> list[NodePath]:
        """Paths, those of many times and few hubs first.

        Args:
            sources: Where a path may begin; no path passes through another of them.
            target: Where it ends.
            hops: Most edges of a path, 1 to 4.
            each: Paths of a kind, none blank to the other; None for every path there is, one
                by one.
        """
        if not 1 <= hops <= 4:
            raise InputError(f"hops = {hops}: paths have 1 to 4")
        starts: dict[str, list[int]] = {}
        for kind, row in sources:
            if (kind, row) != target:
                starts.setdefault(kind, []).append(row)
        barred = {name: np.zeros(size, bool) for name, size in self.sizes.items()}
        barred[target[0]][target[1]] = True
        near = [
            h
            for kind, rows in starts.items()
            for h in self._first(kind, np.unique(rows))
        ]
        found = [path for h in near for path in self._direct(h, target)]
        for kind, rows in starts.items():
            barred[kind][rows] = True
        near = [h.take(~barred[h.kind][h.m]) for h in near]
        back = [
            h.take(~barred[h.kind][h.m])
            for h in self._first(target[0], np.array([target[1]]))
        ]
        both, met = back, [(f, back) for f in near] if hops > 1 else []
        if hops > 2:
            both = [
                *back,
                *self._second(
                    back,
                    barred,
                    _reached(near, self.sizes) if hops == 3 else None,
                    each,
                ),
            ]
            # the target's side is one node's: what the sources' side must meet is known from it
            far = list(
                self._second(
                    near,
                    barred,
                    _reached(back if hops == 3 else both, self.sizes),
                    each,
                )
            )
            met = [(f, both) for f in near] + [
                (f, both if hops == 4 else back) for f in far
            ]
        ends = _reached(both, self.sizes)
        for forward, backwards in met:
            forward = forward.take(ends[forward.kind][forward.m])
            if len(forward.m):
                forward = forward.take(np.argsort(forward.m, kind="stable"))
                first = np.concatenate(
                    [
                        [0],
                        np.cumsum(
                            np.bincount(forward.m, minlength=self.sizes[forward.kind])
                        ),
                    ]
                )
                alike = [
                    backward for backward in backwards if backward.kind == forward.kind
                ]
                found += [
                    path
                    for backward in alike
                    for path in self._join(forward, first, backward, target, each)
                ]
        once = {
            (path.nodes, path.steps): path
            for path in sorted(found, key=lambda w: w.times)
        }
        return sorted(
            once.values(), key=lambda w: (w.cost - np.log(w.times), w.nodes, w.steps)
        )

    def _first(self, kind: str, rows: IntArray) -> Iterator[HalfPath]:
        for hop in self._hops[kind]:
            place, at = hop.expand(rows)
            order = np.lexsort((hop.time[at], -self._dear[hop.target][hop.ends[at]]))
            place, at = place[order], at[order]
            ones = np.ones(len(at), np.int64)
            yield HalfPath(
                (hop,), rows, hop.ends[at], -ones, place, ones, ones.astype(float)
            )

    def _direct(self, half: HalfPath, target: Node) -> Iterator[NodePath]:
        (hop,) = half.steps
        for row in (
            half.ends[half.end[half.m == target[1]]].tolist()
            if hop.target == target[0]
            else []
        ):
            yield self._path(
                ((hop.source, row), target), ((hop.name, hop.back),), 1, 1.0
            )

    def _second(
        self,
        half_paths: Sequence[HalfPath],
        barred: Flags,
        wanted: Flags | None,
        each: int | None,
    ) -> Iterator[HalfPath]:
        """A hop further, to wanted nodes that are not barred.

        Each is reached through its two cheapest neighbours.
        """
        for half in half_paths:
            half = half.take(self.degree[half.kind][half.m] <= self.widest)
            dear = half.cost + self._dear[half.kind][half.m] + 1
            for hop in self._hops[half.kind] if len(half.m) else []:
                open_ = (
                    ~barred[hop.target]
                    if wanted is None
                    else wanted[hop.target] & ~barred[hop.target]
                )
                if not open_.any():
                    continue
                place, at = hop.expand(half.m)
                m = hop.ends[at]
                ok = open_[m]
                place, m = place[ok], m[ok]
                over, end, times = half.m[place], half.end[place], half.times[place]
                made = HalfPath(
                    (*half.steps, hop), half.ends, m, over, end, times, dear[place]
                )
                if each is not None and len(m):
                    made = cheapest(
                        made, self.sizes[hop.target], half.kind in self.blank
                    )
                if len(made.m):
                    yield made

    def _join(
        self,
        forward: HalfPath,
        starts: IntArray,
        backward: HalfPath,
        target: Node,
        each: int | None,
    ) -> list[NodePath]:
        """Whole paths of half-paths that meet.

        The forward ones are in the order of where they meet, and begin there at `starts`.
        """
        kind = forward.kind
        n = starts[backward.m + 1] - starts[backward.m]
        right, left = owners(n), ranges(starts[backward.m], n)
        if (
            len(forward.steps) == len(backward.steps) == 2
            and forward.steps[0].target == backward.steps[0].target
        ):
            other = forward.over[left] != backward.over[right]
            left, right = left[other], right[other]
        if not len(left):
            return []
        cost = (
            forward.cost[left]
            + backward.cost[right]
            + self._dear[kind][forward.m[left]]
        )
        times = forward.times[left] * backward.times[right]
        if each is None:
            order = np.argsort(cost, kind="stable")
            times = times[order]
        else:
            named = [(forward.end[left], len(forward.ends))]
            for half, nodes, which, place in (
                (forward, forward.over, left, 0),
                (forward, forward.m, left, -1),
                (backward, backward.over, right, 0),
            ):
                kinds = [hop.target for hop in half.steps]
                if kinds[place] not in self.blank and (place or len(kinds) == 2):
                    named.append((nodes[which], self.sizes[kinds[place]]))
            order, times = best(named, cost, times, each)
        found, f, b = [], forward.take(left[order]), backward.take(right[order])
        steps = [(h.name, h.back) for h in f.steps] + [
            (h.name, not h.back) for h in reversed(b.steps)
        ]
        for at, many in enumerate(times.tolist()):
            inner = [(f.steps[0].target, int(f.over[at]))] * (len(f.steps) == 2) + [
                (kind, int(f.m[at]))
            ]
            inner += [(b.steps[0].target, int(b.over[at]))] * (len(b.steps) == 2)
            stops = ((f.steps[0].source, int(f.ends[f.end[at]])), *inner, target)
            found.append(self._path(stops, tuple(steps), many, float(cost[order[at]])))
        return found

    def _path(
        self,
        nodes: tuple[Node, ...],
        steps: tuple[tuple[str, bool], ...],
        times: int,
        cost: float,
    ) -> NodePath:
        edges = []
        for (name, back), here, there in zip(steps, nodes, nodes[1:], strict=False):
            hop = self._hop[(here[0], name, there[0], back)]
            start, stop = hop.starts[here[1] : here[1] + 2].tolist()
            edges.append(
                int(hop.rows[start + hop.ends[start:stop].searchsorted(there[1])])
            )
        return NodePath(nodes, steps, tuple(edges), times, cost)


def _reached(half_paths: Sequence[HalfPath], sizes: Mapping[str, int]) -> Flags:
    flags = {name: np.zeros(size, bool) for name, size in sizes.items()}
    for half in half_paths:
        flags[half.kind][half.m] = True
    return flags
