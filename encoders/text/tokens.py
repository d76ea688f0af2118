"""Texts as token ids: each distinct text tokenised once, kept end to end, batched by length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol, Self

import numpy as np
import torch
from torch import Tensor

from kg.progress import tqdm
from kg.tables import IntArray

_CHUNK = 4096


class Tokenizer(Protocol):
    """What is used of a Hugging Face tokenizer."""

    @property
    def pad_token_id(self) -> int | None:
        """The token id that fills short rows."""
        ...

    def __call__(
        self, text: list[str], *, truncation: bool, max_length: int
    ) -> dict[str, list[list[int]]]:
        """Token ids of each text under "input_ids", special tokens included."""
        ...


@dataclass(frozen=True)
class TokenTable:
    """N texts as U distinct lists of token ids.

    Attributes:
        index: (N,) the distinct text of each text, -1 where the text is blank.
        ids: (sum of lengths,) int32 token ids of the distinct texts, end to end, in order of
            first appearance.
        offsets: (U + 1,) distinct text u is ids[offsets[u]:offsets[u + 1]].
        pad: The token id that fills short rows of a batch.
    """

    index: IntArray
    ids: np.ndarray[tuple[int], np.dtype[np.int32]]
    offsets: IntArray
    pad: int = 0

    @classmethod
    def build(
        cls,
        texts: Sequence[str],
        tokenizer: Tokenizer,
        max_tokens: int,
        progress: bool = False,
    ) -> Self:
        """Tokenise every distinct text once, cut to max_tokens with the special tokens counted."""
        first: dict[str, int] = {}
        index = np.fromiter(
            (
                first.setdefault(t, len(first)) if (t := text.strip()) else -1
                for text in texts
            ),
            np.int64,
            len(texts),
        )
        distinct = list(first)
        parts, lengths = [np.zeros(0, np.int32)], [np.zeros(1, np.int64)]
        for start in tqdm(
            range(0, len(distinct), _CHUNK), "tokenising", disable=not progress
        ):
            rows = tokenizer(
                distinct[start : start + _CHUNK], truncation=True, max_length=max_tokens
            )["input_ids"]
            parts.append(np.fromiter(chain.from_iterable(rows), np.int32))
            lengths.append(np.fromiter(map(len, rows), np.int64, len(rows)))
        offsets = np.cumsum(np.concatenate(lengths))
        return cls(index, np.concatenate(parts), offsets, tokenizer.pad_token_id or 0)

    def __len__(self) -> int:
        """U, the number of distinct texts."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> IntArray:
        """(U,) tokens of each distinct text."""
        return np.diff(self.offsets)

    def places(
        self, distinct: IntArray
    ) -> tuple[IntArray, np.ndarray[tuple[int, int], np.dtype[np.bool_]]]:
        """Where the tokens of B distinct texts lie: (B, T) into the flat array, (B, T) mask.

        Rows are padded to the longest.

        Padding points at place 0, so that flat arrays of any kind can be gathered without a
        bounds check.
        """
        start, length = self.offsets[distinct], self.lengths[distinct]
        step = np.arange(length.max(initial=0))
        mask = step < length[:, None]
        return np.where(mask, start[:, None] + step, 0), mask

    def batch(self, distinct: Tensor | IntArray) -> tuple[Tensor, Tensor]:
        """(B, T) int64 token ids and attention mask of B distinct texts, padded to the longest."""
        places, mask = self.places(np.asarray(distinct, np.int64))
        ids = np.where(mask, self.ids[places] if len(self.ids) else 0, self.pad)
        return torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(
            mask.astype(np.int64)
        )

    def buckets(
        self, distinct: Tensor | IntArray, max_tokens: int
    ) -> Iterator[IntArray]:
        """The distinct texts in batches of similar length.

        The longest come first, so that memory runs out at once or never.

        A batch holds at most max_tokens tokens with padding, or one text where that alone is
        longer.
        """
        rows = np.asarray(distinct, np.int64)
        rows = rows[np.argsort(-self.lengths[rows], kind="stable")]
        start = 0
        while start < len(rows):
            size = max(1, max_tokens // max(1, int(self.lengths[rows[start]])))
            yield rows[start : start + size]
            start += size
