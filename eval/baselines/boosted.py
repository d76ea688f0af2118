"""The baseline to beat: a gradient-boosted ranker over counted features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier

from eval.baselines.counts import FloatScores
from fusion.query_batch import QueryBatch
from fusion.ranking.metrics import ndcg
from fusion.ranking.ranks import ranks
from kg.errors import InputError
from kg.progress import tqdm
from kg.tables import FloatArray, IntArray

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
            InputError: No query has a target among its candidates, or the candidates have wrong
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

    def _predictions(
        self, features: npt.NDArray[np.float32], choices: Sequence[int]
    ) -> Iterator[npt.NDArray[np.float32]]:
        """(N,) the scores of N candidates by the first trees, for each rising number of them."""
        stages = enumerate(self.model.staged_decision_function(features), start=1)
        wanted = set(choices)
        for trees, scores in stages:
            if trees in wanted:
                yield np.asarray(scores, np.float32)
            if trees == max(wanted):
                return

    def keep(self, choices: Sequence[int], queries: QueryBatch) -> Self:
        """Score by as many of the trees as order these queries best, by NDCG@10.

        Candidates are retrieved once, and the trees pass over them once, whatever the choices.
        """
        choices = sorted(choices)
        found: dict[int, list[FloatArray]] = {trees: [] for trees in choices}
        for some in queries.batches(_BATCH):
            rows, features = self._candidates(some)
            predictions = self._predictions(features[rows >= 0], choices)
            for trees, values in zip(choices, predictions, strict=True):
                scores = self._spread(rows, values)
                found[trees].append(ranks(scores, some.targets, some.excluded))
        metric = {
            trees: float(ndcg(np.concatenate(parts), queries.targets, 10).mean())
            for trees, parts in found.items()
        }
        self.kept = max(metric, key=lambda trees: metric[trees])
        return self

    @property
    def setting(self) -> str:
        """What was chosen, for people."""
        return f"{self.kept} trees"

    def score(self, queries: QueryBatch) -> FloatScores:
        """(B, I) log-odds; the least float where an item is no candidate."""
        rows, features = self._candidates(queries)
        real = rows >= 0
        if not real.any():
            return self._spread(rows, np.zeros(0, np.float32))
        (values,) = self._predictions(features[real], (self.kept,))
        return self._spread(rows, values)

    def _spread(self, rows: IntArray, values: npt.NDArray[np.float32]) -> FloatScores:
        """(B, I) the values of the candidates among (B, C) rows, the least float elsewhere."""
        lowest = np.finfo(np.float32).min
        scores = np.full((len(rows), self.items), lowest, np.float32)
        real = rows >= 0
        scores[np.nonzero(real)[0], rows[real]] = values
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
