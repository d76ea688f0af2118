"""Recounting the paths over what items are: the values of a relation that items share, and that go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kg.changes import Change, Cut
from kg.graph import EdgeKey
from kg.paths import AttributePaths
from kg.sparse import Matrix
from kg.tables import FloatArray, IntArray

if TYPE_CHECKING:
    from kg.recount import Place, Recount


class Values:
    """One relation from items to attributes, at one place.

    Args:
        recount: Of the graph.
        path: The relation's counts.
        place: Where.
        own: (E,) the items of the user's events.
    """

    def __init__(self, recount: Recount, path: AttributePaths, place: Place, own: IntArray) -> None:
        self.path, self.place = path, place
        (self.key,) = [key for key in recount.graph.edges if key[1] == path.name]
        self._recount = recount
        self._items = np.unique(np.concatenate([place.hand, own, [place.item]]))
        self._sets = {int(i): _row(path.items, i) for i in self._items}
        self.held = np.unique(np.concatenate([np.zeros(0, np.int64), *(self._sets[int(i)] for i in place.hand)]))
        self.of_item = self._sets[place.item]
        self._lift = np.expm1(path.together[self.held][:, self.of_item].toarray().astype(float))
        self._telling = bool((self._lift > 0).any())
        self._wanted = np.unique(np.concatenate([self.held, self.of_item]))
        self._shared = self._sharing(self._sets)

    def count(self, cut: Cut, change: Change, own: IntArray, decay: FloatArray) -> tuple[FloatArray, float, float]:
        """(H,) shared values, how the values go together, and how often the user took the item's."""
        lost = lost_ends(self._recount, self.key, cut)
        sets, shared, held = self._sets, self._shared, self.held
        if len(lost):
            sets = dict(sets)
            for item, value in lost.tolist():
                if item in sets:
                    sets[item] = sets[item][sets[item] != value]
            shared = self._sharing(sets)
            held = np.unique(np.concatenate([held[:0], *(sets[int(i)] for i in self.place.hand)]))
        of_user = float(decay @ shared[np.searchsorted(self._items, own)])
        together = 0.0
        if self._telling:
            alive = np.isin(self.held, held)[:, None] & np.isin(self.of_item, sets[self.place.item])
            lift = self._lifted(change, lost) if len(lost) or len(change.held) else self._lift
            together = float(np.log1p(np.where(alive, lift, 0)).sum())
        return shared[np.searchsorted(self._items, self.place.hand)], together, of_user

    def _sharing(self, sets: dict[int, IntArray]) -> FloatArray:
        """By item of _items, how many of the item's values each has."""
        mine = set(sets[self.place.item].tolist())
        return np.array([sum(v in mine for v in sets[int(i)].tolist()) for i in self._items], float)

    def _lifted(self, change: Change, lost: IntArray) -> FloatArray:
        sets = self._recount.changes.held
        assert sets is not None
        full, degrees = self._recount.degrees(self.path)
        degree = degrees[self._wanted]
        a, b = (np.searchsorted(self._wanted, part) for part in (self.held, self.of_item))
        both = np.round(self._lift * degree[a][:, None] * degree[b] / full)
        chosen: Matrix = self.path.items[:, self._wanted]
        after = chosen
        ours = lost[np.isin(lost[:, 1], self._wanted)] if len(lost) else lost
        bundles = np.unique(change.held[:, 0])
        if len(ours):
            after = chosen.tolil()
            after[ours[:, 0], np.searchsorted(self._wanted, ours[:, 1])] = 0
            after = after.tocsr()
            bundles = np.union1d(bundles, np.concatenate([sets.holding(i) for i in np.unique(ours[:, 0])]))
        old = sets.rows[bundles]
        new = old.copy()
        if len(change.held):
            owner = np.repeat(bundles, np.diff(old.indptr))
            items = self._recount.items
            new.data = new.data * ~np.isin(owner * items + old.indices, change.held[:, 0] * items + change.held[:, 1])
        for rows, values, sign in ((old, chosen, -1), (new, after, 1)):
            inside = ((rows @ values).toarray() > 0).astype(float)
            degree = degree + sign * inside.sum(0)
            both += sign * (inside[:, a].T @ inside[:, b])
            full += sign * int((np.add.reduceat(np.append(rows.data, 0), rows.indptr[:-1]) > 0).sum())
        degree = np.maximum(degree, 1)
        return np.where(self._lift > 0, full * both / (degree[a][:, None] * degree[b]), 0)


def lost_ends(recount: Recount, key: EdgeKey, cut: Cut) -> IntArray:
    """(n, 2) the ends that no edge of a type joins any longer."""
    rows = cut.get(key[1])
    if rows is None or not len(rows):
        return np.zeros((0, 2), np.int64)
    edge, size = recount.graph.edges[key], recount.graph.size(key[2])
    gone = np.unique(edge.source[rows] * size + edge.target[rows])
    if recount.graph.schema.edge(key[1]).time:
        left: npt.NDArray[np.bool_] = np.ones(len(edge), bool)
        left[rows] = False
        gone = gone[~np.isin(gone, (edge.source * size + edge.target)[left])]
    return np.stack(np.divmod(gone, size), 1)


def _row(matrix: Matrix, row: int) -> IntArray:
    return np.asarray(matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]], np.int64)
