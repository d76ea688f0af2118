"""Compatibility: how well items go together, and the best exchange of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fusion.bundles.beam import BeamSearch
from fusion.bundles.combination import combination, piece
from fusion.bundles.plan import MOST, Combination, Piece, Plan
from fusion.bundles.problem import ResolvedSlot
from fusion.bundles.ratings import State
from fusion.bundles.resolve import known, resolve
from fusion.bundles.set_scorer import SetScorer
from fusion.query import Query, ids_of
from fusion.ranking.ranker import Ranker
from kg.errors import InputError
from kg.tables import FloatArray, IntArray

SWAPS = 24  # candidates to stand in for an item
TRIED = 3  # of them, those whose whole combination is scored


@dataclass(frozen=True)
class Swap:
    """An exchange of one item that makes the whole better.

    Attributes:
        out: The id of the item that goes.
        item: What comes in its place, with its score given the rest.
        score: Of the whole after it.
        gain: How much better that is.
    """

    out: str
    item: Piece
    score: float
    gain: float


@dataclass(frozen=True)
class Compatibility:
    """How well the items of a combination go together.

    Attributes:
        combination: With the score of each item given the rest, and the weakest named.
        swap: The best single exchange, None where none helps.
    """

    combination: Combination
    swap: Swap | None


def compatibility(
    recommender: Ranker,
    items: Sequence[str],
    user: str | None = None,
    text: str | None = None,
    plan: Plan | None = None,
    category: str | None = None,
) -> Compatibility:
    """How well items go together, and the best single swap.

    Each item is held against items of its own category, given the others: its score is the log
    of the model's share for it among the best of these.

    Args:
        recommender: Whose scores.
        items: Two or more ids.
        user: Whom it is for.
        text: What it is for.
        plan: What an item that is swapped in keeps to: `where` and the budgets.
        category: The attribute or property that says what may stand in for what; the graph's
            usual one where None (see fusion.ranking.filters.KINDS), any item for any other
            where "".

    Raises:
        DataError: An item or a name is not there.
        InputError: There are fewer than two items, or too many.
    """
    ids = tuple(dict.fromkeys(ids_of(items)))
    if not 2 <= len(ids) <= MOST:
        raise InputError(
            f"{len(ids)} items cannot be judged; 2 to {MOST} can", field="items"
        )
    rows = np.array([known(recommender, item) for item in ids])
    given = plan or Plan()
    limits = Plan(
        None,
        given.budget,
        given.item_budget,
        given.price,
        given.where,
    )
    problem = resolve(
        recommender,
        limits,
        (),
        user,
    )
    name = recommender.facts.kind if category is None else category
    slots, slot_of = _slots_by_category(recommender, name, rows)
    problem = replace(problem, size=(1, MOST), slots=slots)
    rest = [
        Query(
            user,
            ids[:n] + ids[n + 1 :],
            text,
            where=given.where,
        )
        for n in range(len(ids))
    ]
    queries = recommender.queries(rest)
    allowed, pool = problem.allowed(), [rows]
    for score, slot in zip(recommender.score(queries), slot_of, strict=True):
        fits = slots[slot].mask & allowed if slot >= 0 else allowed
        others = np.flatnonzero(fits)
        order = np.argsort(-score[others], kind="stable")
        pool.append(others[order[:SWAPS]])
    pooled = np.unique(np.concatenate(pool))
    scorer = SetScorer(
        recommender,
        pooled,
        int(queries.users[0]),
        text or "",
    )
    search = BeamSearch(problem, scorer)
    places = [scorer.place[row] for row in rows.tolist()]
    search.ratings.weighed[places] = True
    search.allowed[places] = False  # each is held against others only
    state = State(tuple(places), tuple(slot_of), 0.0)
    (rated,) = search.ratings.rate([state])
    whole = combination(
        recommender,
        problem,
        pooled,
        (),
        rated,
    )
    return Compatibility(whole, _best_swap(recommender, search, state))


def _slots_by_category(
    recommender: Ranker,
    name: str,
    rows: IntArray,
) -> tuple[tuple[ResolvedSlot, ...], list[int]]:
    """A slot for each category of the rows, and which of them each row stands in, -1 for none."""
    if not name:
        return (), [-1] * len(rows)
    values = recommender.facts.values(name)
    codes = values.codes()[rows]
    categories = np.unique(codes[codes >= 0])
    slots = tuple(
        ResolvedSlot(
            values.titles[code],
            values.mask([code]),
            0,
            MOST,
        )
        for code in categories
    )
    slot_of = np.where(codes >= 0, np.searchsorted(categories, codes), -1)
    return slots, slot_of.tolist()


def _best_swap(
    recommender: Ranker,
    search: BeamSearch,
    state: State,
) -> Swap | None:
    """The best of the likeliest exchanges, every item of each scored anew."""
    (now,) = search.ratings.rate([state])
    count = len(state.chosen)
    scores = search.scorer.score([state.without(n) for n in range(count)])
    changes = [
        (n, state.exchanged(n, place))
        for n in range(count)
        for place in _likely(
            search,
            state,
            n,
            scores[n],
        )
    ]
    if not changes:
        return None
    rated = search.ratings.rate([changed for _, changed in changes])
    best = max(range(len(rated)), key=lambda c: rated[c].score)
    gain = rated[best].score - now.score
    if gain <= 0:
        return None
    n, changed = changes[best]
    rows = search.scorer.rows
    row, gone = int(rows[changed.chosen[n]]), int(rows[state.chosen[n]])
    score = float(rated[best].items[n])
    joins = piece(
        recommender,
        search.problem,
        row,
        state.slots[n],
        score,
    )
    return Swap(
        recommender.items.key(gone),
        joins,
        rated[best].score,
        gain,
    )


def _likely(
    search: BeamSearch,
    state: State,
    n: int,
    score: FloatArray,
) -> list[int]:
    """Places of the pool that fit the n-th item's slot and the budget, and score higher."""
    place = state.chosen[n]
    fits = search.allowed & search.ratings.fits(state.slots[n])
    cost = search.price[list(state.chosen)].sum() - search.price[place]
    affordable = cost + search.price <= search.budget
    higher = (score > score[place]) & np.isfinite(score)
    better = np.flatnonzero(fits & affordable & higher)
    order = np.argsort(-score[better], kind="stable")
    likely: list[int] = better[order[:TRIED]].tolist()
    return likely
