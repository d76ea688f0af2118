"""LightGBM's LambdaRank over the same features as the boosted ranker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from eval.baselines.boosted import BoostedRanker, Candidates
from eval.baselines.extra import extra
from kg.tables import IntArray


class LightGBMRanker(BoostedRanker):
    """LambdaRank over features of (query, candidate): listwise loss, a query a group.

    Burges, From RankNet to LambdaRank to LambdaMART, 2010; Ke et al., LightGBM, 2017.

    Args:
        candidates: A query batch to distinct item rows (B, C), padded with -1, and their
            features (B, C, F).
        items: How many the catalogue has (I).
        negatives: Wrong candidates drawn for each training query.
        trees: Boosting rounds; fewer can be kept afterwards.
        seed: Of the draw and of the trees.

    Raises:
        MissingExtraError: The extra is not installed.
    """

    name = "LightGBM ranker"

    def __init__(
        self,
        candidates: Candidates,
        items: int,
        negatives: int = 100,
        trees: int = 300,
        seed: int = 0,
    ) -> None:
        with extra():
            import lightgbm
        super().__init__(candidates, items, negatives, trees, seed)
        self.lightgbm = lightgbm

    def _learn(
        self,
        features: list[npt.NDArray[np.float32]],
        labels: list[npt.NDArray[np.bool_]],
        sizes: IntArray,
    ) -> None:
        settings = {
            "objective": "lambdarank",
            "lambdarank_truncation_level": 20,
            "num_leaves": 31,
            "learning_rate": 0.05,
            "min_child_samples": 50,
            "seed": self.seed,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
        data = self.lightgbm.Dataset(
            features,
            np.concatenate(labels).astype(np.float32),
            group=sizes,
            params=settings,
        )
        self.booster = self.lightgbm.train(settings, data, self.trees)

    def _predictions(
        self, features: npt.NDArray[np.float32], choices: Sequence[int]
    ) -> Iterator[npt.NDArray[np.float32]]:
        for trees in choices:
            scores = self.booster.predict(features, num_iteration=trees)
            yield np.asarray(scores, np.float32)
