"""What is wrong with a recipe is named by file and key."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kg.config import build, load
from kg.errors import InputError
from tests.kg.toy_recipe import Recipe


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "name: missing; it has no default"),
        ({"nam": "x"}, "nam: unknown key; did you mean 'name'?"),
        ({"name": 3}, "name: must be a string, not the int 3"),
        (
            {"training": {"epoch": 3}},
            "training.epoch: unknown key; did you mean 'epochs'?",
        ),
        (
            {"training": {"zzz": 3}},
            "training.zzz: unknown key; there are epochs, rate,",
        ),
        (
            {"training": {"epochs": True}},
            "training.epochs: must be a whole number, not the bool True",
        ),
        (
            {"training": {"epochs": 3.0}},
            "training.epochs: must be a whole number, not the float 3.0",
        ),
        (
            {"training": {"rate": True}},
            "training.rate: must be a number, not the bool True",
        ),
        (
            {"training": {"rate": "1"}},
            "training.rate: must be a number, not the str '1'",
        ),
        (
            {"training": {"mixed": 1}},
            "training.mixed: must be true or false, not the int 1",
        ),
        (
            {"training": {"tune": "lor"}},
            "training.tune: must be one of 'full', 'lora', 1, not 'lor'",
        ),
        ({"training": {"tune": True}}, "training.tune: must be one of"),
        (
            {"training": {"limit": "x"}},
            "training.limit: must be a whole number, not the str 'x'",
        ),
        ({"training": {"sizes": 3}}, "training.sizes: must be an array, not the int 3"),
        (
            {"training": {"sizes": "33"}},
            "training.sizes: must be an array, not the str '33'",
        ),
        (
            {"training": {"sizes": [1, "2"]}},
            "training.sizes[1]: must be a whole number, not the str '2'",
        ),
        ({"training": {"range": [1]}}, "training.range: must have 2 elements, not 1"),
        ({"training": {"epochs": -1}}, "training: epochs must not be negative"),
        ({"training": 3}, "training: must be a table, not the int 3"),
        ({"tasks": 3}, "tasks: must be a table, not the int 3"),
        (
            {"tasks": {"basket": {"k": 3}}},
            'tasks.basket.class: missing; write class = "module:Class"',
        ),
        ({"query": {"k": 0}}, "query: k must be at least 1, not 0"),
        (
            {"query": "Ask"},
            'query: must be a table with class = "module:Class", not the str',
        ),
        (
            {"query": {"class": "os:system"}},
            'query.class: must be "module:Class" in kg, encoders, fusion or eval',
        ),
        ({"query": {"class": "kgb.x:Y"}}, "query.class: must be"),
        ({"query": {"class": "fusion.query"}}, "query.class: must be"),
        ({"query": {"class": 3}}, "query.class: must be"),
        (
            {"query": {"class": "kg.nowhere:X"}},
            "query.class: cannot import kg.nowhere: No module named",
        ),
        (
            {"query": {"class": "fusion.query:Constraint"}},
            "has no dataclass 'Constraint'; did you mean 'Constraints'?",
        ),
        (
            {"query": {"class": "fusion.query:dataclass"}},
            "fusion.query has no dataclass 'dataclass'",
        ),
        (
            {"plan": {"class": "fusion.query:Constraints"}},
            "plan.class: fusion.query:Constraints is no Query",
        ),
    ],
)
def test_a_fault_is_named_by_file_and_key(data: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        build(
            Recipe,
            data if "nam" in data or not data else {"name": "n", **data},
            "demo.toml",
        )
    assert str(caught.value).startswith("demo.toml: ")
    assert message in str(caught.value)
    key = message.partition(": ")[0] if ": " in message else "query.class"
    if message == "query: k must be at least 1, not 0":
        key = "query.k"  # the class says which
    assert caught.value.field == key
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "override", ["", "name", "name=", "=x", "a..b=1", "training.sizes=[1", 'name="x']
)
def test_a_malformed_override_is_refused(override: str) -> None:
    with pytest.raises(InputError, match="override"):
        load(Recipe, None, ["name=n", override])


def test_a_file_that_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the recipe: No such file"):
        load(Recipe, tmp_path / "none.toml")
    with pytest.raises(InputError, match="cannot read the recipe"):
        load(Recipe, tmp_path)
    for content in (b"name = ", b"\xff\xfe"):
        (tmp_path / "bad.toml").write_bytes(content)
        with pytest.raises(InputError, match=r"bad\.toml: not a TOML file"):
            load(Recipe, tmp_path / "bad.toml")


def test_a_field_no_recipe_can_fill_is_a_programming_error() -> None:
    @dataclass
    class Odd:
        when: Mapping[str, set[int]]

    with pytest.raises(InputError, match="cannot fill a field of type"):
        build(Odd, {"when": {"a": [1]}}, "r")
