"""Recount: what the counted paths between an ask and an item would be, had some edges never been there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from kg.changes import Change, Changes, Cut, Index, Sets, among, column, distinct, entries, remaining
from kg.factors import FACTORED, Factors, item_factors
from kg.graph import Events, Graph
from kg.neighbours import nearest
from kg.paths import AttributePaths, PathCounts
from kg.recount_relations import followed, item_to_item, kin, of_neighbours, order, user_to_item
from kg.recount_values import Values
from kg.sparse import Matrix, unit_rows
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

    Kept as they were counted are the entries that pruning left (no other comes in their stead), EASE's weights, the
    singular vectors, and who is near to a user, but not how near.

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
        self.moments, self.at_moment = np.unique(events.time[~np.isnan(events.time)], return_counts=True)
        self._degrees: dict[str, tuple[int, FloatArray]] = {}
        self._have: dict[str, IntArray] = {}
        self._near: dict[int, IntArray] = {}

    @cached_property
    def taken(self) -> Sets | None:
        """Users and the items that they took."""
        counts = self.counts.user_item.get("user-item")
        return None if counts is None else Sets(counts)

    @cached_property
    def factors(self) -> Factors:
        """(I, rank) the singular vectors, made anew."""
        return item_factors(self.counts.user_item["user-item"], self.counts.config.rank)

    @cached_property
    def unit_ratings(self) -> Matrix:
        """(U, I) as nearness compares them."""
        return unit_rows(self.counts.user_item["user-item"].log1p())

    def near(self, user: int) -> IntArray:
        """A user's row and those of the users near to it."""
        if user not in self._near:
            others = nearest(self.unit_ratings, np.array([user]), self.counts.config.neighbours).indices
            self._near[user] = np.concatenate([[user], others]).astype(np.int64)
        return self._near[user]

    @cached_property
    def followed(self) -> Matrix:
        """(I, I) item-next-item of all events, nothing pruned."""
        return followed(self.graph.events, self.items)

    def degrees(self, path: AttributePaths) -> tuple[int, FloatArray]:
        """How many bundles there are, and (V,) how many hold each value."""
        sets = self.changes.held
        assert sets is not None
        if path.name not in self._degrees:
            inside = (sets.rows @ path.items).sign()
            full = int((np.diff(sets.rows.indptr) > 0).sum())
            self._degrees[path.name] = full, np.asarray(inside.sum(0), float).ravel()
        return self._degrees[path.name]

    def have(self, path: AttributePaths) -> IntArray:
        """(V,) how many items have each value."""
        if path.name not in self._have:
            self._have[path.name] = np.bincount(path.items.indices, minlength=path.items.shape[1])
        return self._have[path.name]

    def of_users(self, users: IntArray) -> IntArray:
        """The events of some users, as their places."""
        return self._of_user.of(users)

    def of_item(self, item: int) -> Events:
        """The events in which an item was taken."""
        return self.graph.events.take(self._of_item.of(np.array([item])))

    def joined(self, pairs: IntArray) -> IntArray:
        """(n,) how many bundles (users, where there are none) hold both of (n, 2) items, as they were counted."""
        sets = self.changes.held if self.changes.held is not None else self.taken
        if sets is None or not len(pairs):
            return np.zeros(len(pairs), np.int64)
        path = f"item-{'user' if sets is self.taken else 'bundle'}-item"
        both = np.asarray(self.counts.item_item[path][pairs[:, 0], pairs[:, 1]])
        return np.round(both).ravel().astype(np.int64)

    def lost_pairs(self, change: Change, pairs: IntArray, both: IntArray) -> npt.NDArray[np.bool_]:
        """(n,) of (n, 2) items that are joined, whether no bundle (or user) joins them any longer."""
        sets, lost = self.changes.held, change.held
        if sets is None:
            sets, lost = self.taken, change.taken
        out = np.zeros(len(pairs), bool)
        if sets is None or not len(lost) or not len(pairs):
            return out
        fewer = np.bincount(lost[:, 1], minlength=self.items)
        # what many hold together is not parted by a few losses
        maybe = np.flatnonzero((both > 0) & (both <= fewer[pairs[:, 0]] + fewer[pairs[:, 1]]))
        keys = np.sort(pairs[maybe], 1) @ np.array([self.items, 1])
        wanted = distinct(keys)
        owner, place = entries(sets.rows, lost[:, 0])
        ends = np.sort(np.stack([lost[owner, 1], sets.rows.indices[place]], 1), 1) @ np.array([self.items, 1])
        ours = among(ends, wanted)
        groups = sets.rows.shape[0]
        parted = distinct(np.searchsorted(wanted, ends[ours]) * groups + lost[owner[ours], 0]) // groups
        out[maybe] = np.bincount(parted, minlength=len(wanted))[np.searchsorted(wanted, keys)] >= both[maybe]
        return out

    def ground(self, place: Place) -> Ground:
        """What all recounts of one place share."""
        return Ground(self, place)

    def count(self, place: Place, cut: Cut) -> Counted:
        """The counts of a place without the cut's edges."""
        return self.ground(place).count(cut, self.changes.of(cut))

    def newest(self, change: Change) -> float:
        """The latest moment of all after a change, NaN where none is known."""
        left = self.at_moment.copy()
        for events, sign in ((change.gone, -1), (change.come, 1)):
            times = events.time[~np.isnan(events.time)]
            np.add.at(left, np.searchsorted(self.moments, times), sign)
        there = np.flatnonzero(left > 0)
        return float(self.moments[there[-1]]) if len(there) else float("nan")


