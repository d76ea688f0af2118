"""Rank: whole bundles for a user, words or context items, by the scores of their items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fusion.query import Query, ids_of
from fusion.ranking.ranker import Ranker
from kg.tables import FloatArray, IntArray


@dataclass(frozen=True)
class RankedBundle:
    """A bundle of an answer.

    Attributes:
        id: Its id.
        title: What people read.
        score: Higher is better; comparable within one answer.
        items: Its items' ids.
    """

    id: str
    title: str
    score: float
    items: tuple[str, ...]


def rank_bundles(
    recommender: Ranker,
    bundles: Mapping[str, Sequence[str]] | None = None,
    user: str | None = None,
    text: str | None = None,
    items: Sequence[str] = (),
    k: int = 10,
) -> list[RankedBundle]:
    """Bundles by the mean score of their items, so that new bundles need no training.

    Args:
        recommender: Whose scores.
        bundles: By id, their items' ids; where None those of the graph, each with two items or
            more and once. Unknown items, and context items, are passed over; a bundle that
            holds no other is left out.
        user: Whom it is for.
        text: What it is for.
        items: Context items.
        k: How many, at least 1.

    Raises:
        InputError: k is below 1, or one string stands where ids do.
    """
    query = Query(
        user,
        ids_of(items),
        text,
        k,
    )
    if bundles is None:
        given, titles = graph_bundles(recommender), _titles(recommender)
    else:
        given = {
            bundle: ids_of(ids, f"bundle {bundle!r}") for bundle, ids in bundles.items()
        }
        titles = {}
    names = list(given)
    mean = _mean_scores(recommender, query, list(given.values()))
    best = np.argsort(-mean, kind="stable")[:k]
    return [
        RankedBundle(
            names[n],
            titles.get(names[n], names[n]),
            float(mean[n]),
            given[names[n]],
        )
        for n in best.tolist()
        if np.isfinite(mean[n])
    ]


def _mean_scores(
    recommender: Ranker,
    query: Query,
    bundles: Sequence[Sequence[str]],
) -> FloatArray:
    """(B,) of each bundle's scored items; -inf for a bundle that has none."""
    lengths = [len(ids) for ids in bundles]
    owner = np.repeat(np.arange(len(bundles)), lengths)
    rows = recommender.items.rows([item for ids in bundles for item in ids])
    known = rows >= 0
    score = full_score(recommender, query, rows[known])
    scored = np.isfinite(score)
    owner, score = owner[known][scored], score[scored]
    count = np.bincount(owner, minlength=len(bundles))
    total = np.bincount(owner, score, len(bundles))
    mean: FloatArray = total / np.maximum(count, 1)
    mean[count == 0] = -np.inf
    return mean


def graph_bundles(recommender: Ranker) -> dict[str, tuple[str, ...]]:
    """The items of every bundle of the graph of two items or more; of equal bundles the first."""
    tables = recommender.tables
    held: dict[str, list[str]] = {}
    for edge in tables.schema.edges:
        if edge.role != "membership":
            continue
        members = tables.edges[edge.name]
        bundles, items = members["source"].to_pylist(), members["target"].to_pylist()
        for bundle, item in zip(bundles, items, strict=True):
            held.setdefault(bundle, []).append(item)
    unique: dict[frozenset[str], str] = {}
    for bundle, items in held.items():
        if len(set(items)) > 1:
            unique.setdefault(frozenset(items), bundle)
    return {bundle: tuple(dict.fromkeys(held[bundle])) for bundle in unique.values()}


def _titles(recommender: Ranker) -> dict[str, str]:
    bundle = recommender.tables.schema.of_role("bundle")
    if bundle is None:
        return {}
    ids = recommender.tables.nodes[bundle.name]["id"].to_pylist()
    return dict(zip(ids, recommender.tables.titles(bundle.name), strict=True))


@torch.inference_mode()
def full_score(
    recommender: Ranker,
    query: Query,
    rows: IntArray,
) -> FloatArray:
    """(N,) the full score of any rows, retrieved or not; -inf for the context items."""
    model, items = recommender.model, recommender.embeddings.items
    queries = recommender.queries([query])
    distinct, back = np.unique(rows, return_inverse=True)
    at = torch.as_tensor(distinct, device=recommender.snapshot.device)[None]
    phi = None
    if model.head is not None:
        phi = recommender.snapshot.features.describe(queries, at)
    score = model.score_rows(
        recommender.query_vectors(queries),
        items,
        at,
        phi,
    )[0]
    scores: FloatArray = score.float().cpu().numpy().astype(np.float64)
    scores[np.isin(distinct, queries.context.rows)] = -np.inf
    return scores[back]
