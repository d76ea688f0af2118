"""Resolve: a plan's words and names as rows of a catalogue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fusion.bundles.plan import MOST, Plan, Slot
from fusion.bundles.problem import Problem, ResolvedSlot
from fusion.query import Constraints
from fusion.ranking.ranker import Ranker
from fusion.ranking.values import BoolArray
from kg.errors import DataError, InputError


def resolve(
    recommender: Ranker,
    plan: Plan,
    items: Sequence[str],
    user: str | None = None,
) -> Problem:
    """The plan for these context items, for a user.

    Raises:
        DataError: The plan names a property, a value or an item that is not there, or a context
            item has no price where there is a budget.
        InputError: There are more context items than a combination may have.
    """
    facts, size = recommender.facts, len(recommender.items)
    if len(items) > MOST:
        raise InputError(
            f"{len(items)} items at hand are too many; a combination has at most {MOST}",
            field="items",
        )
    keep = {
        f"item {item!r} at hand": known(recommender, item)
        for item in dict.fromkeys(items)
    }
    priced = plan.budget is not None or plan.item_budget is not None
    price = None
    if priced or plan.price in facts.names:
        try:
            price = facts.numbers(plan.price)
        except DataError as error:
            if priced:  # else nothing is asked of it
                raise DataError(str(error), field="price") from None
    filters = {}
    if priced and price is not None:
        filters["a known price"] = ~np.isnan(price)
        if plan.budget is not None:
            for item, row in zip(dict.fromkeys(items), keep.values(), strict=True):
                if np.isnan(price[row]):
                    raise DataError(
                        f"item {item!r} is at hand and has no {plan.price}, "
                        "so no budget can be kept",
                        field="items",
                    )
        if plan.item_budget is not None:
            filters[f"at most {plan.item_budget:g} an item"] = ~(
                price > plan.item_budget
            )
    filters |= _filters(recommender, plan.where)
    if plan.where.exclude_seen:
        filters["what the user has not taken"] = recommender.allowed(
            Constraints(exclude_seen=True), user
        )
    slots = tuple(
        ResolvedSlot(
            slot.name,
            _fits(recommender, slot),
            slot.least,
            slot.most,
        )
        for slot in plan.slots
    )
    return Problem(
        size,
        plan.sizes(len(keep)),
        filters,
        keep,
        price,
        plan.budget,
        {
            f"an item of {name} {' or '.join(values)}": facts.mask(name, values)
            for name, values in plan.require
        },
        slots,
        facts.values(plan.different) if plan.different else None,
        plan.different,
    )


def known(recommender: Ranker, item: str) -> int:
    """The row of an item; DataError where there is none."""
    row = recommender.items.row(item)
    if row < 0:
        raise DataError(f"there is no item {item!r}", field="items")
    return row


def _fits(recommender: Ranker, slot: Slot) -> BoolArray:
    try:
        within = slot.within or (recommender.facts.find(slot.name),)
        masks = [recommender.facts.mask(name, values) for name, values in within]
    except DataError as error:
        raise DataError(f"slot {slot.name!r}: {error}", field="slots") from None
    fits: BoolArray = np.logical_and.reduce(masks)
    return fits


def _filters(recommender: Ranker, where: Constraints) -> dict[str, BoolArray]:
    """Each of the constraints apart, so that the one at odds can be named."""
    parts = {}
    if where.exclude:
        parts[f"without {len(where.exclude)} excluded items"] = Constraints(
            exclude=where.exclude
        )
    for name, values in where.within:
        parts[f"only {name} {' or '.join(values)}"] = Constraints(
            within=((name, values),)
        )
    for name, values in where.without:
        parts[f"no {name} {' or '.join(values)}"] = Constraints(
            without=((name, values),)
        )
    for name, (least, most) in where.between:
        parts[f"{name} from {least} to {most}"] = Constraints(
            between=((name, (least, most)),)
        )
    if where.only is not None:
        parts[f"in stock ({len(where.only)} items)"] = Constraints(only=where.only)
    return {name: recommender.allowed(part) for name, part in parts.items()}
