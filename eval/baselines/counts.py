"""What counting alone achieves: popularity, own frequency, ItemKNN and EASE.

What a baseline knows nothing about comes last, in the order of popularity; so does everything
where a query has no user, items or words that the training graph knows.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from fusion.query_batch import QueryBatch
from kg.errors import InputError
from kg.graph import Graph
from kg.metapaths.ease import ease_weights
from kg.tables import FloatArray, IntArray

FloatScores = npt.NDArray[np.float32]
_log = logging.getLogger(__name__)
BLOCK = 1024  # rows of a sparse product made together


class Counts:
    """Sparse counts of a training graph.

    Attributes:
        items: How many items there are (I).
        popularity: (I,) how many events each item has.
        history: (U + 1, I) csr of 0 and 1, which items a user took; the last row is empty, so
            that the row of nobody, -1, is too.
        baskets: (bundles or users, I) csr of 0 and 1: bundles where the graph has any with
            items, else users.
    """

    def __init__(self, graph: Graph) -> None:
        events = graph.events
        self.graph, self.items = graph, graph.size(graph.item)
        self.popularity: FloatScores = np.bincount(
            events.item, minlength=self.items
        ).astype(np.float32)
        self.history = _binary(self.by_user(np.ones(len(events))))
        bundled = events.bundle >= 0
        shape = (int(events.bundle.max(initial=-1)) + 1, self.items)
        pair = (events.bundle[bundled], events.item[bundled])
        whole = sp.csr_array((np.ones(bundled.sum(), np.float32), pair), shape=shape)
        self.baskets = _binary(whole) if bundled.any() else self.history

    def by_user(self, weight: FloatArray) -> Any:
        """(U + 1, I) csr of each user's summed event weights (E,); the last row is empty."""
        events, user = self.graph.events, self.graph.user
        users = self.graph.size(user) if user else 0
        known = events.user >= 0
        pair = (events.user[known], events.item[known])
        return sp.csr_array(
            (weight[known].astype(np.float32), pair), shape=(users + 1, self.items)
        )

    def at_hand(self, queries: QueryBatch) -> Any:
        """(B, I) csr of 0 and 1: the items of each query, in arrays of its own."""
        parts = (
            np.ones(len(queries.context.rows), np.float32),
            queries.context.rows,
            queries.context.offsets,
        )
        return _binary(sp.csr_array(parts, shape=(len(queries), self.items), copy=True))

    def or_history(
        self, given: Any, queries: QueryBatch, blank: npt.NDArray[np.bool_]
    ) -> Any:
        """The given (B, I) csr with the user's history in the blank (B,) rows."""
        return (
            given
            + sp.diags_array(blank.astype(np.float32)) @ self.history[queries.users]
        )

    def inputs(self, queries: QueryBatch) -> Any:
        """(B, I) csr of 0 and 1: the items of each query, the user's history where it has none."""
        return self.or_history(
            self.at_hand(queries), queries, queries.context.lengths == 0
        )

    def then_popular(self, scores: FloatScores) -> FloatScores:
        """Non-negative scores (B, I), changed in place: ties in the order of popularity.

        A thousandth of the row's least positive score is shared out, so only what all but ties
        changes places.
        """
        least = np.where(scores > 0, scores, np.inf).min(axis=1, initial=np.inf)
        step = np.where(np.isfinite(least), least, 1).astype(np.float32) / 1000
        scores += step[:, None] * (
            self.popularity / max(self.popularity.max(initial=0), 1)
        )
        return scores


class Popularity:
    """The number of events of each item, whatever the query."""

    name = "popularity"

    def __init__(self, graph: Graph) -> None:
        self.popularity = Counts(graph).popularity

    def score(self, queries: QueryBatch) -> FloatScores:
        """(B, I) scores."""
        return np.tile(self.popularity, (len(queries), 1))


class UserFrequency:
    """How often the user took each item, ties by popularity.

    Args:
        graph: The training graph.
        decay: An event counts exp(-(last event's time - its time) / decay), decay in the unit
            of the events' times (days for timestamps); 1 where None. Events without a time
            count as the oldest.

    Raises:
        ValueError: decay is not positive, or no event has a time to decay by.
    """

    def __init__(self, graph: Graph, decay: float | None = None) -> None:
        self.name = "user frequency" if decay is None else "user frequency, recent"
        self.counts = Counts(graph)
        weight, time = np.ones(len(graph.events)), graph.events.time
        if decay is not None:
            if not decay > 0:
                raise InputError(f"{self.name}: decay must be positive, not {decay}")
            if np.isnan(time).all():
                raise InputError(f"{self.name}: no event of the graph has a time")
            weight = np.exp(
                -(np.nanmax(time) - np.where(np.isnan(time), np.nanmin(time), time))
                / decay
            )
        self.frequency = self.counts.by_user(weight)

    def score(self, queries: QueryBatch) -> FloatScores:
        """(B, I) scores."""
        return self.counts.then_popular(self.frequency[queries.users].toarray())


