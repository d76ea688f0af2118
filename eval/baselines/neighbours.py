"""Stronger counting baselines: neighbours among users, and order in time.

Popularity breaks ties, and what a baseline knows nothing about comes last, in the order of
popularity.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eval.baselines.counts import Counts, FloatScores, ItemKNN, strongest
from fusion.query_batch import QueryBatch
from kg.errors import InputError
from kg.graph import Graph
from kg.tables import FloatArray, IntArray

_BLOCK = 1024  # rows of a sparse product made together
_FAINT = 1e-6  # the least weight that decay leaves: smaller ones are lost in single precision


def unknown_last(
    scores: FloatScores, known: npt.NDArray[np.bool_], popularity: FloatScores
) -> FloatScores:
    """Scores (B, I) of either sign, changed in place: what is not known, (B, I) bool, below the rest, by popularity."""
    least = np.where(known, scores, np.inf).min(axis=1, initial=np.inf, keepdims=True)
    floor = np.where(np.isfinite(least), least, 0) - 2
    np.copyto(
        scores,
        (floor + popularity / max(popularity.max(initial=0), 1)).astype(np.float32),
        where=~known,
    )
    return scores


class Histories:
    """The events of the known users in the order of time.

    Events of one time are one moment, without order among themselves; those without a time are
    the oldest moment.

    Attributes:
        user: (H,) ascending.
        item: (H,) of each user the oldest first.
        moment: (H,) numbered through all users.
        age: (H,) how many later moments the user has.
        offsets: (U + 2,) user u's events are offsets[u]:offsets[u + 1]; the last user, nobody,
            has none.
    """

    def __init__(self, graph: Graph) -> None:
        events = graph.events.take(graph.events.user >= 0)
        time = np.nan_to_num(events.time, nan=-np.inf)
        order = np.lexsort((time, events.user))
        self.user, self.item, time = events.user[order], events.item[order], time[order]
        new = np.ones(len(order), bool)
        new[1:] = (np.diff(self.user) != 0) | (time[1:] != time[:-1])
        self.moment: IntArray = np.cumsum(new) - 1
        users = (graph.size(graph.user) if graph.user else 0) + 1
        self.offsets: IntArray = np.searchsorted(self.user, np.arange(users + 1))
        self.age: IntArray = self.moment[self.offsets[self.user + 1] - 1] - self.moment


class _Decayed:
    """Asks to (B, I) csr of decay ** (how far from the end): the context items, the user's history where none are."""

    def __init__(
        self, name: str, counts: Counts, histories: Histories, decay: float
    ) -> None:
        if not 0 < decay <= 1:
            raise InputError(
                f"{name}: decay must be above 0 and at most 1, not {decay}"
            )
        self.decay, self.shape = decay, counts.history.shape
        self.history = self._latest(
            histories.user, histories.item, histories.age, self.shape[0]
        )

    def __call__(self, queries: QueryBatch) -> Any:
        items = queries.context
        age = items.offsets[items.owners + 1] - 1 - np.arange(len(items.rows))
        given = self._latest(items.owners, items.rows, age, len(queries))
        return (
            given
            + sp.diags_array((items.lengths == 0).astype(np.float32))
            @ self.history[queries.users]
        )

    def _latest(
        self, rows: IntArray, items: IntArray, age: IntArray, height: int
    ) -> Any:
        """An item that came several times counts from its last, which stands last in each row."""
        _, back = np.unique((rows * self.shape[1] + items)[::-1], return_index=True)
        last = len(rows) - 1 - back
        weight = np.maximum(self.decay ** age[last].astype(float), _FAINT).astype(
            np.float32
        )
        return sp.csr_array(
            (weight, (rows[last], items[last])), shape=(height, self.shape[1])
        )


class DecayedItemKNN(ItemKNN):
    """ItemKNN in which the item i places before the last weighs decay ** i.

    The places are those of the query's items or, where it has none, the moments of the user's
    history.

    Args:
        graph: The training graph.
        decay: Above 0, at most 1, where all weigh the same.
        neighbours: Only so many items nearest to each are kept; all where 0.

    Raises:
        ValueError: decay is out of range.
    """

    name = "ItemKNN, decay"

    def __init__(self, graph: Graph, decay: float = 0.7, neighbours: int = 0) -> None:
        super().__init__(graph, neighbours)
        self.inputs = _Decayed(self.name, self.counts, Histories(graph), decay)

    def score(self, queries: QueryBatch) -> FloatScores:
        """(B, I) scores."""
        return self.counts.then_popular((self.inputs(queries) @ self.similar).toarray())


class Transitions:
    """How often users went from an item to another, summed over what is at hand, the last weighing most.

    From every item of a moment to every item of the user's next three moments, 1 / distance
    each. A first-order Markov chain, as in Rendle et al., Factorizing personalized Markov
    chains, 2010, not factorised.

    Args:
        graph: The training graph.
        decay: The item i places before the last weighs decay ** i (see DecayedItemKNN).
        window: How many moments ahead count.
        together: What two items of one moment count for each other, which have no order: 0,
            only steps in time count.
        keep: Only so many of each item's strongest are kept.

    Raises:
        ValueError: decay is out of range, or no event of a user has a time.
    """

    name = "transitions"

    def __init__(
        self,
        graph: Graph,
        decay: float = 0.7,
        window: int = 3,
        together: float = 0.0,
        keep: int = 1000,
    ) -> None:
        self.counts, histories = Counts(graph), Histories(graph)
        self.inputs = _Decayed(self.name, self.counts, histories, decay)
        if np.isnan(graph.events.time[graph.events.user >= 0]).all():
            raise InputError(f"{self.name}: no event of a user has a time")
        first = np.unique(histories.moment, return_index=True)[1]
        owner, shape = histories.user[first], (len(first), self.counts.items)
        interacted = sp.csr_array(
            (
                np.ones(len(histories.item), np.float32),
                (histories.moment, histories.item),
            ),
            shape,
        )
        interacted = interacted.sign()
        before, after = ([together * interacted], [interacted]) if together else ([], [])
        for ahead in range(1, window + 1):
            start = np.flatnonzero(owner[:-ahead] == owner[ahead:])
            before.append(interacted[start] * np.float32(1 / ahead))
            after.append(interacted[start + ahead])
        across, onto = sp.vstack(before).T.tocsr(), sp.vstack(after).tocsr()
        itself = sp.diags_array(
            (together * interacted.sum(axis=0)).astype(np.float32)
        ).tocsr()
        parts = [
            slice(start, start + _BLOCK)
            for start in range(0, self.counts.items, _BLOCK)
        ]
        self.next = sp.vstack(
            [strongest(across[part] @ onto - itself[part], keep) for part in parts],
            format="csr",
        )

    def score(self, queries: QueryBatch) -> FloatScores:
        """(B, I) scores."""
        return self.counts.then_popular((self.inputs(queries) @ self.next).toarray())


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
        """(B, D) what stands for queries with known context items, (B, I) csr of 0 and 1, and users (B,)."""

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
    """User-based collaborative filtering: `mean_u + sum_v sim(u, v) (r_vi - mean_v) / sum_v |sim(u, v)|`.

    Resnick et al., GroupLens, 1994. r_ui = log(1 + how often u interacted with i), sim the cosine of
    these ratings, v the nearest
    neighbours of u. Counts are not opinions: an item without interaction is a count of 0, so
    mean_v is over the whole catalogue and every neighbour counts below the line; but only
    interacted items are centred, for the others say nothing. (Over the interacted items alone, whoever
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
            slice(start, start + _BLOCK) for start in range(0, len(queries), _BLOCK)
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
