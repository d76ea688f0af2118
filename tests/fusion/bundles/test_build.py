"""Bundles and the plans they keep to."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest

from fusion.bundles.feasibility import InfeasibleError
from fusion.bundles.plan import Plan, Slot
from fusion.query import Constraints
from fusion.recommender import Recommender
from kg.errors import DataError
from kg.tables import Tables


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


def test_alternatives_differ_as_much_as_asked(shopper):
    for overlap in (0.0, 0.5):
        found = shopper.build(
            Plan(size=(3, 3), overlap=overlap, alternatives=3), items=["i0"]
        )
        assert len(found) == 3
        for one, other in combinations(found, 2):
            new, old = ({p.id for p in c.items if not p.kept} for c in (one, other))
            assert len(new & old) <= overlap * 2


def test_context_items_alone_are_one_bundle(shopper):
    (found,) = shopper.build(Plan(size=(2, 2), alternatives=3), items=["i0", "i1"])
    assert {p.id for p in found.items} == {"i0", "i1"} and all(
        p.kept for p in found.items
    )
    sizes = [
        len(c.items)
        for c in shopper.build(Plan(size=(1, 2), alternatives=6), items=["i0"])
    ]
    assert sizes.count(1) <= 1 and max(sizes) == 2


def test_prices_are_read_only_where_a_budget_is(shopper):
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
def test_infeasible_plans_are_refused_in_one_line(shopper, plan, items, fault):
    with pytest.raises((DataError, ValueError), match=fault) as told:
        shopper.build(plan, items=items)
    assert "\n" not in str(told.value)


def test_stock_and_item_budget_do_not_bind_context_items(shopper):
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
