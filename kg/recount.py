"""Recount: what the counted paths between an ask and an item would be, had some edges never been there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from kg.changes import Change, Changes, Cut, Index, Sets
from kg.graph import Events, Graph
from kg.paths import AttributePaths, PathCounts
from kg.recount_relations import followed, item_to_item, kin, order, user_to_item
from kg.sparse import Matrix
from kg.tables import FloatArray, IntArray


@dataclass(frozen=True)
class Place:
    """An ask and an item in rows: user (-1 where nobody is known), the items at hand, and the item asked about."""

    user: int
    hand: IntArray
    item: int


@dataclass(frozen=True)
class Counted:
    """The counts of one place, named as those of PathCounts.

    Attributes:
        user_item: From the user to the item.
        item_item: (H,) from each item at hand to the item.
        item: Of the item alone.
        user: Of the user alone.
        values: By relation, (H,) how many values each item at hand shares with the item.
        together: By relation, how much likelier the values at hand and the item's are in one bundle than by chance.
        of_user: By relation, how often the user took the item's values.
    """

    user_item: dict[str, float]
    item_item: dict[str, FloatArray]
    item: dict[str, float]
    user: dict[str, float]
    values: dict[str, FloatArray]
    together: dict[str, float]
    of_user: dict[str, float]


class Recount:
    """Recounts places of one graph: what `count_paths` of the graph without some edges gives.

    Kept as they were counted are the entries that pruning left (no other comes in their stead) and EASE's weights.

    Args:
        graph: The graph that was counted.
        counts: Its counts.
    """

    def __init__(self, graph: Graph, counts: PathCounts) -> None:
        self.graph, self.counts = graph, counts
        self.items = graph.size(graph.item)
        self.changes = Changes(graph)
        events = graph.events
        self._of_user, self._of_item = Index(events.user), Index(events.item)
        self._moments, self._at = np.unique(events.time[~np.isnan(events.time)], return_counts=True)
        self.half_life, self.window = ages(events, counts)
        self._degrees: dict[str, tuple[int, FloatArray]] = {}

    @cached_property
    def taken(self) -> Sets | None:
        """Users and the items that they took."""
        counts = self.counts.user_item.get("user-item")
        return None if counts is None else Sets(counts)

    @cached_property
    def followed(self) -> Matrix:
        """(I, I) item-next-item of all events, nothing pruned."""
        return followed(self.graph.events, self.items)

    def of_users(self, users: IntArray) -> IntArray:
        """The events of some users, as their places."""
        return self._of_user.of(users)

    def takers(self, item: int, change: Change) -> IntArray:
        """The users who take an item after a cut."""
        events = self.graph.events.take(self._of_item.of(np.array([item])))
        users = change.without(events, events.item == item, change.new.item == item).user
        return np.unique(users[users >= 0])

    def lost_owners(self, change: Change) -> tuple[IntArray, IntArray]:
        """(users, items) that bundles joined, and that none joins after a change."""
        old, new = (e.take((e.user >= 0) & (e.bundle >= 0)) for e in (change.old, change.new))
        events = self.graph.events.take(self._of_user.of(np.unique(old.user)))
        rest = events.take((events.bundle >= 0) & ~np.isin(events.bundle, change.touched))
        pairs = [np.unique(e.user * self.items + e.item) for e in (old, new, rest)]
        users, items = np.divmod(np.setdiff1d(pairs[0], np.concatenate(pairs[1:])), self.items)
        return users, items

    def lost_pairs(self, change: Change, pairs: IntArray) -> npt.NDArray[np.bool_]:
        """(n,) of (n, 2) items, whether a bundle (a user, where there are none) held both, and none does any longer."""
        every = list(self._sets(change))
        if not every or not len(pairs):
            return np.zeros(len(pairs), bool)
        _, sets, old, new = every[-1]
        was, still = (_both(part.columns, pairs) for part in (old, new))
        lost: npt.NDArray[np.bool_] = was > still
        lost[lost] = _both(sets.columns, pairs[lost]) == (was - still)[lost]
        return lost

    def count(self, place: Place, cut: Cut, change: Change | None = None) -> Counted:
        """The counts of a place without the cut's edges."""
        change = change or self.changes.of(cut)
        newest = self._newest(change)
        own = self._own(place.user, change)
        decay = self._decay(own.time, newest)
        user_item: dict[str, float] = {}
        if self.taken is not None:
            mine = own.item == place.item
            user_item["user-item"] = float(mine.sum())
            user_item["user-item recent"] = float(decay[mine].sum())
            user_item["user-item last"] = float(decay[mine].max(initial=0))
        item_item: dict[str, FloatArray] = {}
        best = np.zeros(self.items)
        for name, sets, old, new in self._sets(change):
            both = sets.beside(place.item) + new.beside(place.item) - old.beside(place.item)
            degree = np.maximum(sets.sizes + new.sizes - old.sizes, 1)
            both[place.item] = 0
            near = both / np.sqrt(degree * degree[place.item])
            path = f"item-{name}-item"
            for kind, values in ((path, both), (f"{path} share", both / degree[place.item]), (f"{path} cosine", near)):
                item_item[kind] = values[place.hand] * self._kept(kind, place.hand, place.item)
            best, through = near, f"{path} cosine"  # bundles come last, and are what user-item-item goes through
        if "user-item-item" in self.counts.user_item:
            found = 0.0
            if place.user >= 0 and self.counts.user_item["user-item-item"][place.user, place.item]:
                profile = np.bincount(own.item, decay, self.items)
                rows = np.flatnonzero(profile)
                kept = best[rows] * self._kept(through, rows, place.item)
                found = float(profile[rows] @ kept) / max(float(profile.sum()), 1e-9)
            user_item["user-item-item"] = found
        facts = self._facts(place.item, change, newest)
        item_item |= order(self, place, change) | item_to_item(self, place, cut)
        item_item |= kin(self, place, cut, facts["popularity"])
        user_item |= user_to_item(self, place, cut, change)
        for name, matrix in self.counts.item_item.items():
            item_item.setdefault(name, entries(matrix, place.hand, place.item))
        values, together, of_user = {}, {}, {}
        for relation in self.counts.attributes:
            told = self._attribute(relation, place, cut, change, own, decay)
            values[relation.name], together[relation.name], of_user[relation.name] = told
        history = {"history": float(len(own))} if "history" in self.counts.user else {}
        return Counted(user_item, item_item, facts, history, values, together, of_user)

    def _newest(self, change: Change) -> float:
        """The latest moment of all, NaN where none is known."""
        left = self._at.copy()
        for events, sign in ((change.old, -1), (change.new, 1)):
            times = events.time[~np.isnan(events.time)]
            np.add.at(left, np.searchsorted(self._moments, times), sign)
        there = np.flatnonzero(left > 0)
        return float(self._moments[there[-1]]) if len(there) else float("nan")

    def _decay(self, time: FloatArray, newest: float) -> FloatArray:
        return np.exp2(-np.nan_to_num(newest - time) / self.half_life)

    def _own(self, user: int, change: Change) -> Events:
        if user < 0:
            return self.graph.events.take(np.zeros(0, np.int64))
        events = self.graph.events.take(self._of_user.of(np.array([user])))
        return change.without(events, events.user == user, change.new.user == user)

    def _facts(self, item: int, change: Change, newest: float) -> dict[str, float]:
        events = self.graph.events.take(self._of_item.of(np.array([item])))
        events = change.without(events, events.item == item, change.new.item == item)
        late = np.ones(len(events), bool) if np.isnan(newest) else events.time > newest - self.window
        facts = {"popularity": float(len(events)), "recent popularity": float(late.sum())}
        if "repeats" in self.counts.item:
            facts["repeats"] = len(events) / max(len(np.unique(events.user[events.user >= 0])), 1)
        return facts

    def _sets(self, change: Change) -> Iterator[tuple[str, Sets, Sets, Sets]]:
        if self.taken is not None:
            users = np.unique(np.concatenate([change.old.user, change.new.user]))
            users = users[users >= 0]
            old = self.counts.user_item["user-item"][users]
            yield "user", self.taken, Sets(old), Sets(change.shift(old, users, self.items))
        if self.changes.held is not None:
            old, new = change.bundles(self.items)
            yield "bundle", self.changes.held, Sets(old), Sets(new)

    def _kept(self, kind: str, rows: IntArray, item: int) -> FloatArray:
        return (entries(self.counts.item_item[kind], rows, item) > 0).astype(float)

    def _attribute(
        self, path: AttributePaths, place: Place, cut: Cut, change: Change, own: Events, decay: FloatArray
    ) -> tuple[FloatArray, float, float]:
        before, (key,) = path.items, [key for key in self.graph.edges if key[1] == path.name]
        lost = lost_ends(self, key, cut)
        values = before
        if len(lost):
            values = before.tolil()
            values[lost[:, 0], lost[:, 1]] = 0
            values = values.tocsr()
            values.eliminate_zeros()
        of_item = values.indices[values.indptr[place.item] : values.indptr[place.item + 1]]
        chosen = np.zeros(values.shape[1])
        chosen[of_item] = 1
        shared = np.asarray(values[place.hand] @ chosen, float)
        of_user = float(decay @ (values[own.item] @ chosen)) if len(own) else 0.0
        held = np.unique(values[place.hand].indices)
        together = 0.0
        if self.changes.held is not None and len(held) and len(of_item):
            together = self._together(path, held, of_item, before, values, lost, change)
        return shared, together, of_user

    def _together(
        self, path: AttributePaths, held: IntArray, of_item: IntArray, before: Matrix, values: Matrix, lost: IntArray,
        change: Change,
    ) -> float:  # fmt: skip
        sets = self.changes.held
        assert sets is not None
        if path.name not in self._degrees:
            inside = (sets.rows @ before).sign()
            full = int((np.diff(sets.rows.indptr) > 0).sum())
            self._degrees[path.name] = full, np.maximum(np.asarray(inside.sum(0), float).ravel(), 1)
        groups, degree = self._degrees[path.name]
        lift = np.expm1(path.together[held][:, of_item].toarray().astype(float))
        both = np.round(lift * degree[held][:, None] * degree[of_item] / groups)
        parts = [(*change.bundles(self.items), before, values)]
        if len(lost):  # bundles that hold the item whose value is gone, and are not changed themselves
            rows = np.setdiff1d(np.concatenate([sets.holding(i) for i in np.unique(lost[:, 0])]), change.touched)
            parts.append((sets.rows[rows], sets.rows[rows], before, values))
        degree = degree.copy()
        for old, new, was, is_now in parts:
            for rows, of_values, sign in ((old, was, -1), (new, is_now, 1)):
                inside = (rows @ of_values).sign()
                degree += sign * np.asarray(inside.sum(0), float).ravel()
                both += sign * (inside[:, held].T @ inside[:, of_item]).toarray()
                groups += sign * int((np.diff(rows.indptr) > 0).sum())
        degree = np.maximum(degree, 1)
        lift = np.where(lift > 0, groups * both / (degree[held][:, None] * degree[of_item]), 0)
        return float(np.log1p(lift).sum())


