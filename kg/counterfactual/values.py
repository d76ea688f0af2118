"""Recounting the paths over what items are.

These are the values of a relation that items share, and that go together.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kg.counterfactual.edits import Change, Cut, among, distinct
from kg.counterfactual.index import CountIndex, QueryItemPair
from kg.events import EdgeKey
from kg.metapaths.attributes import AttributePaths
from kg.metapaths.sparse import Matrix
from kg.ragged import pair_key, split_pairs
from kg.tables import FloatArray, IntArray


class Values:
    """One relation from items to attributes, at one pair.

    Args:
        index: Of the graph.
        path: The relation's counts.
        pair: Where.
        own: (E,) the items of the user's events.
    """

    def __init__(
        self,
        index: CountIndex,
        path: AttributePaths,
        pair: QueryItemPair,
        own: IntArray,
    ) -> None:
        self.path, self.pair = path, pair
        (self.key,) = [key for key in index.graph.edges if key[1] == path.name]
        self._index = index
        self._items = distinct(np.concatenate([pair.context, own, [pair.item]]))
        self._rows: Matrix = path.items[self._items]
        self._sets = {int(i): _row(path.items, i) for i in (*pair.context, pair.item)}
        self.held = self._values(self._sets)
        self.of_item = self._sets[pair.item]
        self._lift = np.expm1(
            path.together[self.held][:, self.of_item].toarray().astype(float)
        )
        self._telling = bool((self._lift > 0).any())
        self._wanted = distinct(np.concatenate([self.held, self.of_item]))
        self._chosen: Matrix = path.items[:, self._wanted] if self._telling else None
        self._has = (
            np.diff(self._chosen.indptr) > 0
            if self._chosen is not None
            else np.zeros(0, bool)
        )
        self._shared = self._sharing(self.of_item, np.zeros((0, 2), np.int64))

    def count(
        self,
        cut: Cut,
        change: Change,
        own: IntArray,
        decay: FloatArray,
    ) -> tuple[FloatArray, float, float]:
        """(H,) shared values, how they go together, and how often the user took the item's."""
        lost = lost_ends(self._index, self.key, cut)
        sets, shared, held = self._left(lost), self._shared, self.held
        if len(lost):
            shared, held = (
                self._sharing(sets[self.pair.item], lost),
                self._values(sets),
            )
        of_user = float(decay @ shared[np.searchsorted(self._items, own)])
        together = 0.0
        if self._telling:
            alive = np.isin(self.held, held)[:, None] & np.isin(
                self.of_item, sets[self.pair.item]
            )
            lift = (
                self._lifted(change, lost)
                if len(lost) or len(change.held)
                else self._lift
            )
            together = float(np.log1p(np.where(alive, lift, 0)).sum())
        return (
            shared[np.searchsorted(self._items, self.pair.context)],
            together,
            of_user,
        )

    def kin(self, cut: Cut) -> FloatArray:
        """(H,) the shared values without the cut, weighed as in kg.metapaths.relations.kin."""
        lost = lost_ends(self._index, self.key, cut)
        sets, items = self._left(lost), self._index.items
        mine = sets[self.pair.item]
        size = self.path.items.shape[1]
        have = (self._index.have(self.path) - np.bincount(lost[:, 1], minlength=size))[
            mine
        ]
        weight = np.where(
            (have > 1) & (have <= max(items / 10, 2)),
            np.log(items / np.maximum(have, 1)),
            0,
        )
        of_value = dict(zip(mine.tolist(), weight.tolist(), strict=True))
        return np.array(
            [
                sum(of_value.get(v, 0) for v in sets[int(i)].tolist())
                for i in self.pair.context
            ],
            float,
        )

    def _left(self, lost: IntArray) -> dict[int, IntArray]:
        """The values of the context items and of the item, without those lost."""
        sets = dict(self._sets)
        for item, value in lost.tolist():
            if item in sets:
                sets[item] = sets[item][sets[item] != value]
        return sets

    def _values(self, sets: dict[int, IntArray]) -> IntArray:
        """The values at hand, ascending."""
        return distinct(
            np.concatenate(
                [np.zeros(0, np.int64), *(sets[int(i)] for i in self.pair.context)]
            )
        )

    def _sharing(self, mine: IntArray, lost: IntArray) -> FloatArray:
        """By item of _items, how many of the item's values each has, without those lost."""
        has = np.zeros(self.path.items.shape[1])
        has[mine] = 1
        shared = np.asarray(self._rows @ has, float)
        gone = lost[
            (has[lost[:, 1]] > 0)
            & among(lost[:, 0], self._items)
            & (lost[:, 0] != self.pair.item),
            0,
        ]
        np.subtract.at(shared, np.searchsorted(self._items, gone), 1)
        return shared

    def _lifted(self, change: Change, lost: IntArray) -> FloatArray:
        """As _lift, where bundles have lost items, and items values.

        Counted is, in each bundle, how many items have a value.
        """
        sets, items = self._index.changes.held, self._index.items
        assert sets is not None
        full, degrees = self._index.degrees(self.path)
        degree = degrees[self._wanted]
        a, b = (
            np.searchsorted(self._wanted, part) for part in (self.held, self.of_item)
        )
        both = np.round(self._lift * degree[a][:, None] * degree[b] / full)
        ours = lost[among(lost[:, 1], self._wanted)]
        holding = {int(i): sets.holding(i) for i in distinct(ours[:, 0])}
        told = change.held[
            self._has[change.held[:, 1]]
        ]  # what a bundle loses that has none of the values is nothing
        bundles = distinct(np.concatenate([told[:, 0], *holding.values()]))
        before = (sets.rows[bundles] @ self._chosen).toarray()
        after = before.copy()
        np.subtract.at(
            after,
            np.searchsorted(bundles, told[:, 0]),
            self._chosen[told[:, 1]].toarray(),
        )
        gone = np.sort(pair_key(change.held[:, 0], change.held[:, 1], items))
        for item, value in ours.tolist():
            still = holding[item][~among(pair_key(holding[item], item, items), gone)]
            after[
                np.searchsorted(bundles, still), np.searchsorted(self._wanted, value)
            ] -= 1
        for counts, sign in ((before, -1), (after, 1)):
            inside = (counts > 0.5).astype(float)
            degree = degree + sign * inside.sum(0)
            both += sign * (inside[:, a].T @ inside[:, b])
        losing, many = np.unique(change.held[:, 0], return_counts=True)
        full -= int((np.diff(sets.rows.indptr)[losing] == many).sum())
        degree = np.maximum(degree, 1)
        return np.where(
            self._lift > 0,
            full * both / (degree[a][:, None] * degree[b]),
            0,
        )


def lost_ends(
    index: CountIndex,
    key: EdgeKey,
    cut: Cut,
) -> IntArray:
    """(n, 2) the ends that no edge of a type joins any longer."""
    rows = cut.get(key[1])
    if rows is None or not len(rows):
        return np.zeros((0, 2), np.int64)
    edge, size = index.graph.edges[key], index.graph.size(key[2])
    gone = distinct(pair_key(edge.source[rows], edge.target[rows], size))
    if index.graph.schema.edge(key[1]).time:
        left: npt.NDArray[np.bool_] = np.ones(len(edge), bool)
        left[rows] = False
        gone = gone[
            ~np.isin(gone, pair_key(edge.source[left], edge.target[left], size))
        ]
    return np.stack(split_pairs(gone, size), 1)


def _row(matrix: Matrix, row: int) -> IntArray:
    return np.asarray(
        matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]],
        np.int64,
    )
