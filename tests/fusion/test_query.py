import pytest

from fusion.query import Constraints, Query
from kg.errors import InputError


def test_a_query_is_checked():
    assert Query(items=["a", "b"]).items == ("a", "b")  # type: ignore[arg-type]
    with pytest.raises(InputError) as caught:
        Query(items="abc")  # type: ignore[arg-type]
    assert caught.value.field == "items"
    with pytest.raises(InputError) as refused:
        Query(k=0)
    assert refused.value.field == "k"


def test_constraints_may_be_mappings_as_they_are_over_http():
    told = Constraints(
        within={"colour": ["red"]},  # type: ignore[arg-type]
        without={"a": ("b",)},  # type: ignore[arg-type]
        between={"price": [None, 3]},  # type: ignore[arg-type]
    )
    plain = Constraints(
        (), (("colour", ("red",)),), (("a", ("b",)),), (("price", (None, 3)),)
    )
    assert told == plain and hash(told) == hash(plain)
    for wrong in ({"colour": "red"}, (("colour", "red"),)):
        with pytest.raises(
            InputError,
            match="within colour must be a sequence, not the one string 'red'",
        ):
            Constraints(within=wrong)  # type: ignore[arg-type]
    with pytest.raises(
        InputError, match=r"within must be a mapping .*, not \('colour', 'red'\)"
    ):
        Constraints(within=("colour", "red"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bounds", "fault"),
    [
        ((2.0, 1.0), "between price: the least, 2.0, is above the most, 1.0"),
        ((float("nan"), None), "between price: a bound must not be NaN"),
        (("1", None), "between price: '1' is no number"),
        ((True, None), "between price: True is no number"),
    ],
)
def test_a_range_that_is_none_is_refused(bounds, fault):
    with pytest.raises((ValueError, InputError), match=fault):
        Constraints(between=(("price", bounds),))


def test_too_many_context_items_are_refused():
    with pytest.raises(InputError) as refused:
        Query(items=tuple(map(str, range(10_000))))
    assert refused.value.field == "items"
