"""What is known of items by name."""

import numpy as np
import pytest

from fusion.facts import Facts
from kg.sources.completejourney import CompleteJourney
from kg.tables import DataError


@pytest.fixture
def facts():
    return Facts(CompleteJourney.example())


def test_a_name_is_a_relation_its_attribute_type_or_a_property(facts):
    for name in ("in_category", "category"):
        assert facts.values(name).names == facts.values("category").names
    assert facts.mask("category", ["TROPICAL FRUIT"]).tolist() == [False, False, False, True, False, False]
    assert facts.mask("size", ["12 oz"]).tolist() == [False, True, False, False, False, False]
    assert facts.kind == "category"
    with pytest.raises(DataError, match="no property or relation 'colour'; they have in_department, department"):
        facts.mask("colour", ["red"])


def test_values_are_met_by_id_or_title_and_a_typo_is_told(facts):
    for words in ("TROPICAL FRUIT", "Tropical fruit", "tropical fruit"):
        assert facts.mask("category", [words]).sum() == 1
    assert facts.mask("category", ["tropical fruit", "no such thing"]).sum() == 1  # one of many may be elsewhere
    with pytest.raises(DataError, match="no item has category 'tropcal fruit'; did you mean 'Tropical fruit'"):
        facts.mask("category", ["tropcal fruit"])
    assert not facts.mask("category", []).any()


def test_words_find_a_kind_or_else_all_that_hold_them(facts):
    assert facts.find("cookies") == ("category", ("COOKIES/CONES",))
    assert facts.find("banana") == ("in_type", ("TROPICAL FRUIT > BANANAS",))
    assert facts.find("grocery") == ("in_department", ("GROCERY",))
    with pytest.raises(DataError, match="there is no category 'shoes'"):
        facts.find("shoes")


def test_numbers_are_read_and_what_is_missing_is_nan(facts):
    assert np.isnan(facts.numbers("price")).tolist() == [False] * 6
    with pytest.raises(DataError, match="'brand' holds no numbers"):
        facts.numbers("brand")


def test_of_several_values_the_rarest_counts(shop):
    facts = Facts(shop())
    values = facts.values("brand")
    rarity = np.bincount(values.value, minlength=len(values.names))
    for item, code in enumerate(facts.values("by").codes()):
        own = values.value[values.item == item]
        assert code == -1 if not len(own) else rarity[code] == rarity[own].min()
