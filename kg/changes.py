"""Changes: what taking edges out of a graph does to its events, looked at locally."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from kg.graph import Events, Graph, event_keys, events_of
from kg.sparse import Matrix, matrix_of
from kg.tables import IntArray

Cut = Mapping[str, IntArray]  # by edge name, the rows of its edge list that are taken out
_NONE = np.zeros(0, np.int64)


class Index:
    """Where each value of an array of rows stands in it; negative ones are nowhere."""

    def __init__(self, rows: IntArray) -> None:
        self._order = np.argsort(rows, kind="stable")
        self._sorted = rows[self._order]

    def of(self, values: IntArray) -> IntArray:
        """The places of some distinct values, ascending."""
        start, stop = (np.searchsorted(self._sorted, values, side) for side in ("left", "right"))
        count = stop - start
        first = np.repeat(start - np.cumsum(count) + count, count)
        return np.sort(self._order[first + np.arange(int(count.sum()))])


class Sets:
    """Groups (bundles, or users) and the items that they hold, as a sparse matrix of 0 and 1."""

    def __init__(self, matrix: Matrix) -> None:
        self.rows: Matrix = matrix.sign().tocsr()
        self.rows.eliminate_zeros()
        self.sizes = np.bincount(self.rows.indices, minlength=self.rows.shape[1])

    @cached_property
    def columns(self) -> Matrix:
        """(I, groups)."""
        return self.rows.T.tocsr()

    def holding(self, item: int) -> IntArray:
        """The groups that hold an item."""
        columns = self.columns
        return np.asarray(columns.indices[columns.indptr[item] : columns.indptr[item + 1]], np.int64)

    def beside(self, item: int) -> IntArray:
        """(I,) how many groups hold this item and each."""
        return np.bincount(self.rows[self.holding(item)].indices, minlength=self.rows.shape[1])


@dataclass(frozen=True)
class Change:
    """Events before and after a cut: all of the bundles that it touches, and the single takings that are gone.

    Attributes:
        old: Before.
        new: After.
        touched: The bundles, ascending.
        gone: Single takings (user and item and time, as event_keys has them) that are gone.
    """

    old: Events
    new: Events
    touched: IntArray
    gone: npt.NDArray[np.complex128]
    items: int

    def without(self, events: Events, whose: npt.NDArray[np.bool_], fresh: npt.NDArray[np.bool_]) -> Events:
        """Some events of the whole graph as they are after the cut; `fresh` says which of `new` belong with them."""
        alone = events.bundle < 0
        stays = np.where(alone, ~np.isin(event_keys(events, self.items), self.gone), True)
        stays &= ~np.isin(events.bundle, self.touched) | alone
        more = self.new.take(fresh & (self.new.bundle >= 0))
        return Events.join([events.take(whose & stays), more])

    def bundles(self, items: int) -> tuple[Matrix, Matrix]:
        """(touched bundles, I) what they held, and hold."""
        found = []
        for events in (self.old, self.new):
            inside = events.take(events.bundle >= 0)
            ends = (np.searchsorted(self.touched, inside.bundle), inside.item)
            found.append(matrix_of(np.ones(len(inside)), ends, (len(self.touched), items)).sign())
        return found[0], found[1]

    def shift(self, counts: Matrix, users: IntArray, items: int) -> Matrix:
        """(len(users), I) how often each of some users takes what, from how often they took it."""
        for events, sign in ((self.old, -1.0), (self.new, 1.0)):
            own = events.take(events.user >= 0)
            ends = (np.searchsorted(users, own.user), own.item)
            counts = counts + matrix_of(np.full(len(own), sign), ends, (len(users), items))
        counts.eliminate_zeros()
        return counts.tocsr()


class Changes:
    """Finds the change that a cut makes.

    Args:
        graph: The graph before.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.items = graph.size(graph.item)
        bundle = graph.schema.of_role("bundle")
        self.bundle = bundle.name if bundle else None
        self._keys = [key for key in graph.edges if graph.schema.edge(key[1]).role != "relation"]
        self._index = {
            key: Index(self._bundles(key)) for key in self._keys if self.bundle in (key[0], key[2]) and self.bundle
        }

    def _bundles(self, key: tuple[str, str, str]) -> IntArray:
        edge = self.graph.edges[key]
        return edge.target if key[2] == self.bundle else edge.source

    @cached_property
    def held(self) -> Sets | None:
        """The bundles, by their rows, and their items; None where no bundle holds anything."""
        events = self.graph.events
        inside = events.bundle >= 0
        if self.bundle is None or not inside.any():
            return None
        shape = (self.graph.size(self.bundle), self.items)
        return Sets(matrix_of(np.ones(inside.sum()), (events.bundle[inside], events.item[inside]), shape))

    def edges_of(self, key: tuple[str, str, str], bundles: IntArray, item: int) -> IntArray:
        """The rows of a membership type's edges from some bundles to an item."""
        rows: IntArray = self._index[key].of(bundles)
        rows = rows[self.graph.edges[key].target[rows] == item]
        return rows

    def of(self, cut: Cut) -> Change:
        """The events that a cut touches, before and after."""
        parts = [self._bundles(key)[cut[key[1]]] for key in self._index if key[1] in cut]
        touched = np.unique(np.concatenate([_NONE, *parts]))
        before, after = {}, {}
        for key in self._keys:
            gone = np.asarray(cut.get(key[1], _NONE), np.int64)
            rows = self._index[key].of(touched) if key in self._index else gone
            edge = self.graph.edges[key]
            before[key], after[key] = edge.take(rows), edge.take(rows[~np.isin(rows, gone)])
        old, new = (events_of(self.graph.schema, self.graph.vocabs, edges, ()) for edges in (before, after))
        alone = old.take(old.bundle < 0)
        return Change(old, new, touched, event_keys(alone, self.items), self.items)
