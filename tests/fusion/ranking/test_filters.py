"""What is known of items by name."""

import numpy as np
import pyarrow as pa
import pytest

from fusion.query import Constraints
from fusion.ranking.filters import Facts
from kg.errors import DataError
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.sources.completejourney import CompleteJourney
from kg.tables import Tables


@pytest.fixture
def facts():
    return Facts(CompleteJourney.example())


def test_a_name_is_a_relation_its_attribute_type_or_a_property(facts):
    for name in ("in_category", "category"):
        assert facts.values(name).names == facts.values("category").names
    assert facts.mask("category", ["TROPICAL FRUIT"]).tolist() == [
        False,
        False,
        False,
        True,
        False,
        False,
    ]
    assert facts.mask("size", ["12 oz"]).tolist() == [
        False,
        True,
        False,
        False,
        False,
        False,
    ]
    assert facts.kind == "category"
    with pytest.raises(
        DataError,
        match="no property or relation 'colour'; they have in_department, department",
    ):
        facts.mask("colour", ["red"])


def test_values_are_met_by_id_or_title_and_a_typo_is_told(facts):
    for words in ("TROPICAL FRUIT", "Tropical fruit", "tropical fruit"):
        assert facts.mask("category", [words]).sum() == 1
    assert (
        facts.mask("category", ["tropical fruit", "no such thing"]).sum() == 1
    )  # one of many may be elsewhere
    with pytest.raises(
        DataError,
        match="no item has category 'tropcal fruit'; did you mean 'Tropical fruit'",
    ):
        facts.mask("category", ["tropcal fruit"])
    assert not facts.mask("category", []).any()


def test_a_typo_among_what_no_item_may_have_is_told(facts):
    some = Constraints(without=(("category", ("Tropical fruit",)),))
    assert facts.allowed(some).sum() == 5
    typo = Constraints(without=(("category", ("Tropical fruit", "cookies/cone")),))
    with pytest.raises(
        DataError, match="no item has category 'cookies/cone'; did you mean 'C"
    ):
        facts.allowed(typo)


def test_words_find_a_kind_or_else_all_that_hold_them(facts):
    assert facts.find("cookies") == ("category", ("COOKIES/CONES",))
    assert facts.find("banana") == ("in_type", ("TROPICAL FRUIT > BANANAS",))
    assert facts.find("grocery") == ("in_department", ("GROCERY",))
    with pytest.raises(DataError, match="there is no category 'shoes'"):
        facts.find("shoes")


def test_numbers_are_read_and_what_is_missing_is_nan(facts):
    assert np.isnan(facts.numbers("price")).tolist() == [False] * 6
    for name in ("in_type", "in_category"):
        with pytest.raises(
            DataError,
            match=f"no item has a numeric property '{name}'; it names what a rel",
        ):
            facts.numbers(name)
    with pytest.raises(DataError, match="no property or relation 'cost'"):
        facts.numbers("cost")
    with pytest.raises(DataError, match="'brand' holds no numbers"):
        facts.numbers("brand")


def test_a_cell_that_is_no_number_is_unknown_and_the_others_are_known(facts):
    tables = facts._tables
    item = tables.schema.item.name
    place = tables.nodes[item].column_names.index("price")
    words = pa.array(["3.5", "n/a", None, "4", "€12", "1e1"])
    some = Facts(
        tables.with_tables(
            {item: tables.nodes[item].set_column(place, "price", words)}, {}
        )
    )
    np.testing.assert_array_equal(
        some.numbers("price"), [3.5, np.nan, np.nan, 4, np.nan, 10]
    )


def test_of_several_values_the_rarest_counts(shop):
    facts = Facts(shop())
    values = facts.values("brand")
    rarity = np.bincount(values.value, minlength=len(values.names))
    for item, code in enumerate(facts.values("by").codes()):
        own = values.value[values.item == item]
        assert code == -1 if not len(own) else rarity[code] == rarity[own].min()


def kitchen(*relations):
    """A nut bar with peanut, bread with traces of gluten, and tea; (name, type, pairs) each."""
    schema = GraphSchema(
        (
            NodeType("food", "item"),
            *(
                NodeType(n, "attribute")
                for n in {kind: None for _, kind, _ in relations}
            ),
        ),
        tuple(EdgeType(name, "food", kind, "relation") for name, kind, _ in relations),
    )
    nodes = {"food": pa.table({"id": ["nut bar", "bread", "tea"]})}
    nodes |= {kind: pa.table({"id": ["peanut", "gluten"]}) for _, kind, _ in relations}
    edges = {
        name: pa.table(
            [list(ends) for ends in zip(*pairs, strict=True)], ["source", "target"]
        )
        for name, _, pairs in relations
    }
    return Facts(Tables(schema, nodes, edges))


HOLDS = [("nut bar", "peanut"), ("bread", "gluten")]


def test_a_types_name_stands_for_all_relations_that_lead_to_it():
    traces = [("bread", "peanut"), ("nut bar", "peanut"), ("tea", "gluten")]
    facts = kitchen(("contains", "allergen", HOLDS), ("traces", "allergen", traces))
    assert facts.names == ("contains", "allergen", "traces", "id")
    masks = {
        n: [facts.mask(n, [v]).tolist() for v in ("peanut", "gluten")]
        for n in facts.names[:3]
    }
    assert masks["contains"] == [[True, False, False], [False, True, False]]
    assert masks["traces"] == [[True, True, False], [False, False, True]]
    assert masks["allergen"] == [[True, True, False], [False, True, True]]
    values = facts.values("allergen")
    assert list(zip(values.item.tolist(), values.value.tolist(), strict=True)) == [
        (0, 0),
        (1, 0),
        (1, 1),
        (2, 1),
    ]
    left = facts.allowed(Constraints(without=(("allergen", ("gluten",)),)))
    assert left.tolist() == [True, False, False]


def test_a_relation_that_is_called_as_its_type_is_the_type_and_as_another_type_itself():
    facts = kitchen(
        ("allergen", "allergen", HOLDS), ("traces", "allergen", [("tea", "peanut")])
    )
    assert facts.mask("allergen", ["peanut"]).tolist() == [True, False, True]
    facts = kitchen(
        ("spice", "allergen", HOLDS), ("with", "spice", [("tea", "peanut")])
    )
    assert facts.mask("spice", ["peanut"]).tolist() == [True, False, False]
    assert facts.mask("with", ["peanut"]).tolist() == [False, False, True]
