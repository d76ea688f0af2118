"""The baseline to beat: a gradient-boosted ranker over counted features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier

from eval.baselines.counts import FloatScores
from eval.measure.protocol import evaluate
from fusion.query_batch import QueryBatch
from kg.errors import InputError
from kg.progress import tqdm
from kg.tables import IntArray

Candidates = Callable[[QueryBatch], tuple[IntArray, npt.NDArray[np.float32]]]
_BATCH = 256


class BoostedRanker:
    """Pointwise boosted trees over features of (query, candidate); all other items come last.

    Ke et al., LightGBM, 2017, in scikit-learn's histogram form.

    Args:
        candidates: A query batch to distinct item rows (B, C), padded with -1, and their
            features (B, C, F).
        items: How many the catalogue has (I).
        negatives: Wrong candidates drawn for each training query.
        trees: Boosting rounds; fewer can be kept afterwards.
        seed: Of the draw and of the trees.
    """

    name = "boosted ranker"

    def __init__(
        self,
        candidates: Candidates,
        items: int,
        negatives: int = 100,
        trees: int = 300,
        seed: int = 0,
    ) -> None:
        self.candidates, self.items, self.negatives = candidates, items, negatives
        self.trees, self.kept, self.seed = trees, trees, seed
        self.model = HistGradientBoostingClassifier(
            learning_rate=0.05,
            max_iter=trees,
            min_samples_leaf=50,
            early_stopping=False,
            random_state=seed,
        )

    def fit(self, queries: QueryBatch, progress: bool = True) -> Self:
        """Learn from training queries; those none of whose targets is a candidate are left out.

        Raises:
            ValueError: No query has a target among its candidates, or the candidates have wrong
                shapes.
        """
        rng = np.random.default_rng(self.seed)
        features, labels, sizes = [], [], []
        bar = tqdm(
            total=len(queries),
            desc=self.name,
            unit="query",
            leave=False,
            disable=not progress,
        )
        for some in queries.batches(_BATCH):
            rows, phi = self._candidates(some)
            owners = np.broadcast_to(np.arange(len(some))[:, None], rows.shape)
            wanted = some.targets.owners * self.items + some.targets.rows
            right = (rows >= 0) & np.isin(owners * self.items + rows, wanted)
            draw = np.where((rows >= 0) & ~right, rng.random(rows.shape), np.inf)
            drawn = (
                np.argsort(np.argsort(draw, axis=1), axis=1) < self.negatives
            ) & np.isfinite(draw)
            kept = (right | drawn) & right.any(axis=1, keepdims=True)
            features.append(phi[kept])
            labels.append(right[kept])
            sizes.append(kept.sum(axis=1))
            bar.update(len(some))
        bar.close()
        right, every = sum(part.sum() for part in labels), sum(map(len, labels))
        if not 0 < right < every:
            raise InputError(
                f"{self.name}: {right} right and {every - right} wrong candidates to learn from"
            )
        each = np.concatenate(sizes)
        self._learn(features, labels, each[each > 0])
        return self

    def _learn(
        self,
        features: list[npt.NDArray[np.float32]],
        labels: list[npt.NDArray[np.bool_]],
        sizes: IntArray,
    ) -> None:
        """Fit to the candidates in parts, which stand query by query, `sizes` of them each."""
        self.model.fit(np.concatenate(features), np.concatenate(labels))

    def _predict(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        stages = self.model.staged_decision_function(features)
        return np.asarray(next(islice(stages, self.kept - 1, None)), np.float32)

    def keep(self, choices: Sequence[int], queries: QueryBatch) -> Self:
        """Score by as many of the trees as order these queries best, by NDCG@10."""
        found = {}
        for self.kept in choices:
            found[self.kept] = evaluate(
                {self.name: self}, queries, self.items, (10,), progress=False
            ).means()
        self.kept = max(found, key=lambda kept: found[kept][self.name]["NDCG@10"])
        return self

    @property
    def setting(self) -> str:
        """What was chosen, for people."""
        return f"{self.kept} trees"

    def score(self, queries: QueryBatch) -> FloatScores:
        """(B, I) log-odds; the least float where an item is no candidate."""
        rows, features = self._candidates(queries)
        real = rows >= 0
        scores = np.full(
            (len(queries), self.items), np.finfo(np.float32).min, np.float32
        )
        if real.any():
            scores[np.nonzero(real)[0], rows[real]] = self._predict(features[real])
        return scores

    def _candidates(
        self, queries: QueryBatch
    ) -> tuple[IntArray, npt.NDArray[np.float32]]:
        rows, features = self.candidates(queries)
        if (
            rows.shape[:1] != (len(queries),)
            or rows.shape != features.shape[:2]
            or features.ndim != 3
        ):
            raise InputError(
                f"{self.name}: candidates {rows.shape} with features "
                f"{features.shape} for {len(queries)} queries; "
                "(B, C) and (B, C, F) wanted"
            )
        return rows, features
