"""Feasible: whether a plan can be met at all, exactly, and if not, which of its conditions are at odds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import scipy.sparse as sp
from scipy.optimize import Bounds, LinearConstraint, milp

from fusion.bundles.plan import MOST
from fusion.ranking.filters import BoolArray, Values
from kg.errors import InputError
from kg.tables import FloatArray, IntArray


class InfeasibleError(InputError):
    """No combination meets a plan.

    Attributes:
        conditions: A smallest set of conditions that cannot be met together: without any one
            of them they can.
    """

    def __init__(self, message: str, conditions: tuple[str, ...]) -> None:
        super().__init__(message, "plan")
        self.conditions = conditions


@dataclass(frozen=True)
class Place:
    """A slot with the items that fit.

    Attributes:
        name: What it is called.
        mask: (I,) which items may stand there.
        least: Items at least.
        most: Items at most.
    """

    name: str
    mask: BoolArray
    least: int
    most: int


@dataclass(frozen=True)
class Problem:
    """A plan in rows of a catalogue of I items; every condition with what people call it.

    Attributes:
        items: I.
        size: Least and most items.
        filters: (I,) by condition, which items not at hand pass it.
        keep: By condition, the row of a context item. It needs neither pass the filters nor
            stand in a slot. Once lifted it may be left out, and may still stay.
        price: (I,) what items cost; None where it does not matter.
        budget: The most that all may cost, None for no limit.
        require: (I,) by condition, of which items there must be one.
        places: The slots.
        different: The values of which no two items may share one.
        kind: What these are called.
        off: Conditions that are lifted.
    """

    items: int
    size: tuple[int, int]
    filters: Mapping[str, BoolArray] = field(default_factory=dict)
    keep: Mapping[str, int] = field(default_factory=dict)
    price: FloatArray | None = None
    budget: float | None = None
    require: Mapping[str, BoolArray] = field(default_factory=dict)
    places: tuple[Place, ...] = ()
    different: Values | None = None
    kind: str = ""
    off: frozenset[str] = frozenset()

    @property
    def conditions(self) -> tuple[str, ...]:
        """What can be lifted, the likeliest to be wanted back first."""
        names = [
            *self.filters,
            self._size,
            *self.require,
            *(self.slot(place) for place in self.places),
        ]
        names += [self._different] if self.different is not None else []
        names += [self._budget] if self.budget is not None else []
        return tuple(name for name in (*names, *self.keep) if name not in self.off)

    @property
    def _size(self) -> str:
        least, most = self.size
        return f"{least} items" if least == most else f"{least} to {most} items"

    @property
    def _budget(self) -> str:
        return f"a budget of {self.budget:g}" if self.budget is not None else ""

    @property
    def _different(self) -> str:
        return f"no two of a {self.kind}"

    @staticmethod
    def slot(place: Place) -> str:
        """What a slot's condition is called."""
        count = (
            f"{place.least}"
            if place.least == place.most
            else f"{place.least} to {place.most}"
        )
        return f"slot {place.name!r} with {count}"

    def without(self, names: Sequence[str]) -> Problem:
        """The same with these conditions lifted."""
        return replace(self, off=self.off | set(names))

    @property
    def kept(self) -> IntArray:
        """Rows of the context items that must be in the combination."""
        return np.array(
            [row for name, row in self.keep.items() if name not in self.off], np.int64
        )

    @property
    def at_hand(self) -> IntArray:
        """Rows of all context items, those first that must be in the combination.

        A lifted one may stay, past filters and slots as before. Otherwise lifting would
        forbid what the condition allowed, and a smallest conflict could not be told.
        """
        lifted = [row for name, row in self.keep.items() if name in self.off]
        return np.concatenate([self.kept, np.array(lifted, np.int64)])

    @property
    def sizes(self) -> tuple[int, int]:
        """Least and most items, as far as this condition holds."""
        return (1, MOST) if self._size in self.off else self.size

    def allowed(self) -> BoolArray:
        """(I,) which items other than the context items may be chosen, slots apart."""
        out = np.ones(self.items, bool)
        for name, mask in self.filters.items():
            if name not in self.off:
                out &= mask
        out[self.at_hand] = False
        return out

    def standing(self) -> list[Place]:
        """The slots; one that is lifted takes any item, and any number."""
        every = np.ones(self.items, bool)
        return [
            Place(p.name, every, 0, MOST) if self.slot(p) in self.off else p
            for p in self.places
        ]

    def wanted(self) -> list[BoolArray]:
        """The requirements that hold."""
        return [mask for name, mask in self.require.items() if name not in self.off]

    def apart(self) -> Values | None:
        """Of what no two may share a value, as far as it holds."""
        return None if self._different in self.off else self.different

    def cheapest(self) -> IntArray | None:
        """The rows of the combination that costs least, ascending; None where there is none within the budget."""
        at_hand, kept = len(self.at_hand), len(self.kept)
        rows = np.concatenate([self.at_hand, self._candidates()])
        count = len(rows)
        if not count:
            return None
        places = self.standing()
        pairs = [
            (s, v)
            for s, place in enumerate(places)
            for v in np.flatnonzero(place.mask[rows]).tolist()
        ]
        slot, variable = np.array(pairs, np.int64).reshape(-1, 2).T
        width = count + len(pairs)
        cost = np.zeros(width)
        if self.price is not None:
            cost[:count] = np.nan_to_num(self.price[rows])
        lines: list[tuple[sp.csr_matrix, float, float]] = []

        def line(
            columns: IntArray,
            least: float,
            most: float,
            values: FloatArray | None = None,
        ) -> None:
            data = np.ones(len(columns)) if values is None else values
            lines.append(
                (
                    sp.csr_matrix(
                        (data, (np.zeros(len(columns), int), columns)), (1, width)
                    ),
                    least,
                    most,
                )
            )

        line(np.arange(count), *self.sizes)
        for s, place in enumerate(places):
            line(count + np.flatnonzero(slot == s), place.least, place.most)
        if places:
            # An item stands in one slot; at hand it may stand in none where it fits none.
            fits = np.bincount(variable, minlength=count) > 0
            own = sp.csr_matrix(
                (np.ones(len(pairs)), (variable, count + np.arange(len(pairs)))),
                (count, width),
            )
            stands = own - sp.eye(count, width, format="csr")
            free = (np.arange(count) < at_hand) & ~fits
            lines.append((stands[~free], 0.0, 0.0))
        for mask in self.wanted():
            line(np.flatnonzero(mask[rows]), 1, np.inf)
        apart = self.apart()
        if apart is not None:
            inside = np.isin(apart.item, rows)
            at = np.searchsorted(np.sort(rows), apart.item[inside])
            shared = (
                np.ones(inside.sum()),
                (apart.value[inside], np.argsort(rows, kind="stable")[at]),
            )
            table = sp.csr_matrix(shared, (len(apart.names), width))
            lines.append((table[np.diff(table.indptr) > 1], -np.inf, 1.0))
        if self.budget is not None and self._budget not in self.off:
            line(np.arange(count), -np.inf, self.budget + 1e-9, cost[:count])
        low = np.concatenate([np.full(m.shape[0], a) for m, a, _ in lines])
        high = np.concatenate([np.full(m.shape[0], b) for m, _, b in lines])
        fixed = np.concatenate([np.ones(kept), np.zeros(width - kept)])
        found = milp(
            cost,
            constraints=LinearConstraint(
                sp.vstack([m for m, _, _ in lines], format="csr"), low, high
            ),
            integrality=np.ones(width),
            bounds=Bounds(fixed, np.ones(width)),
        )
        if found.x is None:
            return None
        chosen: IntArray = np.sort(rows[found.x[:count] > 0.5])
        return chosen

    def _candidates(self) -> IntArray:
        """Rows enough to tell whether and how cheaply the plan can be met.

        Items alike in slots and requirements can stand for each other, so only the cheapest of
        them matter, as many as may be chosen; where no two may share a value, the cheapest of
        each value.
        """
        allowed, places, most = self.allowed(), self.standing(), self.sizes[1]
        if places:
            allowed &= np.any([place.mask for place in places], axis=0)
        rows = np.flatnonzero(allowed)
        alike = np.zeros(len(rows), np.int64)
        for mask in [*(place.mask for place in places), *self.wanted()]:
            alike = np.unique(2 * alike + mask[rows], return_inverse=True)[1]
        price = np.zeros(len(rows)) if self.price is None else self.price[rows]
        apart = self.apart()
        if apart is not None:
            # A combination of values as one random number; without any, a number of the item's own.
            numbers = np.random.default_rng(0).integers(
                1, 2**62, len(apart.names) + self.items
            )
            held, total = np.zeros(self.items, np.int64), np.zeros(self.items, np.int64)
            np.add.at(held, apart.item, 1)
            np.add.at(total, apart.item, numbers[apart.value])
            code = np.where(held > 0, total, numbers[len(apart.names) :])[rows]
            order = np.lexsort((price, code, alike))
            pair = np.stack([alike[order], code[order]])
            first = order[
                np.flatnonzero(np.any(np.diff(pair, prepend=-1) != 0, axis=0))
            ]
            if held[rows].max(initial=0) > 1:
                return rows[first]
            rows, alike, price = rows[first], alike[first], price[first]
        order = np.lexsort((rows, price, alike))
        place = np.arange(len(order)) - np.searchsorted(alike[order], alike[order])
        return rows[order[place < most]]

    def conflict(self) -> tuple[str, ...]:
        """A smallest set of conditions that cannot be met together, () where the plan can be met."""
        if self.cheapest() is not None:
            return ()
        needed, lifted = list(self.conditions), list[str]()
        for name in list(needed):
            if self.without([*lifted, name]).cheapest() is None:
                lifted.append(name)
                needed.remove(name)
        return tuple(needed)

    def check(self) -> None:
        """Raise InfeasibleError where the plan cannot be met, saying why."""
        needed = self.conflict()
        if not needed:
            return
        words = (
            " and ".join([", ".join(needed[:-1]), needed[-1]])
            if len(needed) > 1
            else needed[0]
        )
        message = (
            f"no combination meets {words}{' together' if len(needed) > 1 else ''}"
        )
        if self._budget in needed and self.price is not None:
            least = self.without([self._budget]).cheapest()
            if least is not None:
                message += f"; the cheapest that meets the rest costs {np.nansum(self.price[least]):.4g}"
        raise InfeasibleError(message, needed)
