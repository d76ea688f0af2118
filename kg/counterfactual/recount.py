"""Recount: the metapath counts between a query and an item, had some edges never been there."""

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
from kg.events import Events
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

    def local_counts(self, pair: QueryItemPair) -> LocalCounts:
        """What all recounts of one pair share."""
        return LocalCounts(self, pair)

    def count(self, pair: QueryItemPair, cut: Cut) -> Counted:
        """The counts of a pair without the cut's edges."""
        return self.local_counts(pair).count(cut, self.changes.of(cut))


class LocalCounts:
    """One pair, and what its counts are made of.

    Args:
        index: Of the graph.
        pair: Where.
    """

    def __init__(self, index: CountIndex, pair: QueryItemPair) -> None:
        self.index, self.pair = index, pair
        graph, counts, none = index.graph, index.counts, np.zeros(0, np.int64)
        self.own = graph.events.take(
            index.of_users(np.array([pair.user])) if pair.user >= 0 else none
        )
        self.at_item = index.of_item(pair.item)
        self.rows = distinct(self.own.item)
        named = (("user", index.interactions), ("bundle", index.changes.held))
        self._groups = [(name, sets) for name, sets in named if sets is not None]
        self._beside = {
            name: sets.beside(sets.holding(pair.item)) for name, sets in self._groups
        }
        self.stored = {
            name: column(m, pair.context, pair.item)
            for name, m in counts.item_item.items()
        }
        self._near = np.zeros(len(self.rows), bool)
        self._found = False
        if self._groups and "user-item-item" in counts.user_item:
            through = counts.item_item[f"item-{self._groups[-1][0]}-item cosine"]
            self._near = column(through, self.rows, pair.item) > 0
            whole = counts.user_item["user-item-item"]
            self._found = (
                pair.user >= 0
                and column(whole, np.array([pair.user]), pair.item)[0] > 0
            )
        self._factored = False
        if (
            PURESVD in counts.user_item and pair.user >= 0
        ):  # what the user has has no score, but may lose its takings
            stored = column(
                counts.user_item[PURESVD], np.array([pair.user]), pair.item
            )[0]
            self._factored = stored > 0 or pair.item in self.rows
        self._values = [
            Values(index, path, pair, self.own.item) for path in counts.attributes
        ]

    def count(self, cut: Cut, change: Change) -> Counted:
        """Its counts without the cut's edges."""
        index, pair = self.index, self.pair
        newest = index.newest(change)
        own = (
            self.own.take(remaining(self.own, change, index.items))
            if len(self.own)
            else self.own
        )
        if len(self.own) and len(change.come):
            own = Events.join([own, change.come.take(change.come.user == pair.user)])
        decay = np.exp2(
            -np.nan_to_num(newest - own.time) / index.counts.config.half_life
        )
        user_item: dict[str, float] = {}
        if index.interactions is not None:
            mine = own.item == pair.item
            user_item["user-item"] = float(mine.sum())
            user_item["user-item recent"] = float(decay[mine].sum())
            user_item["user-item last"] = float(decay[mine].max(initial=0))
            if PURESVD in index.counts.user_item:
                user_item[PURESVD] = 0.0
                if self._factored and not mine.any():
                    items, times = np.unique(own.item, return_counts=True)
                    near = index.factors[items] @ index.factors[pair.item]
                    user_item[PURESVD] = max(
                        float(np.log1p(times) @ near),
                        0.0,
                    )
        item_item: dict[str, FloatArray] = {}
        near = np.zeros(len(self.rows))
        for name, sets in self._groups:
            lost = change.interacted if name == "user" else change.held
            both, degree = self._beside[name], sets.sizes
            if len(lost):
                both = both - sets.fewer_beside(pair.item, lost)
                degree = degree - np.bincount(lost[:, 1], minlength=index.items)
            mine, path = max(int(degree[pair.item]), 1), f"item-{name}-item"
            hand = both[pair.context].astype(float)
            cosine = hand / np.sqrt(np.maximum(degree[pair.context], 1) * mine)
            for kind, values in (
                (path, hand),
                (f"{path} share", hand / mine),
                (f"{path} cosine", cosine),
            ):
                item_item[kind] = values * (self.stored[kind] > 0)
            near = both[self.rows] / np.sqrt(
                np.maximum(degree[self.rows], 1) * mine
            )  # bundles come last
        if "user-item-item" in index.counts.user_item:
            found = 0.0
            if self._found:
                near = near * self._near * (self.rows != pair.item)
                found = float(decay @ near[np.searchsorted(self.rows, own.item)]) / max(
                    float(decay.sum()), 1e-9
                )
            user_item["user-item-item"] = found
        facts = self._facts(change, newest)
        item_item |= order(index, pair, change) | item_to_item(index, pair, cut)
        item_item |= kin(
            index,
            pair,
            cut,
            facts["popularity"],
            self.stored,
            self._values,
        )
        user_item |= user_to_item(index, pair, cut, change) | of_neighbours(
            index, pair, change
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
        history = {"history": float(len(own))} if "history" in index.counts.user else {}
        return Counted(user_item, item_item, facts, history, values, together, of_user)

    def _facts(self, change: Change, newest: float) -> dict[str, float]:
        late = newest - self.index.counts.config.recent
        popular = recent = 0
        for events, sign in ((self.at_item, 1), (change.gone, -1), (change.come, 1)):
            mine = events.item == self.pair.item
            popular += sign * int(mine.sum())
            recent += sign * int(
                (mine & (np.isnan(newest) | (events.time > late))).sum()
            )
        facts = {"popularity": float(popular), "recent popularity": float(recent)}
        if "repeats" in self.index.counts.item and self.index.interactions is not None:
            fewer = int((change.interacted[:, 1] == self.pair.item).sum())
            facts["repeats"] = popular / max(
                int(self.index.interactions.sizes[self.pair.item]) - fewer,
                1,
            )
        return facts
