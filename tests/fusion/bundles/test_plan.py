"""Plans say at once what is wrong with them."""

import pytest

from fusion.bundles.plan import Plan, Slot
from kg.errors import InputError


@pytest.mark.parametrize(
    ("text", "slot"),
    [
        ("shoes", Slot("shoes")),
        ("2 socks", Slot("socks", (), 2, 2)),
        ("1-3 tops", Slot("tops", (), 1, 3)),
        ("bag?", Slot("bag", (), 0, 1)),
        ("2 belts ?", Slot("belts", (), 0, 2)),
        ("head lettuce", Slot("head lettuce")),
        (
            "top=group:Knitwear|Shirts",
            Slot("top", (("group", ("Knitwear", "Shirts")),)),
        ),
        (
            "top? = in group: Dry beans ",
            Slot("top", (("in group", ("Dry beans",)),), 0, 1),
        ),
    ],
)
def test_slots_are_read(text, slot):
    assert Slot.parse(text) == slot


@pytest.mark.parametrize(
    "text",
    ["", "?", "top=", "top=group", "top=group:", "=group:x", "0 tops", "3-2 tops"],
)
def test_what_is_no_slot_is_refused(text):
    with pytest.raises(ValueError, match="slot"):
        Slot.parse(text)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"budget": -1.0}, "budget: -1.0 is no amount of money"),
        ({"item_budget": float("nan")}, "item_budget: nan is no amount"),
        ({"budget": float("inf")}, "budget: inf is no amount"),
        ({"size": (3, 2)}, "size: from 3 to 2 is no range"),
        ({"size": (0, 2)}, "size: from 0 to 2 is no range"),
        ({"size": (1, 51)}, "size: from 1 to 51 is no range within 1 to 50"),
        (
            {"slots": (Slot("top"), Slot("top"))},
            "two slots are called 'top'; give one a count, as in '2 top'",
        ),
        (
            {"slots": (Slot("a", (), 2, 2), Slot("b", (), 2, 2)), "size": (1, 3)},
            "want at least 4 items, the size all",
        ),
        ({"season": 13}, "season: 13 is no month"),
        ({"variety": 1.5}, "variety must be in 0..1"),
        ({"overlap": -0.5}, "overlap must be in 0..1"),
        ({"complements": -1.0}, "complements must be in 0..10"),
        ({"alternatives": 0}, "alternatives must be in 1..20"),
    ],
)
def test_contradictions_are_refused(settings, fault):
    with pytest.raises(ValueError, match=fault):
        Plan(**settings)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (
            {"require": (("colour", "red"),)},
            "require colour must be a sequence, not the one string 'red'",
        ),
        (
            {"require": ("colour", "red")},
            "require must be a mapping from names to values",
        ),
        ({"slots": "shoes"}, "slots must be a sequence of Slot, not of str"),
        (
            {"slots": ("shoes", "bag?")},
            "slots must be a sequence of Slot, not of str; Slot.parse reads words",
        ),
    ],
)
def test_one_string_is_not_read_letter_by_letter(settings, fault):
    with pytest.raises(InputError, match=fault):
        Plan(**settings)
    with pytest.raises(
        InputError,
        match="slot 'top': group must be a sequence, not the one string 'Shirts'",
    ):
        Slot("top", (("group", "Shirts"),))  # type: ignore[arg-type]
    assert Plan(require={"colour": ["red"]}) == Plan(require=(("colour", ("red",)),))  # type: ignore[arg-type]


def test_sizes_follow_from_slots_and_what_is_at_hand():
    assert (
        Plan().sizes(0) == (3, 5)
        and Plan().sizes(4) == (5, 5)
        and Plan().sizes(7) == (8, 8)
    )
    assert Plan(size=(2, 4)).sizes(3) == (2, 4)
    assert Plan(slots=(Slot("a", (), 2, 2), Slot("b", (), 0, 1))).sizes(1) == (1, 4)
