"""Changes: what taking edges out of a graph does to its events, looked at locally."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from kg.events import EdgeKey, Events, event_keys, events_of
from kg.graph import Graph
from kg.metapaths.sparse import Matrix, matrix_of
from kg.ragged import owners, pair_key, ranges, split_pairs
from kg.tables import FloatArray, IntArray

Cut = Mapping[
    str, IntArray
]  # by edge name, the rows of its edge list that are taken out
_NONE = np.zeros(0, np.int64)


def distinct(values: IntArray) -> IntArray:
    """The distinct values, ascending; on many, several times faster than numpy's hashing."""
    ordered = np.sort(values)
    return (
        ordered[np.append(True, ordered[1:] != ordered[:-1])]
        if len(ordered)
        else ordered
    )


class Index:
    """Where each value of an array of rows stands in it; negative ones are nowhere."""

    def __init__(self, rows: IntArray) -> None:
        self._order = np.argsort(rows, kind="stable")
        self._sorted = rows[self._order]

    def of(self, values: IntArray) -> IntArray:
        """The places of some distinct values, ascending."""
        start, stop = (
            np.searchsorted(self._sorted, values, side) for side in ("left", "right")
        )
        return np.sort(self._order[ranges(start, stop - start)])


class Sets:
    """Groups (bundles, or users) and the items that they hold."""

    def __init__(self, matrix: Matrix) -> None:
        self.rows: Matrix = matrix.sign().tocsr()
        self.rows.eliminate_zeros()
        self.rows.sort_indices()
        self.columns: Matrix = self.rows.T.tocsr()
        self.sizes = np.diff(self.columns.indptr).astype(np.int64)

    def holding(self, item: int) -> IntArray:
        """The groups that hold an item, ascending."""
        return np.asarray(
            self.columns.indices[
                self.columns.indptr[item] : self.columns.indptr[item + 1]
            ],
            np.int64,
        )

    def beside(self, groups: IntArray) -> IntArray:
        """(I,) how many of some distinct groups hold each item."""
        return np.bincount(
            self.rows.indices[entries(self.rows, groups)[1]],
            minlength=self.rows.shape[1],
        )

    def fewer_beside(self, item: int, lost: IntArray) -> IntArray:
        """(I,) how many fewer groups hold the item and each, once (n, 2) groups have lost items."""
        without = lost[lost[:, 1] == item, 0]
        still = lost[
            among(lost[:, 0], self.holding(item)) & ~np.isin(lost[:, 0], without)
        ]
        return self.beside(without) + np.bincount(
            still[:, 1], minlength=self.rows.shape[1]
        )


@dataclass(frozen=True)
class Change:
    """What a cut does.

    Attributes:
        gone: Events that are gone.
        come: Events that are there in their stead: those of a bundle that lost an owner, or
            one of two equal edges.
        held: (n, 2) bundles and the items that they no longer hold.
        interacted: (n, 2) users and the items that they no longer take.
        owned: (n, 2) users and the items that they no longer take in bundles.
    """

    gone: Events
    come: Events
    held: IntArray
    interacted: IntArray
    owned: IntArray


class _Counts:
    """How often each user took each item, looked up by pair."""

    def __init__(self, user: IntArray, item: IntArray, items: int) -> None:
        self.items = items
        self.keys, self.counts = np.unique(
            pair_key(user, item, items), return_counts=True
        )

    def lost(self, gone: Events, come: Events) -> IntArray:
        """(n, 2) pairs of which nothing is left."""
        keys, fewer = np.unique(
            pair_key(gone.user, gone.item, self.items), return_counts=True
        )
        if len(come) and len(keys):
            again, more = np.unique(
                pair_key(come.user, come.item, self.items), return_counts=True
            )
            at = np.minimum(np.searchsorted(keys, again), len(keys) - 1)
            same = keys[at] == again
            fewer[at[same]] -= more[same]
        left = self.counts[np.searchsorted(self.keys, keys)] - fewer
        return np.stack(split_pairs(keys[left <= 0], self.items), 1)


