"""Beam search: the sets of a pool that meet a plan and go together best, slot by slot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fusion.bundles.problem import Problem
from fusion.bundles.ratings import SetRatings, State, log_total
from fusion.bundles.set_scorer import SetScorer
from fusion.ranking.values import BoolArray
from kg.tables import FloatArray

ALIKE = (
    8.0  # what variety 1 takes from an item's score for being the same as another one
)
SPENT = 5.0  # what it takes to be in an earlier alternative


class Position(NamedTuple):
    """An item still to be chosen: its slot, -1 for none, and (P,) which may be chosen for it."""

    slot: int
    mask: BoolArray


class BeamSearch:
    """Fills the slots of a problem from a pool of P items.

    Args:
        problem: Its conditions.
        scorer: Of a pool that holds the context items.
        variety: As Plan.variety.
        width: How many sets are followed at once.

    Attributes:
        ratings: The scores that it looks up.
        price: (P,) what items cost; 0 where it does not matter.
        budget: The most that all may cost, infinite for no limit.
    """

    def __init__(
        self,
        problem: Problem,
        scorer: SetScorer,
        variety: float = 0.0,
        width: int = 8,
    ) -> None:
        self.problem, self.scorer, self.width = problem, scorer, width
        self.ratings = SetRatings(problem, scorer)
        self.allowed, self.kept = self.ratings.allowed, self.ratings.kept
        rows = scorer.rows
        self.required = [mask[rows] for mask in problem.required()]
        self.price = np.zeros(len(rows))
        if problem.price is not None:
            self.price = np.nan_to_num(problem.price[rows])
        self.budget = np.inf if problem.budget is None else problem.budget + 1e-9
        self.clash = _clashes(problem, scorer)
        self.variety = variety
        self.alike = np.zeros((len(rows), len(rows)), np.float32)
        if variety:
            vectors = scorer.recommender.embeddings.items.fused.cpu().numpy()[rows]
            self.alike = np.maximum(vectors @ vectors.T, 0)

    def beam(self, spent: FloatArray | None = None) -> list[State]:
        """Whole sets that meet the plan, best first; spent (P,) is taken from the items' scores."""
        start = self._seated()
        if start is None:
            return []
        needed, more = self._positions(start)
        reserve = self._reserves(needed)
        states = [start]
        for position, left in zip(needed, reserve, strict=True):
            states = self._step(
                states,
                position,
                left,
                spent,
            )
        found = list(states)
        for position in more:
            # A slot may stay as it is and a later one be filled: all found so far go on.
            given = states + found[: self.width] if position.slot >= 0 else states
            states = self._step(
                given,
                position,
                0.0,
                spent,
            )
            found += states
        unique = {frozenset(s.chosen): s for s in found if self.meets(s)}

        def mean_value(state: State) -> float:
            return state.value / max(len(state.chosen) - len(self.kept), 1)

        return sorted(unique.values(), key=lambda state: -mean_value(state))

    def _reserves(self, needed: Sequence[Position]) -> list[float]:
        """By position, what the cheapest items of all later ones cost."""
        reserves = [0.0]
        for position in reversed(needed[1:]):
            prices = self.price[position.mask & self.allowed]
            cheapest = float(prices.min()) if len(prices) else np.inf
            reserves.append(reserves[-1] + cheapest)
        return reserves[::-1][: len(needed)]

    def _seated(self) -> State | None:
        """The context items, each in a slot that it fits; None where they find no room."""
        room = [slot.most for slot in self.problem.standing()]
        slots: list[int] = []
        for place in self.kept:
            fits = [s for s, mask in enumerate(self.ratings.masks) if mask[place]]
            free = [s for s in fits if room[s] > 0]
            if fits and not free:
                return None
            slots.append(free[0] if free else -1)
            if free:
                room[free[0]] -= 1
        return State(self.kept, tuple(slots), 0.0)

    def _positions(self, start: State) -> tuple[list[Position], list[Position]]:
        """What must be filled, the positions of the fewest items first, and what may be."""
        least, most = self.problem.sizes
        count = len(self.kept)
        held = list(self.kept)
        missing = [mask for mask in self.required if not mask[held].any()]
        if self.ratings.masks:
            needed, more = self._slot_positions(start)
        else:
            anything = Position(-1, np.ones(len(self.allowed), bool))
            size = max(least - count, min(len(missing), most - count), 0)
            needed, more = [anything] * size, [anything] * (most - count - size)
        for mask in missing:
            self._require(needed, mask)
        needed.sort(key=lambda position: int(position.mask.sum()))
        return needed, more[: max(most - count - len(needed), 0)]

    def _slot_positions(self, start: State) -> tuple[list[Position], list[Position]]:
        needed: list[Position] = []
        more: list[Position] = []
        for s, slot in enumerate(self.problem.standing()):
            position = Position(s, self.ratings.masks[s])
            filled = start.slots.count(s)
            needed += [position] * max(slot.least - filled, 0)
            more += [position] * (slot.most - max(slot.least, filled))
        return needed, more

    def _require(
        self,
        needed: list[Position],
        mask: BoolArray,
    ) -> None:
        """Meet a requirement in the position where most items would, and those before it."""
        gains = [int((p.mask & mask & self.allowed).sum()) for p in needed]
        if any(gains):
            best = int(np.argmax(gains))
            needed[best] = Position(needed[best].slot, needed[best].mask & mask)

    def _step(
        self,
        states: Sequence[State],
        position: Position,
        reserve: float,
        spent: FloatArray | None,
    ) -> list[State]:
        """The best sets of one item more."""
        if not states:
            return []
        contexts = [(state.chosen, position.slot) for state in states]
        scores = self.ratings.blend(self.ratings.given(contexts))
        if spent is not None:
            scores = scores - spent
        best: dict[frozenset[int], State] = {}
        for state, score in zip(states, scores, strict=True):
            for grown in self._grown(
                state,
                score,
                position,
                reserve,
            ):
                key = frozenset(grown.chosen)
                if key not in best or grown.value > best[key].value:
                    best[key] = grown
        return sorted(best.values(), key=lambda state: -state.value)[: self.width]

    def _grown(
        self,
        state: State,
        score: FloatArray,
        position: Position,
        reserve: float,
    ) -> list[State]:
        """A set with each of the best items that may still join it."""
        chosen = list(state.chosen)
        open_to = position.mask & self.allowed
        share = score - log_total(score[open_to])
        if self.variety and chosen:
            share = share - ALIKE * self.variety * self.alike[chosen].max(0)
        cost = self.price + self.price[chosen].sum() + reserve
        free = open_to & ~self.clash[chosen].any(0) & (cost <= self.budget)
        places = np.flatnonzero(free)
        order = np.argsort(-share[places], kind="stable")[: self.width]
        return [
            State(
                (*chosen, place),
                (*state.slots, position.slot),
                state.value + float(share[place]),
            )
            for place in places[order].tolist()
        ]

    def meets(self, state: State) -> bool:
        """Whether a set meets every condition; its slots are taken as they are."""
        chosen = np.array(state.chosen, np.int64)
        new = chosen[~np.isin(chosen, self.kept)]
        least, most = self.problem.sizes
        if not least <= len(chosen) <= most or not self.allowed[new].all():
            return False
        if self.price[chosen].sum() > self.budget:
            return False
        if self.clash[np.ix_(chosen, chosen)].sum() > len(chosen):
            return False
        if not all(mask[chosen].any() for mask in self.required):
            return False
        return all(
            slot.least <= state.slots.count(s) <= slot.most
            for s, slot in enumerate(self.problem.standing())
        )

    def improved(
        self,
        state: State,
        rounds: int = 2,
    ) -> State:
        """The set with items exchanged, one after the other, for better ones of the same slot."""
        for _ in range(rounds):
            for n in range(len(state.chosen)):
                if state.chosen[n] not in self.kept:
                    state = self._exchanged(state, n)
        return state

    def _exchanged(
        self,
        state: State,
        n: int,
    ) -> State:
        """The set with the best item for the n-th that still meets the plan."""
        slot = state.slots[n]
        given = self.ratings.given([(state.without(n), slot)])
        score = self.ratings.blend(given)[0]
        score = np.where(self.ratings.fits(slot) & self.allowed, score, -np.inf)
        for place in np.argsort(-score)[: 4 * self.width].tolist():
            if score[place] <= score[state.chosen[n]]:
                break
            changed = state.exchanged(n, place)
            if self.meets(changed):
                return changed
        return state


def _clashes(problem: Problem, scorer: SetScorer) -> BoolArray:
    """(P, P) which two may not be in one set: an item and itself, and what must be apart."""
    count = len(scorer.rows)
    clash = np.zeros((count, count), bool)
    apart = problem.apart()
    if apart is not None:
        inside = np.isin(apart.item, scorer.rows)
        places = [scorer.place[row] for row in apart.item[inside].tolist()]
        has = np.zeros((count, len(apart.names)), np.float32)
        has[places, apart.value[inside]] = 1
        has = has[:, has.any(0)]
        clash = has @ has.T > 0
    np.fill_diagonal(clash, True)
    return clash
