"""Whole combinations: they keep to their plan, and there is one wherever there can be one."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from fusion.bundles.beam import BeamSearch
from fusion.bundles.feasibility import InfeasibleError
from fusion.bundles.plan import Plan, Slot
from fusion.bundles.ratings import ALONE
from fusion.bundles.resolve import resolve
from fusion.bundles.set_scorer import SetScorer
from fusion.query import Constraints, Query
from fusion.recommender import Recommender
from kg.errors import DataError
from kg.graph import build_graph
from kg.metapaths.count import count_paths
from kg.schema import GraphSchema
from kg.tables import Tables

PRICES = [3.0, 1.0, None, 4.0, 2.0, 5.0, 1.0, 9.0, 2.0, 6.0, None, 3.0, 5.0, 8.0]


@pytest.fixture
def shopper(small, shop):
    """An untrained hybrid over the shop, whose items have prices."""
    made, tables = small(candidates_per_path=14, vector_candidates=14), shop()
    schema = tables.schema.to_dict()
    schema["nodes"][2] |= {"properties": ["price"]}
    items = tables.nodes["item"].append_column("price", pa.array(PRICES))
    priced = Tables(
        GraphSchema.from_dict(schema), {**tables.nodes, "item": items}, tables.edges
    )
    return Recommender(
        made.model,
        made.snapshot,
        made.embeddings,
        priced,
        count_paths(build_graph(priced)),
    )


def replace_tables(recommender, items):
    """The same recommender with other properties of its items."""
    tables = recommender.tables
    priced = Tables(tables.schema, {**tables.nodes, "item": items}, tables.edges)
    return Recommender(
        recommender.model,
        recommender.snapshot,
        recommender.embeddings,
        priced,
        recommender.counts,
    )


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
def test_there_is_an_answer_wherever_there_can_be_one_and_it_keeps_to_the_plan(
    shopper, plan, hand
):
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


def test_an_items_score_is_its_share_given_the_rest_and_the_wholes_heeds_the_query_alone_too(
    shopper,
):
    plan = Plan(size=(3, 3), alternatives=1)
    (one,) = shopper.build(plan, text="kind 2")
    ids, blended = [p.id for p in one.items], []
    alone = full(shopper, Query(text="kind 2"))
    for piece in one.items:
        rest = [i for i in ids if i != piece.id]
        given = full(shopper, Query(items=tuple(rest), text="kind 2"))
        others = [i for i in given if i not in rest]
        row = others.index(piece.id)
        assert piece.score == pytest.approx(
            log_softmax([given[i] for i in others])[row], abs=1e-3
        )
        both = log_softmax([(1 - ALONE) * given[i] + ALONE * alone[i] for i in others])
        blended.append(both[row])
    assert one.score == pytest.approx(np.mean(blended), abs=1e-3)


def full(recommender, query):
    """The model's scores of all items by id, asked as anybody would."""
    scores = recommender.scores(recommender.queries([query]))
    there = scores.rows[0] >= 0
    return {
        recommender.items.key(int(i)): float(s)
        for i, s in zip(scores.rows[0][there], scores.score[0][there], strict=True)
    }


def test_a_wider_beam_finds_nothing_better_than_trying_everything(shopper):
    problem = resolve(shopper, Plan(size=(3, 3)), [])
    search = BeamSearch(problem, SetScorer(shopper, np.arange(14)), width=200)
    states = search.beam()
    assert len(states) >= 14 * 13 * 12 / 6 * 0.5  # a beam so wide has seen most of them
    best = max(search.ratings.rate(states), key=lambda r: r.score)
    (found,) = shopper.build(Plan(size=(3, 3), alternatives=1))
    assert found.score >= best.score - 0.15


def test_alternatives_differ_as_much_as_asked(shopper):
    for overlap in (0.0, 0.5):
        found = shopper.build(
            Plan(size=(3, 3), overlap=overlap, alternatives=3), items=["i0"]
        )
        assert len(found) == 3
        for one, other in combinations(found, 2):
            new, old = ({p.id for p in c.items if not p.kept} for c in (one, other))
            assert len(new & old) <= overlap * 2


def test_where_all_is_at_hand_there_is_one_combination(shopper):
    (found,) = shopper.build(Plan(size=(2, 2), alternatives=3), items=["i0", "i1"])
    assert {p.id for p in found.items} == {"i0", "i1"} and all(
        p.kept for p in found.items
    )
    sizes = [
        len(c.items)
        for c in shopper.build(Plan(size=(1, 2), alternatives=6), items=["i0"])
    ]
    assert sizes.count(1) <= 1 and max(sizes) == 2


def test_what_is_no_price_is_no_matter_where_no_money_is(shopper):
    item = shopper.tables.nodes["item"]
    words = item.set_column(
        item.column_names.index("price"), "price", pa.array(["?"] * len(item))
    )
    unpriced = replace_tables(shopper, words)
    assert unpriced.build(Plan(size=(2, 2), alternatives=1))
    with pytest.raises(DataError, match="'price' holds no numbers"):
        unpriced.build(Plan(size=(2, 2), budget=9.0))


def test_variety_makes_items_less_alike(shopper):
    def alike(variety):
        (one,) = shopper.build(
            Plan(size=(4, 4), variety=variety, alternatives=1), text="kind 2"
        )
        vectors = shopper.embeddings.items.fused.numpy()[
            [shopper.items.row(p.id) for p in one.items]
        ]
        return (vectors @ vectors.T)[~np.eye(4, dtype=bool)].mean()

    assert alike(1.0) < alike(0.0)


@pytest.mark.parametrize(
    ("plan", "items", "fault"),
    [
        (
            Plan(slots=(Slot("shoes"),)),
            (),
            "slot 'shoes': there is no by 'shoes'|slot 'shoes': there is no category",
        ),
        (Plan(require=(("by", ("b9",)),)), (), "no item has by 'b9'"),
        (Plan(different="colour"), (), "no property or relation 'colour'"),
        (Plan(budget=3.0, price="cost"), (), "no property or relation 'cost'"),
        (Plan(budget=3.0, price="title"), (), "'title' holds no numbers"),
        (Plan(budget=30.0), ("i2",), "item 'i2' is at hand and has no price"),
        (Plan(), ("nobody's",), 'there is no item "nobody\'s"'),
        (
            Plan(),
            tuple(f"i{n}" for n in range(10_000)),
            "10000 items at hand are too many",
        ),
        (
            Plan(size=(1, 2)),
            ("i0", "i1", "i3"),
            "no combination meets 1 to 2 items, item 'i0' at hand, item 'i1'",
        ),
        (
            Plan(budget=1.0),
            (),
            "a budget of 1 together; the cheapest that meets the rest costs 4$",
        ),
    ],
)
def test_what_cannot_be_is_told_in_one_line(shopper, plan, items, fault):
    with pytest.raises((DataError, ValueError), match=fault) as told:
        shopper.build(plan, items=items)
    assert "\n" not in str(told.value)


def test_stock_and_money_are_no_matter_for_what_is_at_hand(shopper):
    plan = Plan(
        size=(2, 2),
        item_budget=2.0,
        where=Constraints(only=("i1", "i4")),
        alternatives=2,
        overlap=0.0,
    )
    found = shopper.build(plan, items=["i7"])
    assert {p.id for c in found for p in c.items} == {"i7", "i1", "i4"}
    with pytest.raises(InfeasibleError, match="in stock"):
        shopper.build(replace(plan, where=Constraints(only=("i7",))), items=["i7"])
