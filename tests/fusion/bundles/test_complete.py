"""Completion: one of each category, diversity, constraints."""

import pytest

from fusion.query import Constraints, Query
from kg.errors import DataError


def colour(served, item):
    return served.title(served.items.row(item)).split()[0]


def test_one_of_each_missing_value(served):
    hand = ("i000",)
    found = served.complete(hand, k=9, one_per="colour")
    assert [colour(served, r.id) for r in found] == [
        {"black": "white", "white": "black"}[colour(served, "i000")]
    ]
    assert found[0].id == next(
        r.id for r in served.complete(hand, k=99) if colour(served, r.id) != "black"
    ) or (colour(served, "i000") == "white")
    assert (
        len(
            {
                colour(served, r.id)
                for r in served.complete((), text="lamp", k=9, one_per="has_colour")
            }
        )
        == 2
    )


def test_it_is_the_answer_where_nothing_is_asked_of_it(served):
    assert served.complete(["i001"], k=7) == served.answer(Query(items=("i001",), k=7))


def test_diversity_spreads_and_keeps_to_the_constraints(served):
    where = Constraints(exclude=("i002",))
    plain, spread = (
        served.complete(["i001"], k=5, where=where, diversity=d) for d in (0.0, 0.8)
    )
    vectors = served.embeddings.items.fused.cpu().numpy()

    def alike(found):
        some = vectors[[served.items.row(r.id) for r in found]]
        return (some @ some.T).mean()

    assert alike(spread) < alike(plain) and not {"i001", "i002"} & {
        r.id for r in spread
    }


def test_what_cannot_be_is_told(served):
    with pytest.raises(DataError, match="no property or relation 'size'"):
        served.complete(["i001"], one_per="size")
    with pytest.raises(DataError, match="no item has colour 'red'"):
        served.complete(["i001"], where=Constraints(within=(("colour", ("red",)),)))
    with pytest.raises(
        ValueError, match="10000 items at hand are too many; at most 1000 can be"
    ):
        served.complete([f"i{n}" for n in range(10_000)])
