import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.query import Constraints, Query
from kg.config import Component, build, load, to_dict
from kg.errors import InputError
from kg.schema import NodeType


@dataclass(frozen=True)
class Training:
    epochs: int = 5
    rate: float = 1e-3
    mixed: bool = False
    tune: Literal["full", "lora", 1] = "full"
    limit: int | None = None
    sizes: tuple[int, ...] = (10, 5)
    range: tuple[float, str] = (0.5, "x")

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise ValueError("epochs must not be negative")


@dataclass(frozen=True)
class Recipe:
    name: str
    query: Component[Any] = Query(k=3, items=("a",))
    plan: Component[Query] | None = None
    parts: tuple[Component[Any], ...] = ()
    tasks: dict[str, Component[Any]] = field(
        default_factory=lambda: {"usual": Query(k=2)}
    )
    training: Training = Training(epochs=7)


FULL = """
name = "demo"
[query]
class = "fusion.query:Query"
user = "u1"
[[parts]]
class = "fusion.query:Constraints"
exclude = ["x"]
[tasks.basket]
class = "fusion.query:Query"
k = 4
where = { exclude = ["y"] }
[training]
rate = 1
sizes = [3]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "demo.toml"
    path.write_text(FULL)
    return path


def test_a_file_fills_every_kind_of_field_and_leaves_defaults(file: Path) -> None:
    recipe = load(Recipe, file)
    assert recipe == Recipe(
        "demo",
        query=Query(
            user="u1", k=3, items=("a",)
        ),  # laid over the field's default, not over Ask's
        parts=(Constraints(exclude=("x",)),),
        tasks={"basket": Query(k=4, where=Constraints(exclude=("y",)))},
        training=Training(epochs=7, rate=1.0, sizes=(3,)),
    )
    assert type(recipe.training.rate) is float


def test_another_class_starts_from_its_own_defaults() -> None:
    data = {
        "name": "n",
        "query": {"class": "kg.schema:NodeType", "name": "product", "role": "item"},
    }
    assert build(Recipe, data, "r").query == NodeType("product", "item")


def test_overrides_read_toml_values_and_bare_words(file: Path) -> None:
    recipe = load(
        Recipe,
        file,
        [
            "training.epochs=3",
            "training.tune=lora",
            "name=a/b:2",
            "training.sizes=[1, 2]",
            "tasks.basket.user=x",
            "plan.class=fusion.query:Query",
            'plan.text = "a b"',
            "training.mixed=true",
        ],
    )
    assert recipe.training == Training(
        epochs=3, rate=1.0, tune="lora", sizes=(1, 2), mixed=True
    )
    assert recipe.name == "a/b:2"
    assert recipe.tasks["basket"] == Query(
        user="x", k=4, where=Constraints(exclude=("y",))
    )
    assert recipe.plan == Query(text="a b")
    assert load(Recipe, None, ["name=n"]) == Recipe("n")


def test_a_file_says_which_tables_there_are_and_an_override_alters_them(
    file: Path,
) -> None:
    assert load(Recipe, None, ["name=n", "tasks.usual.user=x"]).tasks == {
        "usual": Query(user="x", k=2)
    }
    more = ["name=n", "tasks.new.class=fusion.query:Query"]
    assert load(Recipe, None, more).tasks == {"usual": Query(k=2), "new": Query()}
    assert list(load(Recipe, file, more).tasks) == ["basket", "new"]
    assert build(Recipe, {"name": "n", "tasks": {}}, "r").tasks == {}


def test_switching_class_refuses_what_belonged_to_the_old_one(file: Path) -> None:
    with pytest.raises(
        InputError, match=r"query\.user: unknown key; there are exclude, within"
    ):
        load(Recipe, file, ["query.class=fusion.query:Constraints"])
    assert (
        load(Recipe, None, ["name=n", "query.class=fusion.query:Constraints"]).query
        == Constraints()
    )


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


def test_an_override_says_where_it_stands(file: Path) -> None:
    with pytest.raises(InputError, match="name is a value, not a table"):
        load(Recipe, file, ["name.x=1"])
    with pytest.raises(
        InputError,
        match=r"demo\.toml with training\.epochs=x: training\.epochs: must be a whole",
    ):
        load(Recipe, file, ["training.epochs=x"])


def test_a_file_that_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the recipe: No such file"):
        load(Recipe, tmp_path / "none.toml")
    with pytest.raises(InputError, match="cannot read the recipe"):
        load(Recipe, tmp_path)
    for content in (b"name = ", b"\xff\xfe"):
        (tmp_path / "bad.toml").write_bytes(content)
        with pytest.raises(InputError, match=r"bad\.toml: not a TOML file"):
            load(Recipe, tmp_path / "bad.toml")


def test_to_dict_writes_every_default_and_class(file: Path) -> None:
    plain = to_dict(load(Recipe, file))
    assert plain["query"] == {
        "class": "fusion.query:Query",
        "user": "u1",
        "items": ["a"],
        "text": None,
        "k": 3,
        "where": {
            "exclude": [],
            "within": [],
            "without": [],
            "between": [],
            "only": None,
            "exclude_seen": False,
        },
    }
    assert plain["training"]["epochs"] == 7
    assert plain["plan"] is None
    assert plain["parts"][0]["class"] == "fusion.query:Constraints"
    assert plain["tasks"]["basket"]["class"] == "fusion.query:Query"


words = st.text(max_size=5)
queries = st.builds(
    Query,
    user=st.none() | words,
    items=st.lists(words, max_size=3).map(tuple),
    k=st.integers(1, 9),
    where=st.builds(
        Constraints,
        within=st.lists(st.tuples(words, st.lists(words).map(tuple)), max_size=2).map(
            tuple
        ),
    ),
)
trainings = st.builds(
    Training,
    epochs=st.integers(0),
    rate=st.floats(allow_nan=False),
    mixed=st.booleans(),
    tune=st.sampled_from(["full", "lora", 1]),
    limit=st.none() | st.integers(),
    sizes=st.lists(st.integers()).map(tuple),
)
recipes = st.builds(
    Recipe,
    name=words,
    query=queries | st.just(Constraints(("q",))),
    plan=st.none() | queries,
    parts=st.lists(
        queries | st.just(NodeType("a", "item", text=("t",))), max_size=2
    ).map(tuple),
    tasks=st.dictionaries(words, queries, max_size=2),
    training=trainings,
)


@settings(max_examples=50)
@given(recipes)
def test_a_recipe_comes_back_the_same_through_json(recipe: Recipe) -> None:
    assert (
        build(Recipe, json.loads(json.dumps(to_dict(recipe))), "recipe.json") == recipe
    )


def test_a_number_may_be_infinite() -> None:
    assert load(Recipe, None, ["name=n", "training.rate=inf"]).training.rate == math.inf


def test_a_field_no_recipe_can_fill_is_a_programming_error() -> None:
    @dataclass
    class Odd:
        when: Mapping[str, set[int]]

    with pytest.raises(InputError, match="cannot fill a field of type"):
        build(Odd, {"when": {"a": [1]}}, "r")
