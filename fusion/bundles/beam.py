"""Search: the sets of a pool that meet a plan and go together best, by beam search over the slots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fusion.bundles.feasibility import Problem
from fusion.bundles.set_scorer import Pool
from fusion.ranking.values import BoolArray
from kg.tables import FloatArray

ALIKE = (
    8.0  # what variety 1 takes from an item's score for being the same as another one
)
ALONE = 0.5  # how much an item's score for the query alone counts beside its score given the other items
SPENT = 5.0  # what it takes to be in an earlier alternative


class State(NamedTuple):
    """Chosen places of the pool, the slot of each (-1 for none), and how good the search finds them."""

    chosen: tuple[int, ...]
    slots: tuple[int, ...]
    value: float


class Rated(NamedTuple):
    """A whole set with the score of each item given the rest, and that of the whole."""

    state: State
    items: FloatArray
    score: float


class Search:
    """Fills the slots of a problem from a pool.

    Args:
        problem: Its conditions.
        pool: Holds the context items.
        variety: As Plan.variety.
        width: How many sets are followed at once.
    """

    def __init__(
        self, problem: Problem, pool: Pool, variety: float = 0.0, width: int = 8
    ) -> None:
        self.problem, self.pool, self.width = problem, pool, width
        rows = pool.rows
        self.allowed = problem.allowed()[rows]
        self.masks = [place.mask[rows] for place in problem.places]
        self.wanted = [mask[rows] for mask in problem.wanted()]
        self.price = (
            np.zeros(len(rows))
            if problem.price is None
            else np.nan_to_num(problem.price[rows])
        )
        self.budget = np.inf if problem.budget is None else problem.budget + 1e-9
        self.kept = tuple(pool.place[row] for row in problem.kept.tolist())
        self.clash = np.zeros((len(rows), len(rows)), bool)
        apart = problem.apart()
        if apart is not None:
            inside = np.isin(apart.item, rows)
            held = np.zeros((len(rows), len(apart.names)), np.float32)
            held[
                [pool.place[row] for row in apart.item[inside].tolist()],
                apart.value[inside],
            ] = 1
            held = held[:, held.any(0)]
            self.clash = held @ held.T > 0
        self.weighed = self.allowed.copy()  # what scores are wanted of
        self.weighed[list(self.kept)] = True
        self.alone = pool.score([self.kept])[0]
        self._known = {
            (self.kept, slot): self.alone for slot in range(-1, len(self.masks))
        }
        self.variety = variety
        self.alike = np.zeros((len(rows), len(rows)), np.float32)
        if variety:
            vectors = pool.recommender.embeddings.items.fused.cpu().numpy()[rows]
            self.alike = np.maximum(vectors @ vectors.T, 0)
        np.fill_diagonal(self.clash, True)

    def beam(self, spent: FloatArray | None = None) -> list[State]:
        """Whole sets that meet the plan, best first; spent (P,) is taken from the items' scores."""
        start = self._seated()
        if start is None:
            return []
        needed, more = self._positions(start)
        reserve = [0.0]
        for _, mask in reversed(needed):
            left = self.price[mask & self.allowed]
            reserve.append(reserve[-1] + (float(left.min()) if len(left) else np.inf))
        states = [start]
        for step, (slot, mask) in enumerate(needed):
            states = self._step(
                states, slot, mask, reserve[len(needed) - step - 1], spent
            )
        found = list(states)
        for slot, mask in more:
            states = self._step(
                states + found[: self.width] if slot >= 0 else states,
                slot,
                mask,
                0.0,
                spent,
            )
            found += states
        unique = {frozenset(s.chosen): s for s in found if self.meets(s)}
        count = len(self.kept)
        return sorted(
            unique.values(), key=lambda s: -s.value / max(len(s.chosen) - count, 1)
        )

    def _seated(self) -> State | None:
        """The context items, each in a slot that it fits; None where they find no room."""
        slots, room = [], [place.most for place in self.problem.standing()]
        for place in self.kept:
            fits = [s for s, mask in enumerate(self.masks) if mask[place]]
            free = [s for s in fits if room[s] > 0]
            if fits and not free:
                return None
            slots.append(free[0] if free else -1)
            if free:
                room[free[0]] -= 1
        return State(self.kept, tuple(slots), 0.0)

    def _positions(
        self, start: State
    ) -> tuple[list[tuple[int, BoolArray]], list[tuple[int, BoolArray]]]:
        """The (slot, which items) that must be filled, those of the fewest items first, and those that may be."""
        least, most = self.problem.sizes
        needed, more = [], []
        for s, (place, mask) in enumerate(
            zip(self.problem.standing(), self.masks, strict=True)
        ):
            taken = start.slots.count(s)
            needed += [(s, mask)] * max(place.least - taken, 0)
            more += [(s, mask)] * (place.most - max(place.least, taken))
        count = len(self.kept)
        missing = [mask for mask in self.wanted if not mask[list(self.kept)].any()]
        if not self.masks:
            every = np.ones(len(self.pool.rows), bool)
            size = max(least - count, min(len(missing), most - count), 0)
            needed, more = [(-1, every)] * size, [(-1, every)] * (most - count - size)
        for mask in missing:
            # In the place where most items would meet it, and those before it.
            gains = [(both & mask & self.allowed).sum() for _, both in needed]
            if gains and max(gains):
                best = int(np.argmax(gains))
                needed[best] = (needed[best][0], needed[best][1] & mask)
        needed.sort(key=lambda position: int(position[1].sum()))
        return needed, more[: max(most - count - len(needed), 0)]

    def _step(
        self,
        states: Sequence[State],
        slot: int,
        mask: BoolArray,
        reserve: float,
        spent: FloatArray | None,
    ) -> list[State]:
        if not states:
            return []
        scores = self._blend(self._given([(s.chosen, slot) for s in states]))
        if spent is not None:
            scores = scores - spent
        best: dict[frozenset[int], State] = {}
        for state, score in zip(states, scores, strict=True):
            chosen = list(state.chosen)
            free = mask & self.allowed & ~self.clash[chosen].any(0)
            share = score - _total(score[mask & self.allowed])
            free &= self.price + self.price[chosen].sum() + reserve <= self.budget
            if self.variety and chosen:
                share = share - ALIKE * self.variety * self.alike[chosen].max(0)
            places = np.flatnonzero(free)
            for place in places[
                np.argsort(-share[places], kind="stable")[: self.width]
            ].tolist():
                value = state.value + float(share[place])
                key = frozenset((*chosen, place))
                if key not in best or value > best[key].value:
                    best[key] = State((*chosen, place), (*state.slots, slot), value)
        return sorted(best.values(), key=lambda s: -s.value)[: self.width]

    def _given(self, lines: Sequence[tuple[tuple[int, ...], int]]) -> FloatArray:
        """(L, P) scores of what is weighed for a slot beside a set, by set and slot; what was asked before is kept."""
        new = [line for line in dict.fromkeys(lines) if line not in self._known]
        # What stands in no slot is weighed against everything: not in one batch with the few
        # of a slot.
        for some in (
            [line for line in new if line[1] >= 0],
            [line for line in new if line[1] < 0],
        ):
            if some:
                may = {
                    s: np.flatnonzero(
                        self.weighed & (self.masks[s] if s >= 0 else True)
                    )
                    for _, s in some
                }
                width = max(map(len, may.values()))
                only = np.stack([np.resize(may[s], width) for _, s in some])
                self._known.update(
                    zip(
                        some,
                        self.pool.score([places for places, _ in some], only),
                        strict=True,
                    )
                )
        return np.stack([self._known[line] for line in lines])

    def _blend(self, scores: FloatArray) -> FloatArray:
        """(B, P) given the chosen items, pulled towards what they are for the query alone."""
        blended: FloatArray = (1 - ALONE) * scores + ALONE * np.where(
            np.isfinite(scores), self.alone, 0
        )
        return blended

    def meets(self, state: State) -> bool:
        """Whether a set meets every condition; its slots are taken as they are."""
        chosen = np.array(state.chosen, np.int64)
        new = chosen[~np.isin(chosen, self.kept)]
        least, most = self.problem.sizes
        clash = self.clash[np.ix_(chosen, chosen)]
        return bool(
            least <= len(chosen) <= most
            and self.allowed[new].all()
            and self.price[chosen].sum() <= self.budget
            and not (clash.sum() > len(chosen))
            and all(mask[chosen].any() for mask in self.wanted)
            and all(
                place.least <= state.slots.count(s) <= place.most
                for s, place in enumerate(self.problem.standing())
            )
        )

    def rate(self, states: Sequence[State]) -> list[Rated]:
        """Each set's items given the rest, as log of their share among the pool's items that could stand there.

        The score of the whole is the mean of the same of the blended scores.
        """
        if not states:
            return []
        slots = np.array([slot for state in states for slot in state.slots])
        own = np.array([place for state in states for place in state.chosen])
        rest = [
            state.chosen[:n] + state.chosen[n + 1 :]
            for state in states
            for n in range(len(state.chosen))
        ]
        given = self._given(list(zip(rest, slots.tolist(), strict=True)))
        alone = np.where(np.isfinite(self.alone[own])[:, None], self.alone, given)
        both = (1 - ALONE) * given + ALONE * np.where(np.isfinite(given), alone, 0)
        masks = np.stack(
            [*self.masks, np.ones(len(self.allowed), bool)]
        )  # the last for none, slot -1
        among, at = masks[slots] & self.allowed, np.arange(len(own))
        among[at, own] = True
        items, blended = (
            score[at, own] - _total(np.where(among, score, -np.inf))
            for score in (given, both)
        )
        ends = np.cumsum([len(state.chosen) for state in states])
        parts = zip(
            states,
            np.split(items, ends[:-1]),
            np.split(blended, ends[:-1]),
            strict=True,
        )
        return [Rated(state, own, float(whole.mean())) for state, own, whole in parts]

    def improved(self, state: State, rounds: int = 2) -> State:
        """The set with items exchanged for better ones of the same slot, one after the other, while the plan is met."""
        for _ in range(rounds):
            for n, (place, slot) in enumerate(
                zip(state.chosen, state.slots, strict=True)
            ):
                if place in self.kept:
                    continue
                rest = state.chosen[:n] + state.chosen[n + 1 :]
                mask = (
                    self.masks[slot] if slot >= 0 else np.ones(len(self.allowed), bool)
                ) & self.allowed
                score = np.where(
                    mask, self._blend(self._given([(rest, slot)]))[0], -np.inf
                )
                for other in np.argsort(-score)[: 4 * self.width].tolist():
                    if score[other] <= score[place]:
                        break
                    changed = State(
                        (*rest[:n], other, *rest[n:]), state.slots, state.value
                    )
                    if self.meets(changed):
                        state = changed
                        break
        return state


def _total(scores: FloatArray) -> FloatArray:
    """Logarithm of the sum of exp over the last axis; 0 for nothing."""
    if not scores.shape[-1]:
        return np.zeros(scores.shape[:-1])
    highest = np.maximum(scores.max(-1, keepdims=True), -1e30)
    total: FloatArray = (
        highest
        + np.log(np.maximum(np.exp(scores - highest).sum(-1, keepdims=True), 1e-300))
    )[..., 0]
    return total