class Ground:
    """One place, and what its counts are made of.

    Args:
        recount: Of the graph.
        place: Where.
    """

    def __init__(self, recount: Recount, place: Place) -> None:
        self.recount, self.place = recount, place
        graph, counts, none = recount.graph, recount.counts, np.zeros(0, np.int64)
        self.own = graph.events.take(recount.of_users(np.array([place.user])) if place.user >= 0 else none)
        self.at_item = recount.of_item(place.item)
        self.rows = distinct(self.own.item)
        named = (("user", recount.taken), ("bundle", recount.changes.held))
        self._groups = [(name, sets) for name, sets in named if sets is not None]
        self._beside = {name: sets.beside(sets.holding(place.item)) for name, sets in self._groups}
        self.stored = {name: column(m, place.hand, place.item) for name, m in counts.item_item.items()}
        self._near = np.zeros(len(self.rows), bool)
        self._found = False
        if self._groups and "user-item-item" in counts.user_item:
            through = counts.item_item[f"item-{self._groups[-1][0]}-item cosine"]
            self._near = column(through, self.rows, place.item) > 0
            whole = counts.user_item["user-item-item"]
            self._found = place.user >= 0 and column(whole, np.array([place.user]), place.item)[0] > 0
        self._factored = False
        if FACTORED in counts.user_item and place.user >= 0:  # what the user has has no score, but may lose its takings
            stored = column(counts.user_item[FACTORED], np.array([place.user]), place.item)[0]
            self._factored = stored > 0 or place.item in self.rows
        self._values = [Values(recount, path, place, self.own.item) for path in counts.attributes]

    def count(self, cut: Cut, change: Change) -> Counted:
        """Its counts without the cut's edges."""
        recount, place = self.recount, self.place
        newest = recount.newest(change)
        own = self.own.take(remaining(self.own, change, recount.items)) if len(self.own) else self.own
        if len(self.own) and len(change.come):
            own = Events.join([own, change.come.take(change.come.user == place.user)])
        decay = np.exp2(-np.nan_to_num(newest - own.time) / recount.counts.config.half_life)
        user_item: dict[str, float] = {}
        if recount.taken is not None:
            mine = own.item == place.item
            user_item["user-item"] = float(mine.sum())
            user_item["user-item recent"] = float(decay[mine].sum())
            user_item["user-item last"] = float(decay[mine].max(initial=0))
            if FACTORED in recount.counts.user_item:
                user_item[FACTORED] = 0.0
                if self._factored and not mine.any():
                    items, times = np.unique(own.item, return_counts=True)
                    near = recount.factors[items] @ recount.factors[place.item]
                    user_item[FACTORED] = max(float(np.log1p(times) @ near), 0.0)
        item_item: dict[str, FloatArray] = {}
        near = np.zeros(len(self.rows))
        for name, sets in self._groups:
            lost = change.taken if name == "user" else change.held
            both, degree = self._beside[name], sets.sizes
            if len(lost):
                both = both - sets.fewer_beside(place.item, lost)
                degree = degree - np.bincount(lost[:, 1], minlength=recount.items)
            mine, path = max(int(degree[place.item]), 1), f"item-{name}-item"
            hand = both[place.hand].astype(float)
            cosine = hand / np.sqrt(np.maximum(degree[place.hand], 1) * mine)
            for kind, values in ((path, hand), (f"{path} share", hand / mine), (f"{path} cosine", cosine)):
                item_item[kind] = values * (self.stored[kind] > 0)
            near = both[self.rows] / np.sqrt(np.maximum(degree[self.rows], 1) * mine)  # bundles come last
        if "user-item-item" in recount.counts.user_item:
            found = 0.0
            if self._found:
                near = near * self._near * (self.rows != place.item)
                found = float(decay @ near[np.searchsorted(self.rows, own.item)]) / max(float(decay.sum()), 1e-9)
            user_item["user-item-item"] = found
        facts = self._facts(change, newest)
        item_item |= order(recount, place, change) | item_to_item(recount, place, cut)
        item_item |= kin(recount, place, cut, facts["popularity"], self.stored, self._values)
        user_item |= user_to_item(recount, place, cut, change) | of_neighbours(recount, place, change)
        item_item = {**self.stored, **item_item}
        values, together, of_user = {}, {}, {}
        for part in self._values:
            told = part.count(cut, change, own.item, decay)
            values[part.path.name], together[part.path.name], of_user[part.path.name] = told
        history = {"history": float(len(own))} if "history" in recount.counts.user else {}
        return Counted(user_item, item_item, facts, history, values, together, of_user)

    def _facts(self, change: Change, newest: float) -> dict[str, float]:
        late = newest - self.recount.counts.config.recent
        popular = recent = 0
        for events, sign in ((self.at_item, 1), (change.gone, -1), (change.come, 1)):
            mine = events.item == self.place.item
            popular += sign * int(mine.sum())
            recent += sign * int((mine & (np.isnan(newest) | (events.time > late))).sum())
        facts = {"popularity": float(popular), "recent popularity": float(recent)}
        if "repeats" in self.recount.counts.item and self.recount.taken is not None:
            fewer = int((change.taken[:, 1] == self.place.item).sum())
            facts["repeats"] = popular / max(int(self.recount.taken.sizes[self.place.item]) - fewer, 1)
        return facts
