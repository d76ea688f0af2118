"""Values: which items have which values of one attribute or property."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from kg.tables import IntArray

BoolArray: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Values:
    """The values that items have of one attribute or property.

    Attributes:
        names: V ids.
        titles: V what people read.
        item: (E,) item rows, ascending.
        value: (E,) which of the V each has.
        items: I.
    """

    names: list[str]
    titles: list[str]
    item: IntArray
    value: IntArray
    items: int

    @cached_property
    def _index(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for code, texts in enumerate(zip(self.names, self.titles, strict=True)):
            for text in {text.casefold() for text in texts}:
                found.setdefault(text, []).append(code)
        return found

    def called(self, wanted: str) -> list[int]:
        """The values with this id or title, in the very spelling or else in any case."""
        codes = self._index.get(wanted.casefold(), [])
        return [c for c in codes if wanted in (self.names[c], self.titles[c])] or codes

    def mask(self, values: Iterable[int]) -> BoolArray:
        """(I,) which items have one of these values."""
        wanted, out = np.zeros(len(self.names), bool), np.zeros(self.items, bool)
        wanted[list(values)] = True
        out[self.item[wanted[self.value]]] = True
        return out

    def codes(self) -> IntArray:
        """(I,) one value an item, of several the rarest; -1 where it has none."""
        rarity = np.bincount(self.value, minlength=len(self.names))
        # The rarest are written last.
        order = np.lexsort((self.value, -rarity[self.value]))
        out = np.full(self.items, -1)
        out[self.item[order]] = self.value[order]
        return out
