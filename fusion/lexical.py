"""Lexical match: the ask's words against the items' texts, term by term."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor


class Lexical:
    """TF-IDF cosines of B asks' words and I items' texts.

    Args:
        texts: I texts in row order; at least one has a word.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\b\w+\b", dtype=np.float32)
        self.terms = self.vectorizer.fit_transform(texts).T.tocsr()

    def __call__(self, words: Sequence[str], device: torch.device) -> Tensor:
        """(B, I) cosines, 0 for an ask without words."""
        out = torch.zeros(len(words), self.terms.shape[1])
        spoken = [b for b, text in enumerate(words) if text.strip()]
        if spoken:
            query = self.vectorizer.transform([words[b] for b in spoken])
            out[spoken] = torch.as_tensor((query @ self.terms).toarray())
        return out.to(device)

    @staticmethod
    def fits(texts: Sequence[str] | None) -> bool:
        """Whether there is anything to match."""
        return texts is not None and any(char.isalnum() for text in texts for char in text)
