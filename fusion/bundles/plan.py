"""Plan: what a combination must keep to, in the shopper's own terms."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from fusion.query import Constraints, named_values
from kg.errors import InputError

Named = tuple[tuple[str, tuple[str, ...]], ...]
MOST = 50  # items of a combination
_SLOT = re.compile(r"(?:(\d+)(?:-(\d+))?\s+)?([^=?]+?)\s*(\?)?\s*(?:=\s*(.+))?")


@dataclass(frozen=True)
class Slot:
    """A place in a combination.

    Attributes:
        name: What it is called: "top".
        within: What may stand there, as Constraints.within; where empty, what the name means:
            the category of that name, or all values of an attribute that hold its words.
        least: How many items stand there at least; 0 makes the slot optional.
        most: How many at most.
    """

    name: str
    within: Named = ()
    least: int = 1
    most: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "within", named_values(self.within, f"slot {self.name!r}:", "slots")
        )
        if not self.name.strip():
            raise InputError("a slot must have a name", field="slots")
        if not 0 <= self.least <= self.most or self.most < 1:
            raise InputError(
                f"slot {self.name!r}: from {self.least} to {self.most} items is no range",
                field="slots",
            )

    @classmethod
    def parse(cls, text: str) -> Slot:
        """From "shoes", "2 socks", "1-3 tops", "bag?" (optional) or "top = group: Shirts | Tops".

        Raises:
            InputError: It is none of these.
        """
        found = _SLOT.fullmatch(text.strip())
        if found is None:
            raise InputError(
                f'slot {text!r} is not like "shoes", "2 socks", "bag?" or "top = group: Shirts"',
                field="slots",
            )
        least, most, name, optional, meaning = found.groups()
        within: Named = ()
        if meaning:
            attribute, colon, values = meaning.partition(":")
            chosen = tuple(
                value.strip() for value in values.split("|") if value.strip()
            )
            if not colon or not attribute.strip() or not chosen:
                raise InputError(
                    f"slot {text!r}: after = comes an attribute, a colon and values, divided by |",
                    field="slots",
                )
            within = ((attribute.strip(), chosen),)
        count = int(least or 1)
        return cls(
            name,
            within,
            0 if optional else count,
            int(most or count),
        )


@dataclass(frozen=True)
class Piece:
    """An item of a combination.

    Attributes:
        id: The item's id.
        title: What people read.
        score: How well it goes with the rest, the user and the words: log of its share among
            all that was weighed for the combination, so at most 0.
        price: None where it is not known.
        slot: The slot it stands in, "" for none.
        kept: Whether it is a context item.
    """

    id: str
    title: str
    score: float
    price: float | None = None
    slot: str = ""
    kept: bool = False


@dataclass(frozen=True)
class Combination:
    """Items that go together.

    Attributes:
        items: In the order of the slots, context items first where there are none.
        score: The mean of theirs; comparable among the combinations of one answer.
        price: Of all together; None where a price is not known.
        weakest: The id of the item that goes least well with the rest; of those that are no
            context items where there are any.
    """

    items: tuple[Piece, ...]
    score: float
    price: float | None
    weakest: str


@dataclass(frozen=True)
class Plan:
    """The conditions of a combination; as it stands three to five items, three alternatives.

    Context items are kept: they count in the size, the budget, the slots that they fit, and
    where no two may be of a kind, but need not be in stock or pass `where`.

    Attributes:
        size: Least and most items, context items included; None is what the slots add up to,
            or 3 to 5.
        budget: The most that all items may cost together.
        item_budget: The most that each other item may cost.
        price: The property that holds prices.
        where: What other items keep to: forbidden values, stock, ranges, ...
        require: Of each name, at least one item has one of these values.
        slots: The places to fill; every other item stands in one. Empty for no places.
        different: An attribute or property of which no two items share a value: "category"; ""
            for none.
        season: A month, 1 to 12, whose items are preferred, learned from when they were taken;
            None for none.
        complements: How much more items are wanted that go with the others than items that
            could stand in for them, 0 for as the model has it.
        variety: How much unlike each other the items should be, 0..1.
        alternatives: How many combinations.
        overlap: The largest share of their items, context items apart, that two alternatives
            may have in common.
    """

    size: tuple[int, int] | None = None
    budget: float | None = None
    item_budget: float | None = None
    price: str = "price"
    where: Constraints = Constraints()
    require: Named = ()
    slots: tuple[Slot, ...] = ()
    different: str = ""
    season: int | None = None
    complements: float = 0.0
    variety: float = 0.0
    alternatives: int = 3
    overlap: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "slots", tuple(self.slots))
        object.__setattr__(self, "require", named_values(self.require, "require"))
        self._check_slots()
        self._check_money()
        self._check_size()
        self._check_ranges()

    def _check_slots(self) -> None:
        for slot in self.slots:
            if not isinstance(slot, Slot):
                given = type(slot).__name__
                raise InputError(
                    f"slots must be a sequence of Slot, not of {given}; Slot.parse reads words",
                    field="slots",
                )
        names = [slot.name for slot in self.slots]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            name = min(twice)
            raise InputError(
                f"two slots are called {name!r}; give one a count, as in '2 {name}'",
                field="slots",
            )

    def _check_money(self) -> None:
        for name in ("budget", "item_budget"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name}: {value} is no amount of money", field=name)

    def _check_size(self) -> None:
        low, high = self.size or (1, MOST)
        if not 1 <= low <= high <= MOST:
            raise InputError(
                f"size: from {low} to {high} is no range within 1 to {MOST}",
                field="size",
            )
        least = sum(slot.least for slot in self.slots)
        if least > high:
            raise InputError(
                f"the slots want at least {least} items, the size allows {high}",
                field="slots",
            )

    def _check_ranges(self) -> None:
        if self.season is not None and self.season not in range(1, 13):
            raise InputError(
                f"season: {self.season} is no month; 1 to 12 are",
                field="season",
            )
        ranges = {
            "variety": (0, 1),
            "overlap": (0, 1),
            "complements": (0, 10),
            "alternatives": (1, 20),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(
                    f"{name} must be in {low}..{high}, not {value}",
                    field=name,
                )

    def sizes(self, kept: int) -> tuple[int, int]:
        """Least and most items where `kept` items are at hand."""
        if self.size is not None:
            return self.size
        if self.slots:
            return max(1, kept), min(MOST, kept + sum(slot.most for slot in self.slots))
        return max(3, kept + 1), max(5, kept + 1)
