"""Sentences from templates: shipped, and a file's over them."""

from dataclasses import replace
from pathlib import Path

import pytest

from fusion.explain import sentences
from fusion.explain.sentences import Clause, Phrases
from kg.errors import InputError
from kg.phrases import LANGUAGES
from kg.schema import GraphSchema


@pytest.fixture
def schema(shop):
    return shop().schema


def shared(relation="by"):
    one = Clause("relation", "A", "Acme", "item", "brand", relation)
    return [one, Clause("relation", "Acme", "B", "brand", "item", relation, back=True)]


def test_two_relations_that_meet_are_said_as_one_and_others_one_by_one(schema):
    said = Phrases.open("en", schema)
    assert said.sentence(shared()) == "A and B have the same brand, Acme."
    assert said.sentence(shared()[:1]) == "The brand of A is Acme."
    assert Phrases.open("zh", schema).sentence(shared()) == "A和B的brand相同：Acme。"  # noqa: RUF001


@pytest.mark.parametrize(
    ("time", "unit", "when"),
    [
        (20000.0, "bought_on", "on 2024-10-04"),
        (20000.0, "week", "in week 20000"),
        (9.0, "day", "on day 9"),
        (9.0, "week", "in week 9"),
        (9.0, "purchase_weeks", "in week 9"),
        (2019.0, "year", "in 2019"),
        (1234567.5, "time", "at time 1234567.5"),
    ],
)
def test_days_since_1970_are_dates_and_other_times_are_what_the_schema_calls_them(
    schema, time, unit, when
):
    clause = Clause(
        "interacted", "u1", "A", "user", "item", times=1200, time=time, unit=unit
    )
    told = Phrases.open("en", schema).sentence([clause])
    assert told.startswith("U1 took A 1,200 times, last ") and told.endswith(f"{when}.")
    undated = Clause("interacted", "u1", "A", "user", "item", times=1)
    assert Phrases.open("en", schema).sentence([undated]) == "U1 took A."


def test_a_file_speaks_over_the_shipped_phrases(schema, tmp_path):
    own = tmp_path / "own.toml"
    own.write_text(
        """quote = "<{}>"
[relations.by]
share = "{a}, {b}: {via} made both{relation}"
forward = "{b} made {a}{via}"
[segments]
users = { one = "1 {user}", many = "{n} {user}s" }
[notes]
none = "Nothing."
"""
    )
    said = Phrases.open("en", schema, own)
    assert (
        said.sentence(shared()) == "A, B: Acme made both."
        and said.sentence(shared()[:1]) == "Acme made A."
    )
    takers = Clause("users", "A", "B", "item", "item", times=3)
    assert said.sentence([takers], "first") == "First, and 3 users."
    assert (
        said.quote("x") == "<x>"
        and said.note("none") == "Nothing."
        and "no user u9" in said.note("no_user", "u9")
    )
    assert (
        Phrases.open("en", schema).quote("x") == "“x”"
    )  # the shipped ones are as they were


def test_the_schema_speaks_over_the_shipped_phrases_and_a_file_over_both(
    schema, tmp_path
):
    says = {
        "en": {"share": "{a}/{b} by {via}", "forward": "{b} makes {a}"},
        "zh": {"share": "{via}"},
    }
    edges = tuple(
        replace(e, phrases=says) if e.name == "by" else e for e in schema.edges
    )
    told = GraphSchema(schema.nodes, edges)
    said = Phrases.open("en", told)
    assert (
        said.sentence(shared()) == "A/B by Acme."
        and said.sentence(shared()[:1]) == "Acme makes A."
    )
    assert Phrases.open("zh", told).sentence(shared()) == "Acme。"
    own = tmp_path / "own.toml"
    own.write_text('[relations.by]\nshare = "own {via}"')
    said = Phrases.open("en", told, own)
    assert (
        said.sentence(shared()) == "Own Acme."
        and said.sentence(shared()[:1]) == "Acme makes A."
    )
    assert (
        Phrases.open("en", schema).sentence(shared())
        == "A and B have the same brand, Acme."
    )


def test_what_a_schema_may_say_is_what_is_shipped():
    shipped = {
        file.stem
        for file in (Path(sentences.__file__).parent / "phrases").glob("*.toml")
    }
    assert shipped == set(LANGUAGES)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[relations.near]\nshare = "x"', "relations.near is none of bought, by"),
        (
            '[relations.by]\nsideways = "x"',
            "relations.by is a table of share, forward and back",
        ),
        ('[relations]\nby = "x"', "relations.by is a table"),
        (
            '[relations.by]\nshare = "{nobody}"',
            "relations.by.share cannot be filled in",
        ),
        ("[relations.by]\nshare = 3", "relations.by.share is no text"),
        ('[segments]\nshare = "{nobody}"', "segments.share cannot be filled in"),
        ('[segments]\ninteracted = "x"', "segments.interacted lacks 'one'"),
        ('[segments]\ninteracted = { one = "x" }', "segments.interacted lacks 'many'"),
        ('[notes]\nnone = "{}"', "notes.none cannot be filled in"),
        ('[notes]\nnever = "x"', "notes.never is none of"),
        ('quote = "{"', "quote cannot be filled in"),
        ('segments = "x"', "'segments' is none of"),
        ("quote", "own.toml"),
    ],
)
def test_a_file_that_cannot_be_used_says_what_is_wrong_in_it(
    schema, tmp_path, text, fault
):
    own = tmp_path / "own.toml"
    own.write_text(text)
    with pytest.raises(InputError, match=r"own\.toml") as told:
        Phrases.open("en", schema, own)
    assert fault in str(told.value)


def test_a_missing_file_or_language_is_told(schema, tmp_path):
    with pytest.raises(InputError, match=r"none\.toml"):
        Phrases.open("en", schema, tmp_path / "none.toml")
    for wrong in ("fr", "../en", ""):
        with pytest.raises(InputError, match="there are en, zh"):
            Phrases.open(wrong, schema)
