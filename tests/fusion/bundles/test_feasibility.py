"""The exact answer to whether a plan can be met, against trying everything."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fusion.bundles.feasibility import InfeasibleError, check, conflict
from fusion.bundles.problem import Problem, ResolvedSlot
from fusion.bundles.solver import candidates, cheapest
from fusion.ranking.values import Values


def brute(problem):
    """Least cost of all sets that meet a problem, inf where none does: by trying all of them."""
    least, best = problem.sizes, np.inf
    kept, at_hand = set(problem.kept.tolist()), set(problem.keep.values())
    allowed, places = problem.allowed(), problem.standing()
    for count in range(least[0], min(least[1], problem.items) + 1):
        for chosen in combinations(range(problem.items), count):
            new = set(chosen) - at_hand
            if not kept <= set(chosen) or not all(allowed[i] for i in new):
                continue
            if not all(mask[list(chosen)].any() for mask in problem.required()):
                continue
            cost = 0.0 if problem.price is None else problem.price[list(chosen)].sum()
            if (
                any(c.startswith("a budget") for c in problem.conditions)
                and cost > problem.budget
            ):
                continue
            if problem.apart() is not None:
                values = problem.apart().value[np.isin(problem.apart().item, chosen)]
                if len(set(values.tolist())) < len(values):
                    continue
            if places and not seats(chosen, at_hand, places):
                continue
            best = min(best, cost)
    return best


def seats(chosen, at_hand, places):
    """Whether items and slots find each other; a context item that fits none stands aside."""
    options = []
    for item in chosen:
        fits = [s for s, place in enumerate(places) if place.mask[item]]
        if not fits and item not in at_hand:
            return False
        options.append(fits or [-1])
    return any(
        all(
            place.least <= seating.count(s) <= place.most
            for s, place in enumerate(places)
        )
        for seating in product(*options)
    )


@st.composite
def problems(draw):
    items = draw(st.integers(2, 7))
    bools = st.lists(st.booleans(), min_size=items, max_size=items).map(np.array)
    low = draw(st.integers(1, 4))
    places = []
    for n in range(draw(st.integers(0, 3))):
        least = draw(st.integers(0, 2))
        places.append(
            ResolvedSlot(
                f"slot {n}", draw(bools), least, draw(st.integers(max(least, 1), 3))
            )
        )
    shared = draw(
        st.lists(
            st.tuples(st.integers(0, items - 1), st.integers(0, 3)),
            max_size=9,
            unique=True,
        )
    )
    shared = np.array(sorted(shared), np.int64).reshape(-1, 2)
    different = (
        Values(list("abcd"), list("abcd"), shared[:, 0], shared[:, 1], items)
        if draw(st.booleans())
        else None
    )
    return Problem(
        items,
        (low, draw(st.integers(low, 5))),
        {f"filter {n}": draw(bools) for n in range(draw(st.integers(0, 2)))},
        {
            f"keep {row}": row
            for row in draw(st.sets(st.integers(0, items - 1), max_size=2))
        },
        np.array(
            draw(st.lists(st.integers(0, 9), min_size=items, max_size=items)), float
        ),
        draw(st.none() | st.integers(0, 20).map(float)),
        {f"require {n}": draw(bools) for n in range(draw(st.integers(0, 2)))},
        tuple(places),
        different,
        "kind",
    )


@given(problems())
def test_the_cheapest_is_that_of_trying_everything(problem):
    best, found = brute(problem), cheapest(problem)
    assert (found is None) == np.isinf(best)
    if found is not None:
        assert problem.price[found].sum() == best
        assert (
            brute(
                replace(
                    problem,
                    keep={**problem.keep, **{f"also {row}": row for row in found}},
                )
            )
            <= best
        )


ITEM_AT_HAND_PAST_THE_FILTERS = Problem(
    4,
    (1, 2),
    {"filter 0": np.zeros(4, bool)},
    {"keep 0": 0},
    np.zeros(4),
    slots=(
        ResolvedSlot("slot 0", np.zeros(4, bool), 0, 1),
        ResolvedSlot("slot 1", np.array([False, False, False, True]), 1, 1),
    ),
    kind="kind",
)


@example(ITEM_AT_HAND_PAST_THE_FILTERS)
@given(problems())
def test_conditions_at_odds_are_a_smallest_set(problem):
    needed = conflict(problem)
    assert bool(needed) == np.isinf(brute(problem))
    if needed:
        rest = set(problem.conditions) - set(needed)
        alone = problem.without(list(rest))
        assert np.isinf(brute(alone))
        for name in needed:
            assert np.isfinite(brute(alone.without([name])))
        with pytest.raises(InfeasibleError) as told:
            check(problem)
        assert told.value.conditions == needed and all(
            name in str(told.value) for name in needed
        )
    else:
        check(problem)


def test_a_budget_that_is_too_small_is_told_with_what_it_takes():
    every = np.ones(3, bool)
    places = (
        ResolvedSlot("top", np.array([True, True, False]), 1, 1),
        ResolvedSlot("shoes", np.array([False, False, True]), 1, 1),
    )
    problem = Problem(3, (1, 5), {}, {}, np.array([4.0, 3.0, 8.5]), 10.0, {}, places)
    message = (
        "no combination meets slot 'top' with 1, slot 'shoes' with 1 "
        "and a budget of 10 together; the cheapest"
    )
    with pytest.raises(
        InfeasibleError, match=f"{message} that meets the rest costs 11.5"
    ):
        check(problem)
    found = cheapest(replace(problem, budget=11.5))
    assert found is not None and found.tolist() == [1, 2]
    with pytest.raises(
        InfeasibleError, match=r"^no combination meets slot 'shoes' with 1$"
    ):
        slots = (places[0], ResolvedSlot("shoes", ~every, 1, 1))
        check(replace(problem, slots=slots, budget=None))


def test_a_large_catalogue_is_cut_down_to_what_matters():
    rng = np.random.default_rng(0)
    items = 20_000
    kind = rng.integers(0, 500, items)
    values = Values(
        [str(n) for n in range(500)],
        [str(n) for n in range(500)],
        np.arange(items),
        kind,
        items,
    )
    places = tuple(
        ResolvedSlot(str(s), rng.random(items) < 0.2, 1, 2) for s in range(5)
    )
    problem = Problem(
        items, (5, 8), {}, {}, rng.random(items), 0.5, {}, places, values, "kind"
    )
    assert len(candidates(problem)) <= 8 * 2**5
    found = cheapest(problem)
    assert found is not None and len(found) == 5 and len(set(kind[found].tolist())) == 5


def test_a_context_item_that_is_lifted_may_stay_and_may_go():
    at_odds = replace(ITEM_AT_HAND_PAST_THE_FILTERS, slots=())
    stays = cheapest(at_odds.without(["keep 0"]))
    assert stays is not None and stays.tolist() == [0]
    filtered = replace(at_odds, filters={}, price=np.array([1.0, 0.0, 2.0, 3.0]))
    goes = cheapest(filtered.without(["keep 0"]))
    assert goes is not None and goes.tolist() == [1]
