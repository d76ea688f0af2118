"""Ratings: what each item of a candidate set is worth given the rest of its set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fusion.bundles.problem import Problem
from fusion.bundles.set_scorer import SetScorer
from fusion.ranking.values import BoolArray
from kg.tables import FloatArray

ALONE = 0.5  # weight of an item's score for the query alone, beside that given the other items

# Places chosen, and the slot that is to be filled beside them, -1 for none.
Context = tuple[tuple[int, ...], int]


class State(NamedTuple):
    """Places of the pool chosen so far, the slot of each (-1 for none), and the search's value."""

    chosen: tuple[int, ...]
    slots: tuple[int, ...]
    value: float

    def without(self, n: int) -> tuple[int, ...]:
        """All places but the n-th."""
        return self.chosen[:n] + self.chosen[n + 1 :]

    def exchanged(
        self,
        n: int,
        place: int,
    ) -> State:
        """The n-th place exchanged for another."""
        chosen = (*self.chosen[:n], place, *self.chosen[n + 1 :])
        return State(chosen, self.slots, self.value)


class Rated(NamedTuple):
    """A whole set with the score of each item given the rest, and that of the whole."""

    state: State
    items: FloatArray
    score: float


class SetRatings:
    """Scores of a pool's P items beside sets of them; what was scored before is looked up.

    Args:
        problem: Its conditions.
        scorer: Of a pool that holds the context items.

    Attributes:
        allowed: (P,) which may be chosen.
        masks: By slot, (P,) which fit.
        kept: Places of the context items.
        weighed: (P,) of which scores are wanted.
        alone: (P,) scores beside the context items alone.
    """

    def __init__(
        self,
        problem: Problem,
        scorer: SetScorer,
    ) -> None:
        rows = scorer.rows
        self.problem, self.scorer = problem, scorer
        self.allowed = problem.allowed()[rows]
        self.masks = [slot.mask[rows] for slot in problem.slots]
        self.kept = tuple(scorer.place[row] for row in problem.kept.tolist())
        self.weighed = self.allowed.copy()
        self.weighed[list(self.kept)] = True
        self.alone = scorer.score([self.kept])[0]
        slots = range(-1, len(self.masks))
        self._known = {(self.kept, slot): self.alone for slot in slots}

    def fits(self, slot: int) -> BoolArray:
        """(P,) which fit a slot; all where it is -1."""
        return self.masks[slot] if slot >= 0 else np.ones(len(self.allowed), bool)

    def given(self, contexts: Sequence[Context]) -> FloatArray:
        """(L, P) scores of what is weighed for a slot beside a set, -inf for all else."""
        new = [c for c in dict.fromkeys(contexts) if c not in self._known]
        # What stands in no slot is weighed against everything: not in one batch with the few
        # of a slot.
        self._score([c for c in new if c[1] >= 0])
        self._score([c for c in new if c[1] < 0])
        return np.stack([self._known[c] for c in contexts])

    def _score(self, contexts: Sequence[Context]) -> None:
        if not contexts:
            return
        wanted = {
            slot: np.flatnonzero(self.weighed & self.fits(slot)) for _, slot in contexts
        }
        width = max(map(len, wanted.values()))
        only = np.stack([np.resize(wanted[slot], width) for _, slot in contexts])
        scores = self.scorer.score([places for places, _ in contexts], only)
        self._known.update(zip(contexts, scores, strict=True))

    def blend(self, scores: FloatArray) -> FloatArray:
        """(B, P) given the chosen items, pulled towards what they are for the query alone."""
        alone = np.where(np.isfinite(scores), self.alone, 0)
        blended: FloatArray = (1 - ALONE) * scores + ALONE * alone
        return blended

    def rate(self, states: Sequence[State]) -> list[Rated]:
        """Each set's items given the rest, as log of their share among what could stand there.

        The score of the whole is the mean of the same of the blended scores.
        """
        if not states:
            return []
        slots = np.array([slot for state in states for slot in state.slots])
        own = np.array([place for state in states for place in state.chosen])
        rest = [state.without(n) for state in states for n in range(len(state.chosen))]
        given = self.given(list(zip(rest, slots.tolist(), strict=True)))
        # An item of the context has no score alone: its own given the rest stands in.
        alone = np.where(np.isfinite(self.alone[own])[:, None], self.alone, given)
        alone = np.where(np.isfinite(given), alone, 0)
        both = (1 - ALONE) * given + ALONE * alone
        every = np.ones(len(self.allowed), bool)
        masks = np.stack([*self.masks, every])  # the last for none, slot -1
        among, line = masks[slots] & self.allowed, np.arange(len(own))
        among[line, own] = True

        def share(scores: FloatArray) -> FloatArray:
            total = log_total(np.where(among, scores, -np.inf))
            own_share: FloatArray = scores[line, own] - total
            return own_share

        ends = np.cumsum([len(state.chosen) for state in states])[:-1]
        items, whole = np.split(share(given), ends), np.split(share(both), ends)
        return [
            Rated(state, each, float(blended.mean()))
            for state, each, blended in zip(
                states,
                items,
                whole,
                strict=True,
            )
        ]


def log_total(scores: FloatArray) -> FloatArray:
    """Logarithm of the sum of exp over the last axis; 0 for nothing."""
    if not scores.shape[-1]:
        return np.zeros(scores.shape[:-1])
    highest = np.maximum(scores.max(-1, keepdims=True), -1e30)
    total = np.exp(scores - highest).sum(-1, keepdims=True)
    log: FloatArray = (highest + np.log(np.maximum(total, 1e-300)))[..., 0]
    return log
