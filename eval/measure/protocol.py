"""The one way anything here is measured: full catalogue, own items excluded, mid-ranks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from fusion.query_batch import QueryBatch
from fusion.ranking.metrics import hit, mrr, ndcg, recall
from fusion.ranking.ranks import check_targets, ranks
from kg.errors import DataError, InputError
from kg.progress import tqdm
from kg.tables import FloatArray, IntArray


class Scorer(Protocol):
    """Anything that gives every item of the catalogue a score."""

    @property
    def name(self) -> str:
        """What the tables call it."""

    def score(self, queries: QueryBatch) -> npt.NDArray[np.float32]:
        """(B, I) scores, higher is better, never NaN; the targets must not be looked at."""


@dataclass(frozen=True)
class Scores:
    """What evaluate measured.

    Attributes:
        groups: (B,) of the queries, for the bootstrap.
        values: By scorer, by metric ("HR@10", "NDCG@10", "Recall@10", ..., "MRR"): (B,) float64.
        seconds: By scorer, spent in score().
    """

    groups: IntArray
    values: Mapping[str, Mapping[str, FloatArray]]
    seconds: Mapping[str, float]

    def __len__(self) -> int:
        return len(self.groups)

    def take(self, which: npt.NDArray[np.bool_] | IntArray) -> Self:
        """The chosen queries; the seconds remain those of all."""
        values = {
            name: {m: v[which] for m, v in rows.items()}
            for name, rows in self.values.items()
        }
        return replace(self, groups=self.groups[which], values=values)

    def means(self) -> dict[str, dict[str, float]]:
        """By scorer, by metric."""
        return {
            name: {m: float(v.mean()) for m, v in rows.items()}
            for name, rows in self.values.items()
        }


def evaluate(
    scorers: Mapping[str, Scorer],
    queries: QueryBatch,
    items: int,
    ks: Sequence[int] = (10, 20),
    batch: int = 256,
    progress: bool = True,
) -> Scores:
    """HR, NDCG and Recall at every k and MRR of each scorer on each query, against all items.

    Args:
        scorers: By the name in the tables.
        queries: B queries with at least one target each.
        items: How many the catalogue has (I).
        ks: The cut-offs.
        batch: Asks scored at a time; the memory is a few times batch x items x 4 bytes.
        progress: Whether to draw a bar a scorer.

    Raises:
        DataError: A scorer gave a wrong shape or type, or NaN; the message names it and the query.
        ValueError: There is no query or no cut-off, a query has no target, or a target is among
            its items.
    """
    if not len(queries) or not ks or min(ks) < 1 or batch < 1:
        raise InputError(
            f"cannot evaluate {len(queries)} queries at ks={tuple(ks)} in batches of {batch}"
        )
    check_targets(queries.targets, queries.excluded, items)
    if not queries.targets.lengths.all():
        raise InputError(f"query {queries.targets.lengths.argmin()} has no target")
    values, seconds = {}, {}
    for name, scorer in scorers.items():
        found, spent = [], 0.0
        bar = tqdm(
            total=len(queries),
            desc=name,
            unit="query",
            leave=False,
            disable=not progress,
        )
        for number, some in enumerate(queries.batches(batch)):
            start = time.perf_counter()
            scores = scorer.score(some)
            spent += time.perf_counter() - start
            try:
                if scores.shape != (len(some), items):
                    raise DataError(
                        f"shape {scores.shape}, wanted {(len(some), items)}"
                    )
                found.append(ranks(scores, some.targets, some.excluded))
            except DataError as error:
                raise DataError(
                    f"scorer {name!r}, batch from query {number * batch}: {error}"
                ) from None
            bar.update(len(some))
        bar.close()
        values[name], seconds[name] = (
            _measure(np.concatenate(found), queries, ks),
            spent,
        )
    return Scores(queries.groups, values, seconds)


def _measure(
    found: FloatArray, queries: QueryBatch, ks: Sequence[int]
) -> dict[str, FloatArray]:
    named = {"HR": hit, "NDCG": ndcg, "Recall": recall}
    values = {
        f"{name}@{k}": metric(found, queries.targets, k)
        for k in ks
        for name, metric in named.items()
    }
    return {**values, "MRR": mrr(found, queries.targets)}