class Changes:
    """Finds the change that a cut makes.

    Args:
        graph: The graph before.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph, self.items = graph, graph.size(graph.item)
        bundle = graph.schema.of_role("bundle")
        self.bundle = bundle.name if bundle else None
        self._keys = [
            key for key in graph.edges if graph.schema.edge(key[1]).role != "relation"
        ]
        held = [key for key in self._keys if key[0] == self.bundle]
        self._index = {
            key: Index(self._bundles(key))
            for key in self._keys
            if self.bundle in (key[0], key[2])
        }
        pairs = np.concatenate([_NONE, *(self._pairs(key, None) for key in held)])
        self._parallel = len(distinct(pairs)) < len(pairs)
        self._members = held
        events = graph.events
        known = events.take(events.user >= 0)
        self._interactions = _Counts(known.user, known.item, self.items)
        inside = known.take(known.bundle >= 0)
        self._owned = (
            self._interactions
            if len(inside) == len(known)
            else _Counts(inside.user, inside.item, self.items)
        )

    def _bundles(self, key: EdgeKey) -> IntArray:
        edge = self.graph.edges[key]
        return edge.target if key[2] == self.bundle else edge.source

    def _pairs(self, key: EdgeKey, rows: IntArray | None) -> IntArray:
        edge = self.graph.edges[key]
        edge = edge if rows is None else edge.take(rows)
        return pair_key(edge.source, edge.target, self.items)

    @cached_property
    def held(self) -> Sets | None:
        """The bundles, by their rows, and their items; None where no bundle holds anything."""
        events = self.graph.events
        inside = events.bundle >= 0
        if self.bundle is None or not inside.any():
            return None
        shape = (self.graph.size(self.bundle), self.items)
        return Sets(
            matrix_of(
                np.ones(inside.sum()),
                (events.bundle[inside], events.item[inside]),
                shape,
            )
        )

    def edges_of(self, key: EdgeKey, bundles: IntArray, item: int) -> IntArray:
        """The rows of a membership type's edges from some bundles to an item."""
        rows: IntArray = self._index[key].of(bundles)
        found: IntArray = rows[self.graph.edges[key].target[rows] == item]
        return found

    def of(self, cut: Cut) -> Change:
        """What a cut does to the events."""
        cut = {name: distinct(np.asarray(rows, np.int64)) for name, rows in cut.items()}
        owned = [
            key for key in self._index if key not in self._members and key[1] in cut
        ]
        less = [
            self._bundles(key)[cut[key[1]]] for key in self._members if key[1] in cut
        ]
        anew = [self._bundles(key)[cut[key[1]]] for key in owned] + (
            less if self._parallel else []
        )
        owners = distinct(np.concatenate([_NONE, *anew]))
        touched = [owners, *less]
        before, after = {}, {}
        for key in self._keys:
            gone = cut.get(key[1], _NONE)
            rows = gone
            if (
                key in self._index
            ):  # a bundle that loses an owner is resolved anew, of others what they lose
                mine = self._index[key].of(
                    owners
                    if key in self._members
                    else distinct(np.concatenate(touched))
                )
                rows = np.union1d(mine, gone)
            edge = self.graph.edges[key]
            stays = rows[~np.isin(rows, gone)] if len(owners) else rows[:0]
            before[key], after[key] = edge.take(rows), edge.take(stays)
        old, new = (
            events_of(self.graph.schema, self.graph.vocabs, edges, ())
            for edges in (before, after)
        )
        by_users = [events.take(events.user >= 0) for events in (old, new)]
        in_bundles = [events.take(events.bundle >= 0) for events in by_users]
        lost = self._interactions.lost(*by_users)
        owned_lost = (
            lost if self._owned is self._interactions else self._owned.lost(*in_bundles)
        )
        return Change(old, new, self._lost_held(cut), lost, owned_lost)

    def _lost_held(self, cut: Cut) -> IntArray:
        gone = distinct(
            np.concatenate(
                [
                    _NONE,
                    *(self._pairs(k, cut[k[1]]) for k in self._members if k[1] in cut),
                ]
            )
        )
        if self._parallel and len(gone):
            for key in self._members:
                rows = self._index[key].of(distinct(split_pairs(gone, self.items)[0]))
                gone = np.setdiff1d(
                    gone, self._pairs(key, np.setdiff1d(rows, cut.get(key[1], _NONE)))
                )
        return np.stack(split_pairs(gone, self.items), 1)


def remaining(events: Events, change: Change, items: int) -> npt.NDArray[np.bool_]:
    """(E,) which of some events are not among those gone."""
    alone = events.bundle < 0
    direct = change.gone.take(change.gone.bundle < 0)
    stays = np.ones(len(events), bool)
    if len(direct):
        stays &= ~(
            alone & np.isin(event_keys(events, items), event_keys(direct, items))
        )
    if len(direct) < len(change.gone):
        held = pair_key(change.gone.bundle, change.gone.item, items)
        stays &= alone | ~np.isin(pair_key(events.bundle, events.item, items), held)
    return stays


def among(values: IntArray, ordered: IntArray) -> npt.NDArray[np.bool_]:
    """(n,) which values are among ascending ones."""
    if not len(ordered):
        return np.zeros(len(values), bool)
    found: npt.NDArray[np.bool_] = (
        ordered[np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)]
        == values
    )
    return found


def column(matrix: Matrix, rows: IntArray, at: int) -> FloatArray:
    """(len(rows),) one column of some rows of a sparse matrix."""
    owner, position = entries(matrix, rows)
    hit = matrix.indices[position] == at
    return np.asarray(
        np.bincount(owner[hit], matrix.data[position[hit]], minlength=len(rows)), float
    )


def entries(matrix: Matrix, rows: IntArray) -> tuple[IntArray, IntArray]:
    """For every entry of some rows of a sparse matrix: which of these rows, and where it stands."""
    starts = matrix.indptr[rows].astype(np.int64)
    count = matrix.indptr[rows + 1] - starts
    return owners(count), ranges(starts, count)
