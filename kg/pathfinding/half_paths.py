"""Half-paths: one or two hops from an end to where it may meet the other, and which are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from kg.events import EdgeKey, EdgeList
from kg.ragged import owners, pair_key, ranges
from kg.tables import FloatArray, IntArray

DENSE = 2**23  # entries of a table over middles and sources; beyond, over middles alone


@dataclass(frozen=True)
class Hop:
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
    def of(
        cls,
        key: EdgeKey,
        back: bool,
        edge: EdgeList,
        sizes: Mapping[str, int],
    ) -> Hop:
        """From an edge list, along its edges or back."""
        source, name, target = key
        here, there = edge.source, edge.target
        if back:
            source, target, here, there = target, source, there, here
        late = np.nan_to_num(edge.time, nan=-np.inf)
        order = np.lexsort((late, there, here))
        if source == target:
            order = order[here[order] != there[order]]
        pair = pair_key(here[order], there[order], sizes[target])
        order = order[
            np.append(pair[1:] != pair[:-1], True)[: len(order)]
        ]  # the latest of parallel edges
        starts = np.concatenate(
            [[0], np.cumsum(np.bincount(here[order], minlength=sizes[source]))]
        )
        return cls(
            name,
            back,
            source,
            target,
            starts,
            there[order],
            order,
            late[order],
        )

    def expand(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        """(place in rows, place in ends) of every edge that leaves these rows."""
        count = self.starts[rows + 1] - self.starts[rows]
        return owners(count), ranges(self.starts[rows], count)


@dataclass(frozen=True)
class HalfPath:
    """Paths of one kind from an end to nodes m, dearest first.

    The node `over` stands between them, -1 where none does.

    `ends` are the distinct rows of the ends, ascending, and `end` says which of them a path has.
    """

    steps: tuple[Hop, ...]
    ends: IntArray
    m: IntArray
    over: IntArray
    end: IntArray
    times: IntArray
    cost: FloatArray

    @property
    def kind(self) -> str:
        """The type of m."""
        return self.steps[-1].target

    def take(self, which: npt.NDArray[np.bool_] | IntArray) -> HalfPath:
        """The chosen paths."""
        m, over, end, times = (
            part[which] for part in (self.m, self.over, self.end, self.times)
        )
        return HalfPath(
            self.steps,
            self.ends,
            m,
            over,
            end,
            times,
            self.cost[which],
        )


def cheapest(
    half: HalfPath,
    size: int,
    blank: bool,
) -> HalfPath:
    """Of the paths from an end to a node the last two, over different nodes.

    Where those are blank, they count for all.

    Two are enough: the cheapest whole path of a kind takes the first from one side and at
    worst the second from the other, where both first would go over one node.
    """
    count = len(half.ends)
    key = half.m
    if size * count <= DENSE:
        key, size = pair_key(half.m, half.end, count), size * count
    last = np.full(size, -1, np.int32)  # tables of this size are dear to fill
    last[key] = np.arange(len(key))  # of equal keys numpy keeps the last
    best = last[key]
    rest = np.flatnonzero(half.over != half.over[best])
    second = np.full(size, -1, np.int32)
    second[key[rest]] = rest
    keep = np.zeros(len(key), bool)
    keep[best] = True
    keep[second[key[rest]]] = True
    kept = np.flatnonzero(keep)
    found = half.take(kept)
    if not blank:
        return found
    total = np.bincount(key, half.times, minlength=size).astype(np.int64)[key[kept]]
    # the first of two stands for all but the second, which stands for itself
    is_first, two = best[kept] == kept, second[key[kept]] >= 0
    return replace(found, times=np.where(is_first, total - two, 1))


def best(
    named: Sequence[tuple[IntArray, int]],
    cost: FloatArray,
    times: IntArray,
    each: int,
) -> tuple[IntArray, IntArray]:
    """The best few of N paths, and how many each stands for.

    A path stands for all that are named alike, of which it is the cheapest.

    Args:
        named: (N,) what names a path, and how many values that has.
        cost: (N,).
        times: (N,) how many paths each stands for already.
        each: How many.
    """
    key, wide = named[0]
    for nodes, size in named[1:]:
        if wide * size >= 2**62:
            distinct, key = np.unique(key, return_inverse=True)
            wide = len(distinct)
        key, wide = pair_key(key, nodes, size), wide * size
    order = np.argsort(key)
    key = key[order]
    starts = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
    many = np.add.reduceat(times[order], starts)
    worth = np.minimum.reduceat(cost[order], starts) - np.log(many)
    near = np.arange(len(worth))
    if len(worth) > each:
        near = np.flatnonzero(worth <= np.partition(worth, each - 1)[each - 1])
    near = near[np.argsort(worth[near], kind="stable")[:each]]
    members = [
        order[a:b]
        for a, b in zip(
            starts[near],
            np.append(starts, len(order))[near + 1],
            strict=True,
        )
    ]
    first = [int(one[np.lexsort((one, cost[one]))[0]]) for one in members]
    return np.array(first, np.int64), many[near]
