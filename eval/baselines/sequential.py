"""Counting baselines that know the order in time: decayed ItemKNN, and transitions.

Popularity breaks ties, and what a baseline knows nothing about comes last, in the order of
popularity.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from eval.baselines.counts import BLOCK, Counts, FloatScores, ItemKNN, strongest
from eval.baselines.histories import Histories
from fusion.query_batch import QueryBatch
from kg.errors import InputError
from kg.graph import Graph
from kg.tables import IntArray

_FAINT = 1e-6  # the least weight that decay leaves: smaller ones are lost in single precision


class _Decayed:
    """Queries to (B, I) csr of decay ** (how far from the end), of context items or history."""

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
    """How often users went from an item to another, summed over the context, the last most.

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
        before, after = (
            ([together * interacted], [interacted]) if together else ([], [])
        )
        for ahead in range(1, window + 1):
            start = np.flatnonzero(owner[:-ahead] == owner[ahead:])
            before.append(interacted[start] * np.float32(1 / ahead))
            after.append(interacted[start + ahead])
        across, onto = sp.vstack(before).T.tocsr(), sp.vstack(after).tocsr()
        itself = sp.diags_array(
            (together * interacted.sum(axis=0)).astype(np.float32)
        ).tocsr()
        parts = [
            slice(start, start + BLOCK) for start in range(0, self.counts.items, BLOCK)
        ]
        self.next = sp.vstack(
            [strongest(across[part] @ onto - itself[part], keep) for part in parts],
            format="csr",
        )

    def score(self, queries: QueryBatch) -> FloatScores:
        """(B, I) scores."""
        return self.counts.then_popular((self.inputs(queries) @ self.next).toarray())