class ItemKNN:
    """The cosine of the items' baskets or users, summed over the query's items or the history.

    Sarwar et al., Item-based collaborative filtering recommendation algorithms, 2001.

    Args:
        graph: The training graph.
        neighbours: Only so many items nearest to each are kept; all where 0.
        history: By the users who took them; else by the baskets that hold them.
    """

    name = "ItemKNN"

    def __init__(
        self, graph: Graph, neighbours: int = 0, history: bool = False
    ) -> None:
        self.counts = Counts(graph)
        baskets = self.counts.history if history else self.counts.baskets
        length = 1 / np.sqrt(np.maximum(np.asarray(baskets.sum(axis=0)).ravel(), 1))
        unit = (baskets @ sp.diags_array(length.astype(np.float32))).tocsc()
        across = unit.T.tocsr()
        blocks = [
            _neighbours(across[start : start + BLOCK] @ unit, start, neighbours)
            for start in range(0, self.counts.items, BLOCK)
        ]
        self.similar = sp.vstack(blocks, format="csr")

    def score(self, queries: QueryBatch) -> FloatScores:
        """(B, I) scores."""
        return self.counts.then_popular(
            (self.counts.inputs(queries) @ self.similar).toarray()
        )


class EASE:
    """The linear model of baskets from themselves, without the diagonal, in closed form.

    Steck, Embarrassingly shallow autoencoders for sparse data, 2019: `B = I - P diag(P)^-1`,
    `P = (X'X + penalty)^-1`.
    Memory: n x n float32 once, n the items solved for: 1.3 GB and one to two minutes on two
    cores for 17,790.
    Cold items need no solving: their weights are zero.

    Args:
        graph: The training graph.
        penalty: L2 strength, to be chosen on validation.
        history: Learn from users' histories and ask with the user's history and the query's
            items together; else from baskets, and ask with the items alone, the history only
            where there are none.
        most: Only so many of the most popular items are solved for; the rest score 0.

    Raises:
        ValueError: penalty is not positive.
    """

    def __init__(
        self,
        graph: Graph,
        penalty: float = 500.0,
        history: bool = False,
        most: int = 20_000,
    ) -> None:
        self.name = "EASE, history" if history else "EASE"
        self.counts, self.history = Counts(graph), history
        if not penalty > 0:
            raise InputError(f"{self.name}: penalty must be positive, not {penalty}")
        popularity = self.counts.popularity
        self.solved: IntArray = np.sort(
            np.argsort(-popularity, kind="stable")[
                : min(most, np.count_nonzero(popularity))
            ]
        )
        if len(self.solved) < np.count_nonzero(popularity):
            _log.warning(
                "EASE: solved for the %d most popular of %d items",
                most,
                np.count_nonzero(popularity),
            )
        baskets = (self.counts.history if history else self.counts.baskets)[
            :, self.solved
        ]
        self.weights = ease_weights(baskets, penalty)

    def score(self, queries: QueryBatch) -> FloatScores:
        """(B, I) scores."""
        if self.history:
            given = _binary(
                self.counts.at_hand(queries) + self.counts.history[queries.users]
            )
        else:
            given = self.counts.inputs(queries)
        scores = np.zeros((len(queries), self.counts.items), np.float32)
        known = given[:, self.solved]
        scores[:, self.solved] = known @ self.weights
        scores[np.diff(known.indptr) == 0] = self.counts.popularity
        return scores


def _binary(matrix: Any) -> Any:
    matrix = matrix.tocsr()
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def _neighbours(block: Any, start: int, most: int) -> Any:
    """Rows start, ... of an item-item matrix, without the diagonal, the strongest `most` kept."""
    block = block.tocsr()
    rows = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
    block.data[block.indices == rows + start] = 0
    return strongest(block, most or block.shape[1])


def strongest(matrix: Any, most: int) -> Any:
    """The `most` largest positive entries of each row of a csr."""
    matrix = matrix.tocsr()
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort(
        (-matrix.data, rows)
    )  # rows stay together, so a place in a row counts from its start
    matrix.data[order[np.arange(len(order)) - matrix.indptr[rows] >= most]] = 0
    matrix.eliminate_zeros()
    return matrix
