"""The look-ups that recounting shares: who took what, who is near to whom, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from kg.counterfactual.edits import (
    Change,
    Changes,
    Index,
    Sets,
    among,
    distinct,
    entries,
)
from kg.events import Events
from kg.graph import Graph
from kg.metapaths.attributes import AttributePaths
from kg.metapaths.count import PathCounts
from kg.metapaths.knn import nearest
from kg.metapaths.relations import transitions
from kg.metapaths.sparse import Matrix, matrix_of, unit_rows
from kg.metapaths.svd import Factors, item_factors
from kg.ragged import pair_key, split_pairs
from kg.tables import FloatArray, IntArray


@dataclass(frozen=True)
class QueryItemPair:
    """A query and an item in rows.

    Attributes:
        user: -1 where nobody is known.
        context: (H,) the context items.
        item: The item that is asked about.
    """

    user: int
    context: IntArray
    item: int


@dataclass(frozen=True)
class Counted:
    """The counts of one (query, item) pair, named as those of PathCounts.

    Attributes:
        user_item: From the user to the item.
        item_item: (H,) from each context item to the item.
        item: Of the item alone.
        user: Of the user alone.
        values: By relation, (H,) how many values each context item shares with the item.
        together: By relation, how much likelier the context items' values and the item's are in one
            bundle than by chance.
        of_user: By relation, how often the user took the item's values.
    """

    user_item: dict[str, float]
    item_item: dict[str, FloatArray]
    item: dict[str, float]
    user: dict[str, float]
    values: dict[str, FloatArray]
    together: dict[str, float]
    of_user: dict[str, float]


class CountIndex:
    """Look-ups over one counted graph that every recount shares, each made on first use.

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
        self.moments, self.at_moment = np.unique(
            events.time[~np.isnan(events.time)], return_counts=True
        )
        self._degrees: dict[str, tuple[int, FloatArray]] = {}
        self._have: dict[str, IntArray] = {}
        self._near: dict[int, IntArray] = {}

    @cached_property
    def interactions(self) -> Sets | None:
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
            others = nearest(
                self.unit_ratings, np.array([user]), self.counts.config.neighbours
            ).indices
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
            self._have[path.name] = np.bincount(
                path.items.indices, minlength=path.items.shape[1]
            )
        return self._have[path.name]

    def of_users(self, users: IntArray) -> IntArray:
        """The events of some users, as their places."""
        return self._of_user.of(users)

    def of_item(self, item: int) -> Events:
        """The events in which an item was taken."""
        return self.graph.events.take(self._of_item.of(np.array([item])))

    def joined(self, pairs: IntArray) -> IntArray:
        """(n,) how many bundles, or users without any, hold both of (n, 2) items, as counted."""
        sets = self.changes.held if self.changes.held is not None else self.interactions
        if sets is None or not len(pairs):
            return np.zeros(len(pairs), np.int64)
        path = f"item-{'user' if sets is self.interactions else 'bundle'}-item"
        both = np.asarray(self.counts.item_item[path][pairs[:, 0], pairs[:, 1]])
        return np.round(both).ravel().astype(np.int64)

    def lost_pairs(
        self,
        change: Change,
        pairs: IntArray,
        both: IntArray,
    ) -> npt.NDArray[np.bool_]:
        """(n,) whether no bundle (or user) joins (n, 2) items that it joined any longer."""
        sets, lost = self.changes.held, change.held
        if sets is None:
            sets, lost = self.interactions, change.interacted
        out = np.zeros(len(pairs), bool)
        if sets is None or not len(lost) or not len(pairs):
            return out
        fewer = np.bincount(lost[:, 1], minlength=self.items)
        # what many hold together is not parted by a few losses
        maybe = np.flatnonzero(
            (both > 0) & (both <= fewer[pairs[:, 0]] + fewer[pairs[:, 1]])
        )
        low, high = np.sort(pairs[maybe], 1).T
        keys = pair_key(low, high, self.items)
        wanted = distinct(keys)
        owner, position = entries(sets.rows, lost[:, 0])
        here, there = lost[owner, 1], sets.rows.indices[position]
        low, high = np.minimum(here, there), np.maximum(here, there)
        ends = pair_key(low, high, self.items)
        ours = among(ends, wanted)
        groups = sets.rows.shape[0]
        joined = np.searchsorted(wanted, ends[ours])
        parting = distinct(
            pair_key(
                joined,
                lost[owner[ours], 0],
                groups,
            )
        )
        parted, _ = split_pairs(parting, groups)
        out[maybe] = (
            np.bincount(parted, minlength=len(wanted))[np.searchsorted(wanted, keys)]
            >= both[maybe]
        )
        return out

    def newest(self, change: Change) -> float:
        """The latest moment of all after a change, NaN where none is known."""
        left = self.at_moment.copy()
        for events, sign in ((change.gone, -1), (change.come, 1)):
            times = events.time[~np.isnan(events.time)]
            np.add.at(left, np.searchsorted(self.moments, times), sign)
        there = np.flatnonzero(left > 0)
        return float(self.moments[there[-1]]) if len(there) else float("nan")


def followed(events: Events, items: int) -> Matrix:
    """(I, I) item-next-item of some events, nothing pruned."""
    none = np.zeros(0, np.int64)
    found = transitions(events, items, items).get("item-next-item")
    return (
        matrix_of(np.zeros(0), (none, none), (items, items)) if found is None else found
    )
