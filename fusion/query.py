"""Ask: the one question. Asks: many of them as arrays of rows, with the targets where they are known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from kg.errors import InputError
from kg.tables import IntArray

MOST_ITEMS = 1000  # at hand


def ids_of(values: Sequence[str], what: str = "items") -> tuple[str, ...]:
    """As a tuple; TypeError where it is one string, which would be read letter by letter."""
    if isinstance(values, str):
        raise InputError(
            f"{what} must be a sequence of ids, not the one string {values!r}",
            field=what,
        )
    return tuple(values)


@dataclass(frozen=True)
class Constraints:
    """What an answer must keep to; candidates are found among what it leaves.

    Attributes:
        exclude: Item ids never to return.
        within: Name of a property or relation and allowed values, e.g. (("department",
            ("GROCERY",)),), or as a mapping {"department": ["GROCERY"]}; an item must have one
            of them, of every name.
        without: The same of values that no item may have.
        between: Name of a numeric property and the least and the most it may be, both
            included, None where open; an item of which it is not known is left out.
        only: The only item ids to return: what is in stock; all where None.
        exclude_seen: Whether only to return what the user has not taken; to somebody unknown
            everything is new.
    """

    exclude: tuple[str, ...] = ()
    within: tuple[tuple[str, tuple[str, ...]], ...] = ()
    without: tuple[tuple[str, tuple[str, ...]], ...] = ()
    between: tuple[tuple[str, tuple[float | None, float | None]], ...] = ()
    only: tuple[str, ...] | None = None
    exclude_seen: bool = False

    def __post_init__(self) -> None:
        for name in ("within", "without", "between"):
            pairs = named_values(getattr(self, name), name, f"where.{name}")
            object.__setattr__(self, name, pairs)
        for what, values in (("exclude", self.exclude), ("only", self.only)):
            if isinstance(values, str):
                raise InputError(
                    f"{what} must be a sequence, not the one string {values!r}",
                    field=f"where.{what}",
                )
        for name, (least, most) in self.between:
            for value in (least, most):
                if value is not None and (
                    isinstance(value, bool) or not isinstance(value, int | float)
                ):
                    raise InputError(
                        f"between {name}: {value!r} is no number", field="where.between"
                    )
                if value is not None and math.isnan(value):
                    raise InputError(
                        f"between {name}: a bound must not be NaN",
                        field="where.between",
                    )
            if least is not None and most is not None and least > most:
                raise InputError(
                    f"between {name}: the least, {least}, is above the most, {most}",
                    field="where.between",
                )


def named_values(named: Any, what: str, field: str = "") -> tuple[tuple[str, Any], ...]:
    """A mapping, or pairs of a name and values, as pairs of tuples.

    Raises:
        TypeError: It is neither, or values are one string, which would be read letter by letter.
    """
    pairs = list(named.items() if isinstance(named, Mapping) else named)
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise InputError(
            f"{what} must be a mapping from names to values, or pairs of these, not {named!r}",
            field=field or what,
        )
    for name, values in pairs:
        if isinstance(values, str):
            raise InputError(
                f"{what} {name} must be a sequence, not the one string {values!r}",
                field=field or what,
            )
    return tuple((name, tuple(values)) for name, values in pairs)


@dataclass(frozen=True)
class Query:
    """Given some of user, items and words: which items come next?

    Attributes:
        user: A user's id; an unknown one is answered as an anonymous user.
        items: Ids of the context items; unknown ones are passed over. They are never returned.
            Where the graph has users who take items one after the other, the latest comes last.
        text: Words: a query, or the intent of a bundle.
        k: How many items to return, at least 1; more than there are returns all.
        where: What the answer must keep to.
    """

    user: str | None = None
    items: tuple[str, ...] = ()
    text: str | None = None
    k: int = 10
    where: Constraints = Constraints()

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", ids_of(self.items))
        if len(self.items) > MOST_ITEMS:
            raise InputError(
                f"{len(self.items)} items at hand are too many; at most {MOST_ITEMS} can be",
                field="items",
            )
        if self.k < 1:
            raise InputError(f"k must be at least 1, not {self.k}", field="k")


@dataclass(frozen=True)
class Recommendation:
    """One item of an answer.

    Attributes:
        id: The item's id.
        title: What people read.
        score: Higher is better; comparable within one answer.
        text_weight: Share of the text in the item's vector, 0..1; the rest is the graph's.
    """

    id: str
    title: str
    score: float
    text_weight: float


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
class QueryBatch:
    """B queries in rows of the graph's vocabularies.

    Attributes:
        users: (B,) user rows, -1 where nobody is known.
        items: B lists of item rows at hand.
        texts: (B,) words, "" where there are none.
        targets: B lists of the item rows that are right; empty when serving.
        groups: (B,) which queries stand together in the bootstrap (the user, the query).
        masked: B lists of item rows that are no answer, beside those at hand; None where there
            are none.
    """

    users: IntArray
    items: Ragged
    texts: tuple[str, ...]
    targets: Ragged
    groups: IntArray
    masked: Ragged | None = None

    def __len__(self) -> int:
        return len(self.users)

    def told(self, words: bool) -> npt.NDArray[np.bool_]:
        """(B,) whether anything is known that an answer can go by: a user, items or, where they are read, words."""
        known: npt.NDArray[np.bool_] = (self.users >= 0) | (self.items.lengths > 0)
        return (
            known | np.array([bool(text.strip()) for text in self.texts])
            if words
            else known
        )

    def take(self, which: IntArray) -> QueryBatch:
        """The chosen queries."""
        texts = tuple(self.texts[i] for i in which)
        items, targets = self.items.take(which), self.targets.take(which)
        masked = None if self.masked is None else self.masked.take(which)
        return QueryBatch(
            self.users[which], items, texts, targets, self.groups[which], masked
        )

    @cached_property
    def unranked(self) -> Ragged:
        """B lists of the item rows that are no answer: those at hand, and those masked."""
        return self.items if self.masked is None else beside(self.items, self.masked)

    def batches(self, size: int) -> Iterator[QueryBatch]:
        """All queries in order, at most `size` at a time."""
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))


def join(parts: list[QueryBatch]) -> QueryBatch:
    """All asks of several tasks."""
    users = np.concatenate([p.users for p in parts])
    items, targets = (
        _end_to_end([getattr(p, side) for p in parts]) for side in ("items", "targets")
    )
    texts = tuple(text for p in parts for text in p.texts)
    masked = None
    if any(p.masked is not None for p in parts):
        masked = _end_to_end([p.masked or Ragged.of([[]] * len(p)) for p in parts])
    return QueryBatch(
        users, items, texts, targets, np.concatenate([p.groups for p in parts]), masked
    )


def beside(one: Ragged, other: Ragged) -> Ragged:
    """Each list of the one, and behind it the same list of the other."""
    owners = np.concatenate([one.owners, other.owners])
    rows = np.concatenate([one.rows, other.rows])[np.argsort(owners, kind="stable")]
    return Ragged(one.offsets + other.offsets, rows)


def _end_to_end(parts: list[Ragged]) -> Ragged:
    lengths = np.concatenate([np.zeros(1, np.int64), *(p.lengths for p in parts)])
    return Ragged(np.cumsum(lengths), np.concatenate([p.rows for p in parts]))
