"""Complements: what goes with an item, not what could stand in for it, learned from baskets."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression

from fusion.ranking.ranker import Ranker
from kg.errors import DataError
from kg.tables import FloatArray, IntArray

PAIRS = 20_000  # of each sort, at most


class Complements:
    """log P(two items are complements), from how alike their texts, graph vectors and kinds are.

    A logistic regression. Its complements are items of different kinds that were taken in one
    bundle (or, where there are none, by one user); its substitutes are items that were viewed
    together, where the graph has a relation between items whose name speaks of views, else
    items of one kind. As in McAuley et al. 2015, "Inferring networks of substitutable and
    complementary products", without topics.

    Args:
        recommender: Whose vectors, counts and training events.

    Raises:
        DataError: There are no kinds of items, or no two items of different kinds were taken
            together.
    """

    def __init__(self, recommender: Ranker) -> None:
        facts, graph = recommender.facts, recommender.snapshot.graph
        if not facts.kind:
            raise DataError(
                "complements: the graph has no category, product_type, kind or type of items",
                field="complements",
            )
        embeddings = recommender.embeddings.items
        self._spaces = [
            part.cpu().numpy() for part in (embeddings.text, embeddings.graph)
        ]
        values, size = facts.values(facts.kind), len(recommender.items)
        self._kinds = values.codes()
        count = len(values.names)
        rng = np.random.default_rng(0)
        events = graph.events
        owner = np.where(events.bundle >= 0, events.bundle, -1)
        if (owner < 0).all():
            owner = events.user
        taken = sp.csr_matrix(
            (
                np.ones((owner >= 0).sum(), np.float32),
                (owner[owner >= 0], events.item[owner >= 0]),
            ),
            (int(owner.max(initial=0)) + 1, size),
        ).sign()
        has = np.flatnonzero(self._kinds >= 0)
        of_kind = sp.csr_matrix(
            (np.ones(len(has), np.float32), (has, self._kinds[has])), (size, count)
        )
        held = taken @ of_kind
        baskets = held.sign()
        together, alone = (
            (baskets.T @ baskets).toarray(),
            np.asarray(baskets.sum(0)).ravel(),
        )
        np.fill_diagonal(
            together, np.asarray((held > 1).sum(0)).ravel()
        )  # a kind with itself: two items of it
        # How much likelier two kinds are in one basket than chance has it; one count of chance
        # smooths it.
        chance = np.outer(alone, alone) / max(taken.shape[0], 1)
        self._lift = np.log((together + 1) / (chance + 1)).astype(np.float32)
        positive = _drawn(rng, *_pairs(taken, rng))
        positive = positive[
            :,
            (self._kinds[positive[0]] != self._kinds[positive[1]])
            & (self._kinds[positive] >= 0).all(0),
        ]
        negative = self._substitutes(recommender, rng)
        if not positive.shape[1] or not negative.shape[1]:
            raise DataError(
                "complements: no two items of different kinds were taken together, "
                "or none of one kind are there",
                field="complements",
            )
        features = np.concatenate(
            [self._features(*positive), self._features(*negative)]
        )
        told = np.repeat([1, 0], [positive.shape[1], negative.shape[1]])
        self._model = LogisticRegression(class_weight="balanced").fit(features, told)

    def _substitutes(
        self,
        recommender: Ranker,
        rng: np.random.Generator,
    ) -> IntArray:
        graph = recommender.snapshot.graph
        for (source, name, target), edge in graph.edges.items():
            if source == target == graph.item and "view" in name:
                return _drawn(rng, edge.source, edge.target)
        # Drawn by how often items are taken, as the complements are.
        seen = graph.events.item[self._kinds[graph.events.item] >= 0]
        first = rng.permutation(seen)[:PAIRS]
        order = seen[np.argsort(self._kinds[seen], kind="stable")]
        kind = self._kinds[order]
        low, high = (
            np.searchsorted(kind, self._kinds[first]),
            np.searchsorted(kind, self._kinds[first], "right"),
        )
        second = order[low + (rng.random(len(first)) * (high - low)).astype(np.int64)]
        return np.stack([first, second])[:, first != second]

    def _features(
        self,
        one: IntArray,
        other: IntArray,
    ) -> FloatArray:
        """(N, 3) of N pairs."""
        lift = self._lift[self._kinds[one], self._kinds[other]] * (
            (self._kinds[one] >= 0) & (self._kinds[other] >= 0)
        )
        return np.stack(
            [*((space[one] * space[other]).sum(1) for space in self._spaces), lift], 1
        )

    def log(
        self,
        ones: IntArray,
        others: IntArray,
    ) -> FloatArray:
        """(N, M) log P(complements), at most 0, of N items with M others."""
        cosines = [space[ones] @ space[others].T for space in self._spaces]
        known = (self._kinds[ones] >= 0)[:, None] & (self._kinds[others] >= 0)
        lift = np.where(known, self._lift[self._kinds[ones]][:, self._kinds[others]], 0)
        weights, bias = self._model.coef_[0], self._model.intercept_[0]
        logit = bias + sum(
            weight * part
            for weight, part in zip(weights, (*cosines, lift), strict=True)
        )
        out: FloatArray = -np.logaddexp(0, -logit)
        return out


def _pairs(taken: sp.csr_matrix, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Two items of each of many baskets of two or more."""
    size = np.diff(taken.indptr)
    rows = np.repeat(np.flatnonzero(size > 1), 3)
    start, count = taken.indptr[rows], size[rows]
    first = (rng.random(len(rows)) * count).astype(np.int64)
    second = (
        first + 1 + (rng.random(len(rows)) * (count - 1)).astype(np.int64)
    ) % count
    return taken.indices[start + first].astype(np.int64), taken.indices[
        start + second
    ].astype(np.int64)


def _drawn(
    rng: np.random.Generator,
    one: IntArray,
    other: IntArray,
) -> IntArray:
    chosen = rng.permutation(len(one))[:PAIRS]
    return np.stack([one[chosen], other[chosen]])
