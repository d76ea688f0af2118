"""QueryBatch: many queries as rows, with the targets where they are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kg.tables import IntArray


@dataclass(frozen=True)
class Ragged:
    """B lists of rows, end to end.

    Attributes:
        offsets: (B + 1,) list b is rows[offsets[b]:offsets[b + 1]].
        rows: (sum of lengths,)
    """

    offsets: IntArray
    rows: IntArray

    @classmethod
    def of(cls, lists: Sequence[Sequence[int] | IntArray]) -> Self:
        """From a list of lists."""
        lengths = np.fromiter((len(x) for x in lists), np.int64, len(lists))
        rows = (
            np.concatenate([np.asarray(x, np.int64) for x in lists])
            if lengths.sum()
            else np.zeros(0, np.int64)
        )
        return cls(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), rows)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, b: int) -> IntArray:
        return self.rows[self.offsets[b] : self.offsets[b + 1]]

    @property
    def lengths(self) -> IntArray:
        """(B,) how many rows each list has."""
        return np.diff(self.offsets)

    @property
    def owners(self) -> IntArray:
        """(sum of lengths,) the list that each row belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, which: IntArray) -> Ragged:
        """The chosen lists."""
        lengths = self.lengths[which]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        flat = np.repeat(self.offsets[which] - offsets[:-1], lengths) + np.arange(
            offsets[-1]
        )
        return Ragged(offsets, self.rows[flat])


@dataclass(frozen=True)
class QueryTensors:
    """A query batch's rows as tensors on one device, lists end to end.

    Attributes:
        users: (B,) user rows, -1 where nobody is known.
        context: (H,) rows of the context items, query after query.
        owners: (H,) which query each belongs to.
        excluded: (M,) rows of the items that are no answer.
        excluded_owners: (M,) which query each is excluded from.
        texts: (B,) words, as they are.
    """

    users: Tensor
    context: Tensor
    owners: Tensor
    excluded: Tensor
    excluded_owners: Tensor
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.users)

    @property
    def known_users(self) -> Tensor:
        """(K,) which queries have a known user."""
        return (self.users >= 0).nonzero().squeeze(1)


@dataclass(frozen=True)
class QueryBatch:
    """B queries in rows of the graph's vocabularies.

    Attributes:
        users: (B,) user rows, -1 where nobody is known.
        context: B lists of the context items' rows.
        texts: (B,) words, "" where there are none.
        targets: B lists of the item rows that are right; empty when serving.
        groups: (B,) which queries stand together in the bootstrap (the user, the query).
        exclude: B lists of item rows that are no answer, beside the context items; None where
            there are none.
    """

    users: IntArray
    context: Ragged
    texts: tuple[str, ...]
    targets: Ragged
    groups: IntArray
    exclude: Ragged | None = None

    def __len__(self) -> int:
        return len(self.users)

    @classmethod
    def of(
        cls,
        users: Sequence[int] | IntArray,
        context: Ragged | None = None,
        texts: Sequence[str] | None = None,
        exclude: Ragged | None = None,
    ) -> Self:
        """Queries whose targets are not known; what is left out is empty, each is its own group."""
        size = len(users)
        nothing = Ragged.of([[]] * size)
        return cls(
            np.asarray(users, np.int64),
            nothing if context is None else context,
            ("",) * size if texts is None else tuple(texts),
            nothing,
            np.arange(size),
            exclude,
        )

    @cached_property
    def excluded(self) -> Ragged:
        """B lists of all item rows that are no answer: the context, and what else to exclude."""
        if self.exclude is None:
            return self.context
        return beside(self.context, self.exclude)

    def has_input(self, text: bool) -> npt.NDArray[np.bool_]:
        """(B,) whether there is anything to go by: a user, context items or, where read, text."""
        known: npt.NDArray[np.bool_] = (self.users >= 0) | (self.context.lengths > 0)
        if text:
            known |= np.array([bool(words.strip()) for words in self.texts], bool)
        return known

    def take(self, which: IntArray) -> QueryBatch:
        """The chosen queries."""
        return QueryBatch(
            self.users[which],
            self.context.take(which),
            tuple(self.texts[i] for i in which),
            self.targets.take(which),
            self.groups[which],
            None if self.exclude is None else self.exclude.take(which),
        )

    def batches(self, size: int) -> Iterator[QueryBatch]:
        """All queries in order, at most `size` at a time."""
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))

    def to(self, device: torch.device) -> QueryTensors:
        """The rows as tensors on a device; made once a device."""
        if device not in self._tensors:
            context, excluded = self.context, self.excluded
            of_context = (context.rows, context.owners)
            arrays = (self.users, *of_context, excluded.rows, excluded.owners)
            # Kept for whoever asks next, who may need gradients.
            with torch.inference_mode(False):
                tensors = [torch.as_tensor(array, device=device) for array in arrays]
            users, rows, owners, gone, gone_owners = tensors
            self._tensors[device] = QueryTensors(
                users, rows, owners, gone, gone_owners, self.texts
            )
        return self._tensors[device]

    @cached_property
    def _tensors(self) -> dict[torch.device, QueryTensors]:
        return {}


def join(parts: list[QueryBatch]) -> QueryBatch:
    """All queries of several tasks."""
    exclude = None
    if any(part.exclude is not None for part in parts):
        nothing = [Ragged.of([[]] * len(part)) for part in parts]
        exclude = _end_to_end(
            [part.exclude or none for part, none in zip(parts, nothing, strict=True)]
        )
    return QueryBatch(
        np.concatenate([part.users for part in parts]),
        _end_to_end([part.context for part in parts]),
        tuple(text for part in parts for text in part.texts),
        _end_to_end([part.targets for part in parts]),
        np.concatenate([part.groups for part in parts]),
        exclude,
    )


def beside(one: Ragged, other: Ragged) -> Ragged:
    """Each list of the one, and behind it the same list of the other."""
    owners = np.concatenate([one.owners, other.owners])
    rows = np.concatenate([one.rows, other.rows])[np.argsort(owners, kind="stable")]
    return Ragged(one.offsets + other.offsets, rows)


def _end_to_end(parts: list[Ragged]) -> Ragged:
    lengths = np.concatenate([np.zeros(1, np.int64), *(p.lengths for p in parts)])
    return Ragged(np.cumsum(lengths), np.concatenate([p.rows for p in parts]))
