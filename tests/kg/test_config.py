import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.query import Constraints, Query
from kg.config import build, load, to_dict
from kg.errors import InputError
from kg.schema import NodeType
from tests.kg.toy_recipe import FULL, Recipe, Training


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


def test_an_override_says_where_it_stands(file: Path) -> None:
    with pytest.raises(InputError, match="name is a value, not a table"):
        load(Recipe, file, ["name.x=1"])
    with pytest.raises(
        InputError,
        match=r"demo\.toml with training\.epochs=x: training\.epochs: must be a whole",
    ):
        load(Recipe, file, ["training.epochs=x"])


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
