"""Combination: a rated set of a search in people's terms: ids, titles, prices, slots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fusion.bundles.plan import Combination, Piece
from fusion.bundles.problem import Problem
from fusion.bundles.ratings import Rated
from fusion.ranking.ranker import Ranker
from kg.tables import IntArray


def combination(
    recommender: Ranker,
    problem: Problem,
    rows: IntArray,
    kept: Sequence[int],
    rated: Rated,
) -> Combination:
    """A rated set in the words of people.

    Args:
        recommender: Whose ids and titles.
        problem: Whose slots and prices.
        rows: (P,) of the pool that was searched.
        kept: Places of the pool that were at hand.
        rated: The set.
    """
    scored = zip(
        rated.state.chosen,
        rated.state.slots,
        rated.items.tolist(),
        strict=True,
    )
    pieces = [
        piece(
            recommender,
            problem,
            int(rows[place]),
            slot,
            score,
            place in kept,
        )
        for place, slot, score in scored
    ]
    names = [slot.name for slot in problem.slots]
    pieces.sort(key=lambda p: (names.index(p.slot) if p.slot else -1, not p.kept))
    prices = [p.price for p in pieces if p.price is not None]
    total = float(np.sum(prices)) if len(prices) == len(pieces) else None
    new = [p for p in pieces if not p.kept] or pieces
    weakest = min(new, key=lambda p: p.score).id
    return Combination(
        tuple(pieces),
        rated.score,
        total,
        weakest,
    )


def piece(
    recommender: Ranker,
    problem: Problem,
    row: int,
    slot: int,
    score: float,
    kept: bool = False,
) -> Piece:
    """An item of the catalogue in a slot of the problem, -1 for none."""
    price = None
    if problem.price is not None and not np.isnan(problem.price[row]):
        price = float(problem.price[row])
    name = problem.slots[slot].name if slot >= 0 else ""
    key, title = recommender.items.key(row), recommender.title(row)
    return Piece(
        key,
        title,
        score,
        price,
        name,
        kept,
    )
