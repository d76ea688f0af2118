"""Problem: a plan in rows of a catalogue, each condition named as people call it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fusion.bundles.plan import MOST
from fusion.ranking.values import BoolArray, Values
from kg.tables import FloatArray, IntArray


@dataclass(frozen=True)
class ResolvedSlot:
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

    @property
    def condition(self) -> str:
        """What its condition is called."""
        count = f"{self.least}"
        if self.least != self.most:
            count = f"{self.least} to {self.most}"
        return f"slot {self.name!r} with {count}"


@dataclass(frozen=True)
class Problem:
    """A plan in rows of a catalogue of I items; every condition with what people call it.

    Lifting a condition only ever allows more.

    Attributes:
        items: I.
        size: Least and most items.
        filters: (I,) by condition, which items other than the context items pass it.
        keep: By condition, the row of a context item. It needs neither pass the filters nor
            stand in a slot. Once lifted it may be left out, and may still stay.
        price: (I,) what items cost; None where it does not matter.
        budget: The most that all may cost, None for no limit.
        require: (I,) by condition, of which items there must be one.
        slots: The places to fill.
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
    slots: tuple[ResolvedSlot, ...] = ()
    different: Values | None = None
    kind: str = ""
    off: frozenset[str] = frozenset()

    @property
    def conditions(self) -> tuple[str, ...]:
        """What can be lifted, the likeliest to be wanted back first."""
        names = [*self.filters, self._size, *self.require]
        names += [slot.condition for slot in self.slots]
        if self.different is not None:
            names.append(self._different)
        if self.budget is not None:
            names.append(self.budget_condition)
        names += self.keep
        return tuple(name for name in names if name not in self.off)

    @property
    def _size(self) -> str:
        least, most = self.size
        return f"{least} items" if least == most else f"{least} to {most} items"

    @property
    def budget_condition(self) -> str:
        """What the budget's condition is called, "" where there is none."""
        return f"a budget of {self.budget:g}" if self.budget is not None else ""

    @property
    def _different(self) -> str:
        return f"no two of a {self.kind}"

    def without(self, names: Sequence[str]) -> Problem:
        """The same with these conditions lifted."""
        return replace(self, off=self.off | set(names))

    @property
    def kept(self) -> IntArray:
        """Rows of the context items that must be in the combination."""
        rows = [row for name, row in self.keep.items() if name not in self.off]
        return np.array(rows, np.int64)

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

    @property
    def limit(self) -> float:
        """The budget as far as it holds, infinite for none."""
        if self.budget is None or self.budget_condition in self.off:
            return np.inf
        return self.budget

    def allowed(self) -> BoolArray:
        """(I,) which items other than the context items may be chosen, slots apart."""
        out = np.ones(self.items, bool)
        for name, mask in self.filters.items():
            if name not in self.off:
                out &= mask
        out[self.at_hand] = False
        return out

    def standing(self) -> list[ResolvedSlot]:
        """The slots; one that is lifted takes any item, and any number."""
        every = np.ones(self.items, bool)
        return [
            ResolvedSlot(
                slot.name,
                every,
                0,
                MOST,
            )
            if slot.condition in self.off
            else slot
            for slot in self.slots
        ]

    def required(self) -> list[BoolArray]:
        """The requirements that hold."""
        return [mask for name, mask in self.require.items() if name not in self.off]

    def apart(self) -> Values | None:
        """Of what no two may share a value, as far as it holds."""
        return None if self._different in self.off else self.different
