"""Bundles of drawn plans against trying every combination."""

from itertools import combinations, product

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusion.bundles.feasibility import InfeasibleError
from fusion.bundles.plan import Plan, Slot
from fusion.query import Constraints
from tests.fusion.bundles.prices import PRICES


def brands(recommender):
    """What the graph says of the brands of each item."""
    found: dict[str, set[str]] = {f"i{n}": set() for n in range(14)}
    for edge in recommender.tables.edges["by"].to_pylist():
        found[edge["source"]].add(edge["target"])
    return found


def keeps_to(plan, ids, hand, brand):
    """Whether a set of ids meets a plan, written apart from what is tested."""
    price, new = dict(zip(brand, PRICES, strict=True)), set(ids) - set(hand)
    least, most = plan.sizes(len(hand))
    priced = plan.budget is not None or plan.item_budget is not None
    if (
        not least <= len(ids) <= most
        or not set(hand) <= set(ids)
        or new & set(plan.where.exclude)
    ):
        return False
    if plan.where.only is not None and not new <= set(plan.where.only):
        return False
    if any(brand[i] & set(values) for _, values in plan.where.without for i in new):
        return False
    if priced and any(price[i] is None for i in new):
        return False
    if plan.item_budget is not None and any(price[i] > plan.item_budget for i in new):
        return False
    if plan.budget is not None and sum(price[i] for i in ids) > plan.budget:
        return False
    if any(not any(brand[i] & set(values) for i in ids) for _, values in plan.require):
        return False
    if plan.different and any(brand[a] & brand[b] for a, b in combinations(ids, 2)):
        return False
    if not plan.slots:
        return True
    options = []
    for i in ids:
        fits = [
            s for s, slot in enumerate(plan.slots) if brand[i] & set(slot.within[0][1])
        ]
        if not fits and i not in hand:
            return False
        options.append(fits or [-1])
    return any(
        all(
            slot.least <= seating.count(s) <= slot.most
            for s, slot in enumerate(plan.slots)
        )
        for seating in product(*options)
    )


NAMES = st.sets(st.sampled_from(["b0", "b1", "b2", "b3"]), min_size=1, max_size=2).map(
    lambda s: (("by", tuple(s)),)
)


IDS = st.sets(st.sampled_from([f"i{n}" for n in range(14)]))


@st.composite
def plans(draw):
    slots = tuple(
        Slot(
            f"slot {n}",
            draw(NAMES),
            least := draw(st.integers(0, 1)),
            draw(st.integers(max(least, 1), 2)),
        )
        for n in range(draw(st.integers(0, 3)))
    )
    least = draw(st.integers(1, 3))
    where = Constraints(
        tuple(draw(IDS))[:4],
        without=draw(st.just(()) | NAMES),
        only=draw(st.none() | IDS.map(tuple)),
    )
    return Plan(
        size=(
            max(least, sum(s.least for s in slots)),
            max(draw(st.integers(least, 4)), sum(s.least for s in slots)),
        ),
        budget=draw(st.none() | st.integers(0, 20).map(float)),
        item_budget=draw(st.none() | st.integers(1, 9).map(float)),
        where=where,
        require=draw(st.just(()) | NAMES),
        slots=slots,
        different=draw(st.sampled_from(["", "by"])),
        variety=draw(st.sampled_from([0.0, 1.0])),
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(
    plan=plans(),
    hand=st.sets(st.sampled_from(["i0", "i3", "i5", "i13"]), max_size=2).map(sorted),
)
def test_a_bundle_is_found_wherever_one_exists_and_meets_the_plan(shopper, plan, hand):
    brand, possible = brands(shopper), False
    for count in range(plan.size[0], plan.size[1] + 1):
        possible = possible or any(
            keeps_to(plan, ids, hand, brand) for ids in combinations(brand, count)
        )
    try:
        found = shopper.build(plan, user="u1", items=hand, text="kind 3")
    except InfeasibleError:
        assert not possible
        return
    assert possible and 1 <= len(found) <= plan.alternatives
    assert [c.score for c in found] == sorted((c.score for c in found), reverse=True)
    for one in found:
        ids = [p.id for p in one.items]
        assert len(set(ids)) == len(ids) and keeps_to(plan, ids, hand, brand)
        assert {p.id for p in one.items if p.kept} == set(hand)
        assert one.score <= 1e-9 and all(p.score <= 1e-9 for p in one.items)
        loose = [p for p in one.items if not p.kept] or one.items
        assert one.weakest == min(loose, key=lambda p: p.score).id
        prices = [PRICES[int(i[1:])] for i in ids]
        known = [price for price in prices if price is not None]
        assert one.price == (sum(known) if len(known) == len(prices) else None)
        assert [p.price for p in one.items] == prices
        for slot in plan.slots:
            inside = [p.id for p in one.items if p.slot == slot.name]
            assert slot.least <= len(inside) <= slot.most and all(
                brand[i] & set(slot.within[0][1]) for i in inside
            )