def _both(columns: Matrix, pairs: IntArray) -> FloatArray:
    """(n,) how many groups hold both of two items."""
    return np.asarray(columns[pairs[:, 0]].multiply(columns[pairs[:, 1]]).sum(1), float).ravel()


def lost_ends(recount: Recount, key: tuple[str, str, str], cut: Cut) -> IntArray:
    """(n, 2) the ends that no edge of a type joins any longer."""
    rows = cut.get(key[1])
    if rows is None or not len(rows):
        return np.zeros((0, 2), np.int64)
    edge = recount.graph.edges[key]
    left = np.ones(len(edge), bool)
    left[rows] = False
    size = recount.graph.size(key[2])
    gone = np.unique(edge.source[rows] * size + edge.target[rows])
    gone = gone[~np.isin(gone, (edge.source * size + edge.target)[left])]
    return np.stack(np.divmod(gone, size), 1)


def entries(matrix: Matrix, rows: IntArray, column: int) -> FloatArray:
    """(len(rows),) one column of some rows."""
    return np.asarray(matrix[rows][:, [column]].toarray(), float).ravel()


def ages(events: Events, counts: PathCounts) -> tuple[float, float]:
    """The half-life and the window of recent popularity, read back from what was counted with them.

    Any window that gives the same counts will do; (inf, inf) where the counts do not tell.
    """
    timed = ~np.isnan(events.time)
    if not timed.any():
        return float("inf"), float("inf")
    newest = float(np.nanmax(events.time))
    half_life = float("inf")
    if "user-item" in counts.user_item:
        once = counts.user_item["user-item"].multiply(counts.user_item["user-item"] == 1).tocsr()
        pairs = np.flatnonzero((events.user >= 0) & timed & (events.time < newest))
        pairs = pairs[np.asarray(once[events.user[pairs], events.item[pairs]]).ravel() == 1]
        if len(pairs):
            weight = np.asarray(counts.user_item["user-item recent"][events.user[pairs], events.item[pairs]]).ravel()
            age = newest - events.time[pairs]
            near = np.argmin(np.abs(np.log2(np.maximum(weight, 1e-30)) + 1))  # about one half-life old: most digits
            half_life = float(-age[near] / np.log2(weight[near]))
    late = round(float(counts.item["recent popularity"].sum()))
    times = np.sort(events.time[timed])[::-1]
    window = float("inf")
    if late < len(times):
        window = newest - (times[late - 1] + times[late]) / 2 if late else 0.0
    return half_life, float(window)
