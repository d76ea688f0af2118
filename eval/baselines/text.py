"""What words alone achieve, with nothing trained: TF-IDF, and an untuned encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from scipy.stats import rankdata
from sklearn.feature_extraction.text import TfidfVectorizer

from eval.baselines.counts import Counts, FloatScores
from eval.measure.protocol import Scorer
from fusion.model.bm25 import Lexical
from fusion.query_batch import QueryBatch
from kg.errors import InputError
from kg.graph import Graph


class TfIdf:
    """The vectors of the query's items and words, or the user's history, against every item.

    Salton and Buckley, Term-weighting approaches in automatic text retrieval, 1988.

    Args:
        graph: The training graph, for the history and the popularity.
        texts: I texts of the items in row order.

    Raises:
        ValueError: There is not one text an item, or no text has a word.
    """

    name = "TF-IDF"

    def __init__(self, graph: Graph, texts: Sequence[str]) -> None:
        self.counts = _counts(self.name, graph, len(texts))
        if not any(char.isalnum() for text in texts for char in text):
            raise InputError(f"{self.name}: no item has a word of text")
        self.vectorizer = TfidfVectorizer(
            sublinear_tf=True, token_pattern=r"(?u)\b\w+\b", dtype=np.float32
        )
        self.vectors = self.vectorizer.fit_transform(texts)

    def score(self, queries: QueryBatch) -> FloatScores:
        """(B, I) scores."""
        query = given(self.counts, queries) @ self.vectors + self.vectorizer.transform(
            queries.texts
        )
        return self.counts.then_popular((query @ self.vectors.T).toarray())


class LexicalMatch:
    """The words' match among the hybrid's evidence, alone; popularity where a query has no words.

    Args:
        graph: The training graph, for the popularity.
        texts: I texts of the items in row order.

    Raises:
        ValueError: There is not one text an item.
    """

    name = "lexical match alone"

    def __init__(self, graph: Graph, texts: Sequence[str]) -> None:
        self.counts, self.lexical = (
            _counts(self.name, graph, len(texts)),
            Lexical.of(tuple(texts)),
        )

    def score(self, queries: QueryBatch) -> FloatScores:
        """(B, I) scores."""
        return self.counts.then_popular(
            self.lexical(queries.texts, torch.device("cpu")).numpy()
        )


class UntunedEncoder:
    """The mean of the query's items' and words' vectors against every item's; all of length one.

    The user's history stands in where a query has neither items nor words.

    Args:
        graph: The training graph, for the history and the popularity.
        vectors: (I, H) the items' texts encoded, in row order; zero where an item has no text.
        encode: Words to their vectors (B, H), by the same encoder.

    Raises:
        ValueError: There is not one vector an item.
    """

    name = "untuned encoder"

    def __init__(
        self,
        graph: Graph,
        vectors: npt.NDArray[np.float32],
        encode: Callable[[Sequence[str]], npt.NDArray[np.float32]],
    ) -> None:
        self.counts = _counts(self.name, graph, len(vectors))
        self.vectors, self.encode = _unit(vectors), encode

    def score(self, queries: QueryBatch) -> FloatScores:
        """(B, I) scores."""
        query = np.asarray(given(self.counts, queries) @ self.vectors)
        worded = np.flatnonzero([bool(text) for text in queries.texts])
        if len(worded):
            query[worded] += _unit(self.encode([queries.texts[b] for b in worded]))
        scores: FloatScores = _unit(query) @ self.vectors.T
        scores[~query.any(axis=1)] = self.counts.popularity
        return scores


class RankFusion:
    """Several rankings as one, by the sum of 1 / (K + place): reciprocal rank fusion.

    Cormack, Clarke and Büttcher, Reciprocal rank fusion outperforms Condorcet and individual
    rank learning methods, 2009. Equal scores share their mean place.

    Args:
        rankers: Whose rankings.
    """

    name = "BM25 + untuned encoder"
    K = 60

    def __init__(self, *rankers: Scorer) -> None:
        self.rankers = rankers

    def score(self, queries: QueryBatch) -> FloatScores:
        """(B, I) scores."""
        places = (rankdata(-ranker.score(queries), axis=1) for ranker in self.rankers)
        return np.asarray(sum(1 / (self.K + place) for place in places), np.float32)


class ScoreFusion:
    """Words and vectors as one by a weighted sum of their scores, each brought into 0..1.

    Bruch, Gai and Ingber, An analysis of fusion functions for hybrid retrieval, TOIS 2023
    (their TM2C2): a score less the least that it could be, over the best of the query less the
    same.

    Args:
        words: (B, I) matches of queries' words, 0 where none matches.
        vectors: Its scores are cosines, or popularity where a query says nothing.
        share: Of vectors, 0..1; the rest is the words'.
    """

    name = "BM25 + untuned encoder, weighted"

    def __init__(
        self, words: Callable[[QueryBatch], FloatScores], vectors: Scorer, share: float
    ) -> None:
        self.words, self.vectors, self.share = words, vectors, share

    def score(self, queries: QueryBatch) -> FloatScores:
        """(B, I) scores."""
        words, vectors = self.words(queries), self.vectors.score(queries) + 1
        words, vectors = (
            part / np.maximum(part.max(1, keepdims=True), 1e-9)
            for part in (words, vectors)
        )
        return np.asarray((1 - self.share) * words + self.share * vectors, np.float32)


def _counts(name: str, graph: Graph, given: int) -> Counts:
    if given != graph.size(graph.item):
        raise InputError(
            f"{name}: {given} texts or vectors for {graph.size(graph.item)} items"
        )
    return Counts(graph)


def given(counts: Counts, queries: QueryBatch) -> Any:
    """(B, I) csr of the query's items, or of the history where it has neither items nor words."""
    blank = (queries.context.lengths == 0) & np.array(
        [not text.strip() for text in queries.texts], bool
    )
    return sp.csr_array(counts.or_history(counts.at_hand(queries), queries, blank))


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1), np.float32)
