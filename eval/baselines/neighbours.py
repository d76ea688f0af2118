"""Neighbours among users, and the base of what scores by a product of vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from eval.baselines.counts import BLOCK, Counts, FloatScores, strongest
from eval.baselines.histories import unknown_last
from fusion.query_batch import QueryBatch
from kg.errors import InputError
from kg.graph import Graph
from kg.tables import FloatArray, IntArray


class Factored(ABC):
    """Base of what scores by a product of a vector at hand with every item's vector.

    Attributes:
        counts: Of the training graph.
        users: (U + 1, D) one vector a user, of whom a history is known; the last row is nobody's.
        vectors: (I, D) one vector an item, of which a taking is known.
    """

    counts: Counts
    users: FloatScores
    vectors: FloatScores

    @abstractmethod
    def fold(self, given: Any, users: IntArray) -> FloatScores:
        """(B, D) vectors of queries with context items, (B, I) csr of 0 and 1, and users (B,)."""

    def score(self, queries: QueryBatch) -> FloatScores:
        """(B, I) scores."""
        popularity = self.counts.popularity
        given = self.counts.at_hand(queries)
        given.data[popularity[given.indices] == 0] = 0
        given.eliminate_zeros()
        folded = np.diff(given.indptr) > 0
        known = folded | (
            (queries.context.lengths == 0)
            & (np.diff(self.counts.history.indptr)[queries.users] > 0)
        )
        at_hand = self.users[queries.users]
        if folded.any():
            at_hand[folded] = self.fold(given[folded], queries.users[folded])
        scores = np.asarray(at_hand @ self.vectors.T, np.float32)
        return unknown_last(scores, known[:, None] & (popularity > 0), popularity)


class UserKNN:
    """User-kNN: `mean_u + sum_v sim(u, v) (r_vi - mean_v) / sum_v |sim(u, v)|`.

    Resnick et al., GroupLens, 1994. r_ui = log(1 + how often u interacted with i), sim the
    cosine of
    these ratings, v the nearest
    neighbours of u. Counts are not opinions: an item without interaction is a count of 0, so
    mean_v is over the whole catalogue and every neighbour counts below the line; but only
    interacted items are centred, for the others say nothing. (Over the interacted items alone,
    whoever
    took everything once has no rating that differs from the mean.)

    The profile is the user's history with one more interaction of each context item; without either
    there is none.

    Args:
        graph: The training graph.
        neighbours: How many users count.
        shrink: Added to the product of lengths below the cosine, so that a short history is
            not near to everybody.
        mean: Over the whole catalogue, or over the interacted items alone as with ratings of 1 to 5
            stars.

    Raises:
        ValueError: There are no users, neighbours is below 1, or shrink below 0.
    """

    name = "UserKNN"

    def __init__(
        self,
        graph: Graph,
        neighbours: int = 200,
        shrink: float = 0.0,
        mean: Literal["catalogue", "interacted"] = "catalogue",
    ) -> None:
        if graph.user is None or neighbours < 1 or shrink < 0:
            raise InputError(
                f"{self.name}: {neighbours} neighbours, shrink {shrink}, users: {graph.user}"
            )
        self.counts, self.neighbours, self.shrink, self.mean = (
            Counts(graph),
            neighbours,
            shrink,
            mean,
        )
        self.interacted = self.counts.by_user(np.ones(len(graph.events)))
        ratings = self.interacted.log1p()
        self.across, self.length = ratings.T.tocsr(), _length(ratings)
        self.centred = ratings.copy()
        self.centred.data -= np.repeat(
            self._mean(ratings), np.diff(ratings.indptr)
        ).astype(np.float32)

    def score(self, queries: QueryBatch) -> FloatScores:
        """(B, I) scores."""
        ratings = (
            self.interacted[queries.users] + self.counts.at_hand(queries)
        ).log1p()
        blocks = [
            slice(start, start + BLOCK) for start in range(0, len(queries), BLOCK)
        ]
        near = sp.vstack(
            [self._near(ratings[block], queries.users[block]) for block in blocks],
            format="csr",
        )
        below = np.maximum(near.sum(axis=1), np.finfo(np.float32).tiny)[:, None]
        scores = (near @ self.centred).toarray() / below + self._mean(ratings)[:, None]
        popularity = self.counts.popularity
        scores += 1e-6 * popularity / max(popularity.max(initial=0), 1)
        return unknown_last(
            scores.astype(np.float32),
            (near @ self.counts.history).toarray() > 0,
            popularity,
        )

    def _near(self, ratings: Any, users: IntArray) -> Any:
        """(B, U + 1) csr of the nearest users' similarities, nobody's own among them."""
        found = (ratings @ self.across).tocsr()
        rows = np.repeat(np.arange(len(users)), np.diff(found.indptr))
        found.data /= _length(ratings)[rows] * self.length[found.indices] + self.shrink
        found.data[found.indices == users[rows]] = 0
        return strongest(found, self.neighbours)

    def _mean(self, ratings: Any) -> FloatArray:
        count = (
            self.counts.items
            if self.mean == "catalogue"
            else np.maximum(np.diff(ratings.indptr), 1)
        )
        return np.asarray(ratings.sum(axis=1) / count, float)


def _length(matrix: Any) -> FloatArray:
    return np.asarray(
        np.sqrt(np.maximum(matrix.power(2).sum(axis=1), np.finfo(np.float32).tiny)),
        float,
    )
