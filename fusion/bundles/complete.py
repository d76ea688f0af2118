"""Complete: the best items to go with context items, category by category, diverse, in season."""

from __future__ import annotations

import numpy as np

from fusion.bundles.complements import Complements
from fusion.bundles.mmr import diversified
from fusion.bundles.seasonality import seasonal
from fusion.query import Query
from fusion.ranking.ranker import Ranker
from fusion.ranking.values import Values
from kg.tables import FloatArray, IntArray

AMONG = 200  # of the best items, those that diversity chooses from


def complete(
    recommender: Ranker,
    query: Query,
    one_per: str = "",
    diversity: float = 0.0,
    complements: float = 0.0,
    season: int | None = None,
) -> tuple[IntArray, FloatArray]:
    """Rows of the best items for a query, best first, and the score of every item.

    Args:
        recommender: Whose scores.
        query: With context items.
        one_per: An attribute or property of which no two items, of the context or the answer,
            share a value, and which every item of the answer has; "" for no such rule.
        diversity: As in fusion.bundles.mmr.
        complements: As Plan.complements, towards the context items.
        season: As Plan.season.

    Returns:
        At most query.k rows, and (I,) scores, -inf for what the answer must not hold.

    Raises:
        DataError: There is nothing to learn complements or seasons from, or no such attribute.
        InputError: diversity or season is out of its range.
    """
    score = recommender.ranking(query)
    context = recommender.items.rows(query.items)
    context = context[context >= 0]
    if season is not None:
        score = score + seasonal(recommender.snapshot.graph, recommender.facts, season)
    if complements and len(context):
        every = np.arange(len(score))
        fit = recommender.derived(Complements).log(context, every)
        score = score + complements * fit.min(0)
    order = np.argsort(-score, kind="stable")
    order = order[np.isfinite(score[order])]
    if one_per:
        values = recommender.facts.values(one_per)
        most = AMONG if diversity else query.k
        order = _one_each(
            values,
            order,
            context,
            most,
        )
    if not diversity:
        return order[: query.k], score
    order = order[: max(AMONG, query.k)]
    vectors = recommender.embeddings.items.fused.cpu().numpy()[order]
    picked = diversified(
        score[order],
        vectors,
        query.k,
        diversity,
    )
    return order[picked], score


def _one_each(
    values: Values,
    order: IntArray,
    context: IntArray,
    most: int,
) -> IntArray:
    """The first `most` rows that have a value which neither the context nor an earlier row has."""
    every = np.arange(values.items)
    start = np.searchsorted(values.item, every, "left")
    stop = np.searchsorted(values.item, every, "right")

    def values_of(row: int) -> list[int]:
        own: list[int] = values.value[start[row] : stop[row]].tolist()
        return own

    used = {value for row in context.tolist() for value in values_of(row)}
    chosen: list[int] = []
    for row in order.tolist():
        own = values_of(row)
        if own and used.isdisjoint(own):
            chosen.append(row)
            used.update(own)
            if len(chosen) == most:
                break
    return np.array(chosen, np.int64)
