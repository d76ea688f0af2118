"""Baselines that other packages bring, those of the `benchmark` extra: BM25, ALS and BPR.

Popularity breaks ties, and what a baseline knows nothing about comes last, in the order of
popularity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import CountVectorizer
from threadpoolctl import threadpool_limits

from eval.baselines.counts import Counts, FloatScores
from eval.baselines.extra import extra
from eval.baselines.neighbours import Factored
from eval.baselines.text import given
from fusion.query_batch import QueryBatch
from kg.errors import InputError
from kg.graph import Graph
from kg.tables import IntArray


class BM25:
    """The query's words and its items' texts against the items' texts, by the package bm25s.

    Where a query has neither, the texts of the user's history are the query.
    Robertson and Zaragoza, The probabilistic relevance framework: BM25 and beyond, 2009;
    Lucene's form.

    Args:
        graph: The training graph, for the history and the popularity.
        texts: I texts of the items in row order.
        k1: How soon a word said again stops counting.
        b: How much a long text is held against it, 0 to 1.

    Raises:
        MissingExtraError: The extra is not installed.
        ValueError: There is not one text an item, or no text has a word.
    """

    name = "BM25"

    def __init__(
        self, graph: Graph, texts: Sequence[str], k1: float = 1.2, b: float = 0.75
    ) -> None:
        with extra():
            import bm25s
        self.counts = Counts(graph)
        if len(texts) != self.counts.items:
            raise InputError(
                f"{self.name}: {len(texts)} texts for {self.counts.items} items"
            )
        if not any(char.isalnum() for text in texts for char in text):
            raise InputError(f"{self.name}: no item has a word of text")
        self.words = CountVectorizer(token_pattern=r"(?u)\b\w+\b", dtype=np.float32)
        self.texts = self.words.fit_transform(texts)
        split = self.words.build_analyzer()
        index = bm25s.BM25(k1=k1, b=b, method="lucene")
        # The package answers one query at a time; what it computed once is a matrix, and so
        # are many queries.
        index.index(
            ([self._rows(split(text)) for text in texts], dict(self.words.vocabulary_)),
            show_progress=False,
        )
        kept = (index.scores["data"], index.scores["indices"], index.scores["indptr"])
        self.postings = sp.csr_array(
            kept, shape=(len(self.words.vocabulary_), len(texts))
        )

    def score(self, queries: QueryBatch) -> FloatScores:
        """(B, I) scores."""
        return self.counts.then_popular(self.matches(queries))

    def matches(self, queries: QueryBatch) -> FloatScores:
        """(B, I) scores of the words alone, 0 where none matches."""
        query = (
            self.words.transform(queries.texts)
            + given(self.counts, queries) @ self.texts
        )
        scores: FloatScores = (query @ self.postings).toarray()
        return scores

    def _rows(self, words: list[str]) -> list[int]:
        return [int(self.words.vocabulary_[word]) for word in words]


class ALS(Factored):
    """Factors by the package implicit; a query's items are folded in as one more user.

    Hu, Koren and Volinsky, Collaborative filtering for implicit feedback datasets, 2008. Where
    a query has no items, its user's own factors are asked.

    Args:
        graph: The training graph.
        factors: Width of the vectors.
        alpha: Confidence in each time that a user took an item; 1 is that in not taking it.
        penalty: L2 strength.
        iterations: Over users and items in turn.
        seed: Of the first factors.

    Raises:
        MissingExtraError: The extra is not installed.
        ValueError: There are no users' events.
    """

    name = "ALS"

    def __init__(
        self,
        graph: Graph,
        factors: int = 64,
        alpha: float = 40.0,
        penalty: float = 0.1,
        iterations: int = 15,
        seed: int = 0,
    ) -> None:
        with extra():
            from implicit.als import AlternatingLeastSquares
        self.counts = Counts(graph)
        settings = {
            "alpha": alpha,
            "regularization": penalty,
            "iterations": iterations,
            "random_state": seed,
        }
        self.model = AlternatingLeastSquares(factors=factors, use_gpu=False, **settings)
        _fit(self.name, self.model, self.counts.by_user(np.ones(len(graph.events))))
        self.users, self.vectors = self.model.user_factors, self.model.item_factors

    def fold(self, given: Any, users: IntArray) -> FloatScores:
        """(B, D) the factors of users who took just this."""
        factors: FloatScores = self.model.recalculate_user(
            np.arange(given.shape[0]), _csr(given)
        )
        return factors


class BPR(Factored):
    """Factors by Bayesian personalised ranking, by the package implicit.

    Rendle et al., BPR: Bayesian personalized ranking from implicit feedback, 2009. Its users
    cannot be folded in: where a query has items, its vector is what the linear map that least
    squares fits to the training users makes of the mean of these items' factors; where it has
    none, the user's own factors.

    Args:
        graph: The training graph.
        factors: Width of the vectors, beside each item's bias.
        rate: Learning rate.
        penalty: L2 strength.
        iterations: Over all events.
        seed: Of the first factors and the draws.

    Raises:
        MissingExtraError: The extra is not installed.
        ValueError: There are no users' events.
    """

    name = "BPR"

    def __init__(
        self,
        graph: Graph,
        factors: int = 64,
        rate: float = 0.05,
        penalty: float = 0.01,
        iterations: int = 100,
        seed: int = 0,
    ) -> None:
        with extra():
            from implicit.bpr import BayesianPersonalizedRanking
        self.counts = Counts(graph)
        settings = {
            "learning_rate": rate,
            "regularization": penalty,
            "iterations": iterations,
            "random_state": seed,
        }
        # One thread: several write over each other and no two runs agree.
        model = BayesianPersonalizedRanking(
            factors=factors, use_gpu=False, num_threads=1, **settings
        )
        _fit(self.name, model, self.counts.history)
        self.users, self.vectors = model.user_factors, model.item_factors
        known = np.diff(self.counts.history.indptr) > 0
        self.map = np.linalg.lstsq(
            self._mean(self.counts.history[known]), self.users[known], rcond=None
        )[0]

    def fold(self, given: Any, users: IntArray) -> FloatScores:
        """(B, D) mapped means of the items' factors."""
        folded: FloatScores = self._mean(given) @ self.map
        return folded

    def _mean(self, given: Any) -> FloatScores:
        mean: FloatScores = np.asarray(
            given @ self.vectors / np.diff(given.indptr)[:, None], np.float32
        )
        mean[:, -1] = 1  # the items' bias is no part of what they have in common
        return mean


def _fit(name: str, model: Any, interacted: Any) -> None:
    if not interacted.nnz:
        raise InputError(f"{name}: no event has a user")
    with threadpool_limits(
        1, "blas"
    ):  # the package warns of more, which contend with its own
        model.fit(_csr(interacted), show_progress=False)


def _csr(matrix: Any) -> Any:
    """What implicit takes: a csr_matrix, never a csr_array, with 32-bit indices."""
    parts = (
        matrix.data,
        matrix.indices.astype(np.int32),
        matrix.indptr.astype(np.int32),
    )
    return sp.csr_matrix(parts, shape=matrix.shape)
