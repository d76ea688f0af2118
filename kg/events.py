"""Events: who interacted with which item, when, read off interactions and memberships."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kg.ragged import owners, pair_key, ranges
from kg.schema import GraphSchema
from kg.tables import FloatArray, IntArray, Vocab

EdgeKey = tuple[str, str, str]


@dataclass(frozen=True)
class EdgeList:
    """E edges of one type as rows of their ends.

    Attributes:
        source: (E,) rows of the source type.
        target: (E,) rows of the target type.
        weight: (E,) strengths, all 1 where the type has none.
        time: (E,) when, NaN where the type has none.
    """

    source: IntArray
    target: IntArray
    weight: FloatArray
    time: FloatArray

    def __len__(self) -> int:
        return len(self.source)

    def take(self, which: npt.NDArray[np.bool_] | IntArray) -> EdgeList:
        """The chosen edges."""
        return EdgeList(
            self.source[which],
            self.target[which],
            self.weight[which],
            self.time[which],
        )

    def flipped(self) -> EdgeList:
        """The same edges, the other way."""
        return EdgeList(self.target, self.source, self.weight, self.time)


@dataclass(frozen=True)
class Events:
    """Who interacted with which item, when, and in which bundle.

    An interaction with a bundle stands here as one event for each of its items.

    The items taken alone come first, in the order of the interaction edges. A bundle that
    several users took stands here once for each; where both the interaction and the membership
    have a time, the later one counts.

    Attributes:
        user: (E,) user rows, -1 where nobody is known.
        bundle: (E,) bundle rows, -1 where the item was taken alone.
        item: (E,) item rows.
        time: (E,) when, NaN where unknown.
        words: By bundle row, what people called the bundle; empty where the bundle type has no
            text.
    """

    user: IntArray
    bundle: IntArray
    item: IntArray
    time: FloatArray
    words: tuple[str, ...] = ()

    @classmethod
    def join(cls, parts: Sequence[Events], words: tuple[str, ...] = ()) -> Events:
        """All events of several parts, in order."""
        none = np.zeros(0, np.int64)
        user, bundle, item = (
            np.concatenate([none, *(getattr(p, f) for p in parts)])
            for f in ("user", "bundle", "item")
        )
        return cls(
            user,
            bundle,
            item,
            np.concatenate([np.zeros(0), *(p.time for p in parts)]),
            words,
        )

    def __len__(self) -> int:
        return len(self.item)

    @property
    def lasting(self) -> npt.NDArray[np.bool_]:
        """(E,) whether it is of a bundle that has no user and no time, as an editor's outfit.

        Such an event is a fact, not an act.
        """
        acts = np.zeros(
            self.bundle.max(initial=-1) + 2, bool
        )  # by bundle, and nothing for -1
        acts[self.bundle[(self.user >= 0) | ~np.isnan(self.time)]] = True
        lasting: npt.NDArray[np.bool_] = (self.bundle >= 0) & ~acts[self.bundle]
        return lasting

    def take(self, which: npt.NDArray[np.bool_] | IntArray) -> Events:
        """The chosen events."""
        return Events(
            self.user[which],
            self.bundle[which],
            self.item[which],
            self.time[which],
            self.words,
        )


def event_keys(events: Events, items: int) -> npt.NDArray[np.complex128]:
    """(E,) keys that tell events apart by user, item and time.

    An unknown time is equal to itself.
    """
    # A complex number is a pair that numpy sorts and compares: (user and item, time).
    time = np.nan_to_num(events.time, nan=-1e300)
    return pair_key(events.user, events.item, items) + 1j * time


def events_of(
    schema: GraphSchema,
    vocabs: Mapping[str, Vocab],
    edges: Mapping[EdgeKey, EdgeList],
    words: tuple[str, ...],
) -> Events:
    """The interactions and memberships among some edges, as events."""
    none = np.zeros(0, np.int64)
    bundle = schema.of_role("bundle")
    roles = {e.name: e.role for e in schema.edges}
    taken = [(key[2], e) for key, e in edges.items() if roles[key[1]] == "interaction"]
    parts = [
        Events(
            e.source,
            np.full(len(e), -1),
            e.target,
            e.time,
        )
        for end, e in taken
        if end == schema.item.name
    ]
    if bundle is not None:
        owned = [e for end, e in taken if end == bundle.name]
        user = np.concatenate([none, *(e.source for e in owned)])
        owner_of = np.concatenate([none, *(e.target for e in owned)])
        time = np.concatenate([np.zeros(0), *(e.time for e in owned)])
        order = np.argsort(owner_of, kind="stable")
        # Row -1, nobody at no time, stands for the owner of a bundle that has none.
        user, time = np.append(user[order], -1), np.append(time[order], np.nan)
        count = np.bincount(owner_of, minlength=len(vocabs[bundle.name]))
        start = np.cumsum(count) - count
        for (_, name, _), edge in edges.items():
            if roles[name] == "membership":
                repeats = np.maximum(count[edge.source], 1)
                owned_from = np.where(count[edge.source] > 0, start[edge.source], -1)
                rows = ranges(owned_from, repeats)
                member = edge.take(owners(repeats))
                later = np.fmax(member.time, time[rows])
                parts.append(
                    Events(
                        user[rows],
                        member.source,
                        member.target,
                        later,
                    )
                )
    return Events.join(parts, words)
