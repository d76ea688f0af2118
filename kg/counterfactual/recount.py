"""Recount: what the metapath counts between a query and an item would be, had some edges never been there."""

from __future__ import annotations

import numpy as np

from kg.counterfactual.edits import (
    Change,
    Cut,
    column,
    distinct,
    remaining,
)
from kg.counterfactual.index import Counted, CountIndex, QueryItemPair
from kg.counterfactual.relations import (
    item_to_item,
    kin,
    of_neighbours,
    order,
    user_to_item,
)
from kg.counterfactual.values import Values
from kg.graph import Events
from kg.metapaths.svd import PURESVD
from kg.tables import FloatArray


class Recount(CountIndex):
    """Recounts pairs of one graph: what `count_paths` of the graph without some edges gives.

    Kept as they were counted are the entries that pruning left (no other comes in their
    stead), EASE's weights, the singular vectors, and who is near to a user, but not how near.

    Args:
        graph: The graph that was counted.
        counts: Its counts.
    """

    def ground(self, place: QueryItemPair) -> LocalCounts:
        """What all recounts of one place share."""
        return LocalCounts(self, place)

    def count(self, place: QueryItemPair, cut: Cut) -> Counted:
        """The counts of a place without the cut's edges."""
        return self.ground(place).count(cut, self.changes.of(cut))


class LocalCounts:
    """One place, and what its counts are made of.

    Args:
        recount: Of the graph.
        place: Where.
    """

    def __init__(self, recount: Recount, place: QueryItemPair) -> None:
        self.recount, self.place = recount, place
        graph, counts, none = recount.graph, recount.counts, np.zeros(0, np.int64)
        self.own = graph.events.take(
            recount.of_users(np.array([place.user])) if place.user >= 0 else none
        )
        self.at_item = recount.of_item(place.item)
        self.rows = distinct(self.own.item)
        named = (("user", recount.taken), ("bundle", recount.changes.held))
        self._groups = [(name, sets) for name, sets in named if sets is not None]
        self._beside = {
            name: sets.beside(sets.holding(place.item)) for name, sets in self._groups
        }
        self.stored = {
            name: column(m, place.hand, place.item)
            for name, m in counts.item_item.items()
        }
        self._near = np.zeros(len(self.rows), bool)
        self._found = False
        if self._groups and "user-item-item" in counts.user_item:
            through = counts.item_item[f"item-{self._groups[-1][0]}-item cosine"]
            self._near = column(through, self.rows, place.item) > 0
            whole = counts.user_item["user-item-item"]
            self._found = (
                place.user >= 0
                and column(whole, np.array([place.user]), place.item)[0] > 0
            )
        self._factored = False
        if (
            PURESVD in counts.user_item and place.user >= 0
        ):  # what the user has has no score, but may lose its takings
            stored = column(
                counts.user_item[PURESVD], np.array([place.user]), place.item
            )[0]
            self._factored = stored > 0 or place.item in self.rows
        self._values = [
            Values(recount, path, place, self.own.item) for path in counts.attributes
        ]

    def count(self, cut: Cut, change: Change) -> Counted:
        """Its counts without the cut's edges."""
        recount, place = self.recount, self.place
        newest = recount.newest(change)
        own = (
            self.own.take(remaining(self.own, change, recount.items))
            if len(self.own)
            else self.own
        )
        if len(self.own) and len(change.come):
            own = Events.join([own, change.come.take(change.come.user == place.user)])
        decay = np.exp2(
            -np.nan_to_num(newest - own.time) / recount.counts.config.half_life
        )
        user_item: dict[str, float] = {}
        if recount.taken is not None:
            mine = own.item == place.item
            user_item["user-item"] = float(mine.sum())
            user_item["user-item recent"] = float(decay[mine].sum())
            user_item["user-item last"] = float(decay[mine].max(initial=0))
            if PURESVD in recount.counts.user_item:
                user_item[PURESVD] = 0.0
                if self._factored and not mine.any():
                    items, times = np.unique(own.item, return_counts=True)
                    near = recount.factors[items] @ recount.factors[place.item]
                    user_item[PURESVD] = max(float(np.log1p(times) @ near), 0.0)
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
            for kind, values in (
                (path, hand),
                (f"{path} share", hand / mine),
                (f"{path} cosine", cosine),
            ):
                item_item[kind] = values * (self.stored[kind] > 0)
            near = both[self.rows] / np.sqrt(
                np.maximum(degree[self.rows], 1) * mine
            )  # bundles come last
        if "user-item-item" in recount.counts.user_item:
            found = 0.0
            if self._found:
                near = near * self._near * (self.rows != place.item)
                found = float(decay @ near[np.searchsorted(self.rows, own.item)]) / max(
                    float(decay.sum()), 1e-9
                )
            user_item["user-item-item"] = found
        facts = self._facts(change, newest)
        item_item |= order(recount, place, change) | item_to_item(recount, place, cut)
        item_item |= kin(
            recount, place, cut, facts["popularity"], self.stored, self._values
        )
        user_item |= user_to_item(recount, place, cut, change) | of_neighbours(
            recount, place, change
        )
        item_item = {**self.stored, **item_item}
        values, together, of_user = {}, {}, {}
        for part in self._values:
            told = part.count(cut, change, own.item, decay)
            (
                values[part.path.name],
                together[part.path.name],
                of_user[part.path.name],
            ) = told
        history = (
            {"history": float(len(own))} if "history" in recount.counts.user else {}
        )
        return Counted(user_item, item_item, facts, history, values, together, of_user)

    def _facts(self, change: Change, newest: float) -> dict[str, float]:
        late = newest - self.recount.counts.config.recent
        popular = recent = 0
        for events, sign in ((self.at_item, 1), (change.gone, -1), (change.come, 1)):
            mine = events.item == self.place.item
            popular += sign * int(mine.sum())
            recent += sign * int(
                (mine & (np.isnan(newest) | (events.time > late))).sum()
            )
        facts = {"popularity": float(popular), "recent popularity": float(recent)}
        if "repeats" in self.recount.counts.item and self.recount.taken is not None:
            fewer = int((change.taken[:, 1] == self.place.item).sum())
            facts["repeats"] = popular / max(
                int(self.recount.taken.sizes[self.place.item]) - fewer, 1
            )
        return facts
