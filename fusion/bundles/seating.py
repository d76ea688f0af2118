"""Seating: which slot each item of a set stands in, by augmenting paths."""

from __future__ import annotations

from collections.abc import Sequence

from fusion.bundles.beam import BeamSearch
from fusion.bundles.ratings import State
from fusion.ranking.values import BoolArray
from kg.tables import IntArray


def seat(search: BeamSearch, rows: IntArray) -> State:
    """The slots of a set that is known to fit.

    First what the slots need is filled, then what they may take. One maximum matching
    (scipy.sparse.csgraph) would seat all items, but might leave a needed place empty.

    Args:
        search: Whose slots, and whose context items come first.
        rows: Of the catalogue, all in the search's pool.
    """
    places = [search.scorer.place[row] for row in rows.tolist()]
    chosen = [*search.kept, *(p for p in places if p not in search.kept)]
    slots = search.problem.standing()
    seating = _Seating(search.ratings.masks)
    for limits in ([slot.least for slot in slots], [slot.most for slot in slots]):
        for item in chosen:
            if item not in seating.slot_of:
                seating.place(item, limits, set())
    seats = tuple(seating.slot_of.get(item, -1) for item in chosen)
    return State(tuple(chosen), seats, 0.0)


class _Seating:
    """Which slot each item stands in so far."""

    def __init__(self, masks: Sequence[BoolArray]) -> None:
        self.masks = masks
        self.slot_of: dict[int, int] = {}

    def place(
        self,
        item: int,
        limits: Sequence[int],
        tried: set[int],
    ) -> bool:
        """Whether the item finds a slot, others moving on where they can."""
        for slot, mask in enumerate(self.masks):
            if not mask[item] or slot in tried:
                continue
            tried.add(slot)
            sitting = [other for other, at in self.slot_of.items() if at == slot]
            free = len(sitting) < limits[slot]
            if free or any(self.place(other, limits, tried) for other in sitting):
                self.slot_of[item] = slot
                return True
        return False
