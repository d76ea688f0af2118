"""BM25: the query's words against the items' texts, term by term."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property, lru_cache

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import normalize
from torch import Tensor

from kg.metapaths.sparse import product, top
from kg.tables import FloatArray, IntArray

K1, B = 0.9, 0.4  # saturation of repeated words, and how much long texts are held back
KEEP = 200  # items kept that are alike by their words
_SILENT = {
    "a",
    "an",
    "and",
    "any",
    "are",
    "as",
    "at",
    "be",
    "by",
    "do",
    "for",
    "from",
    "give",
    "i",
    "in",
    "is",
    "it",
    "its",
    "me",
    "my",
    "need",
    "of",
    "on",
    "or",
    "our",
    "please",
    "show",
    "so",
    "some",
    "something",
    "that",
    "the",
    "these",
    "this",
    "those",
    "to",
    "us",
    "want",
    "we",
    "what",
    "which",
    "with",
    "you",
    "your",
}


def telling(text: str) -> str:
    """A text without English words that name nothing; all of it where it has no other words.

    Such words may be rare in a catalogue, and would weigh much there.
    """
    words = text.split()
    return (
        " ".join(word for word in words if word.strip(",.;:!?").lower() not in _SILENT)
        or text
    )


class Lexical:
    """BM25 score of B queries and I items: of the item's text, plus of its first property.

    The first property of a text is what stands before its first ". ": the title, as a rule,
    which says what an item is, where the rest also says what it goes with. The sum is divided
    by the most that the query's words could weigh, so that long queries compare with short ones.

    Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009; with
    the constants of Yang et al., Anserini, 2017.

    Args:
        texts: I texts in row order; at least one has a word.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.vectorizer = CountVectorizer(analyzer=_terms, dtype=np.float32)
        whole = self.vectorizer.fit_transform(texts)
        held = np.bincount(whole.indices, minlength=whole.shape[1])
        self.idf = np.log1p((len(texts) - held + 0.5) / (held + 0.5)).astype(np.float32)
        first = self.vectorizer.transform([text.partition(". ")[0] for text in texts])
        self._means = [
            max(float(part.sum()) / len(texts), 1e-9) for part in (whole, first)
        ]
        self.terms = self._weighted(whole, first).T.tocsr()

    def _weighted(self, whole: sp.csr_matrix, first: sp.csr_matrix) -> sp.csr_matrix:
        """(N, V) of texts and their first properties together."""
        parts = zip((whole, first), self._means, strict=True)
        return sum(
            (self._saturated(part, mean) for part, mean in parts),
            start=sp.csr_matrix(whole.shape, dtype="f4"),
        )

    def _saturated(self, counts: sp.csr_matrix, mean: float) -> sp.csr_matrix:
        """(N, V) idf tf / (tf + K1 (1 - B + B length / mean length)), at most idf."""
        length = np.asarray(counts.sum(1)).ravel()
        slack = K1 * (1 - B + B * length / mean)
        weights = (
            self.idf[counts.indices]
            * counts.data
            / (counts.data + np.repeat(slack, np.diff(counts.indptr)))
        )
        return sp.csr_matrix(
            (weights.astype(np.float32), counts.indices, counts.indptr), counts.shape
        )

    def __call__(self, words: Sequence[str], device: torch.device) -> Tensor:
        """(B, I) matches in 0..1, 0 for a query without words."""
        out = torch.zeros(len(words), self.terms.shape[1])
        spoken = [b for b, text in enumerate(words) if text.strip()]
        if spoken:
            asked = self.vectorizer.transform([words[b] for b in spoken]).sign()
            asked.data /= np.repeat(
                np.maximum(2 * asked @ self.idf, 1e-9), np.diff(asked.indptr)
            )
            out[spoken] = torch.as_tensor((asked @ self.terms).toarray())
        return out.to(device)

    @cached_property
    def alike(self) -> sp.csr_matrix:
        """(I, I) cosine of two items' weighted terms, the KEEP strongest a row, diagonal 0.

        Terms that more than a tenth of the items have say little and are left out.
        """
        unit = self._units
        found = product(unit, unit.T.tocsr(), KEEP + 1)
        found.setdiag(0)
        return top(found, KEEP)

    @cached_property
    def _telling(self) -> sp.csr_matrix:
        """(V, V) 1 on the diagonal for terms of few items."""
        held = np.diff(self.terms.indptr)
        return sp.diags(
            (held <= max(self.terms.shape[1] / 10, 2)).astype(np.float32)
        ).tocsr()

    @cached_property
    def _units(self) -> sp.csr_matrix:
        """(I, V) the items' telling terms, of length 1."""
        return normalize((self._telling @ self.terms).T.tocsr())

    def instead(
        self, texts: Sequence[str], words: Sequence[str], rows: IntArray
    ) -> tuple[FloatArray, FloatArray]:
        """What the scores of an item would be, had it each of V texts.

        How rare words are and how long texts are stay as they were counted.

        Args:
            texts: V of them.
            words: (V,) the query's words beside each.
            rows: (H,) rows of other items.

        Returns:
            (V,) its BM25 score, and (V, H) its cosine to the other items.
        """
        firsts = [text.partition(". ")[0] for text in texts]
        terms = self._weighted(
            *(self.vectorizer.transform(part) for part in (texts, firsts))
        )
        asked = self.vectorizer.transform(words).sign()
        match = np.asarray(asked.multiply(terms).sum(1)).ravel() / np.maximum(
            2 * asked @ self.idf, 1e-9
        )
        near = normalize(terms @ self._telling) @ self._units[rows].T
        return match.astype(float), near.toarray().astype(float)

    @staticmethod
    @lru_cache(maxsize=4)
    def of(texts: tuple[str, ...]) -> Lexical:
        """One for equal texts: graphs of several moments have the same."""
        return Lexical(texts)

    @staticmethod
    def fits(texts: Sequence[str] | None) -> bool:
        """Whether there is anything to match."""
        return texts is not None and any(
            char.isalnum() for text in texts for char in text
        )


def _terms(text: str) -> list[str]:
    """Words in small letters, most plurals as their singular."""
    return [
        re.sub(r"(?<=\w{3})(?<![su])s$", "", word)
        for word in re.findall(r"\w+", text.lower())
    ]
