"""Names and values as Cypher text."""

from kg.stores.cypher import escape


def test_names_are_escaped():
    assert (
        escape("a b") == "`a b`"
        and escape("a`b") == "`a``b`"
        and escape("\\u0060") == "`\\u005cu0060`"
    )
