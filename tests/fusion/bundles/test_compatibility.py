"""How well items go together, and the best swap."""

import pytest

from fusion.bundles.plan import Plan
from fusion.query import Constraints
from kg.errors import DataError, InputError


def colour(served, item):
    return served.title(served.items.row(item)).split()[0]


@pytest.mark.parametrize("given", ["i001", ""])
def test_one_string_is_not_taken_for_its_letters(served, given):
    for query in (
        served.complete,
        served.compatibility,
        lambda items: served.build(items=items),
        lambda items: served.rank_bundles(items=items),
    ):
        with pytest.raises(InputError) as caught:
            query(given)
        assert caught.value.field == "items"
    with pytest.raises(InputError) as caught:
        served.rank_bundles({"b": given})
    assert caught.value.field == "bundle 'b'"


def test_each_item_is_held_against_its_kind_and_a_swap_delivers_what_it_promises(
    served,
):
    improved = 0
    for start in range(0, 24, 3):
        ids = [f"i{n:03d}" for n in (start, start + 7, start + 12)]
        found = served.compatibility(ids, category="colour")
        assert {p.id for p in found.combination.items} == set(ids)
        assert all(
            p.slot == colour(served, p.id) and p.score <= 0
            for p in found.combination.items
        )
        assert (
            found.combination.weakest
            == min(found.combination.items, key=lambda p: p.score).id
        )
        if found.swap is None:
            continue
        improved += 1
        assert (
            found.swap.gain > 0
            and found.swap.out in ids
            and found.swap.item.id not in ids
        )
        assert colour(served, found.swap.item.id) == colour(served, found.swap.out)
        assert found.swap.score == pytest.approx(
            found.combination.score + found.swap.gain
        )
    assert improved


def test_a_swap_keeps_to_the_plan(served):
    ids = ["i000", "i007", "i012"]
    for swap in (
        served.compatibility(ids, category="", plan=Plan(where=w)).swap
        for w in (Constraints(only=("i003",)),)
    ):
        assert swap is None or swap.item.id == "i003"


@pytest.mark.parametrize(
    ("items", "fault"),
    [
        (["i000"], "1 items cannot be judged; 2 to 50 can"),
        ([f"i{n:03d}" for n in range(10_000)], "10000 items cannot be judged"),
        (["i000", "nothing"], "there is no item 'nothing'"),
    ],
)
def test_what_cannot_be_judged_is_told(served, items, fault):
    with pytest.raises((DataError, ValueError), match=fault):
        served.compatibility(items)
