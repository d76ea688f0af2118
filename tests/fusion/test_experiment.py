import json
from pathlib import Path

import pytest

from fusion.experiment import EvaluationConfig, Recipe, Source, Splitter, Task
from kg import config as recipes
from kg.errors import InputError
from kg.split.time import TimeSplit

SHIPPED = sorted((Path(__file__).parents[2] / "fusion" / "recipes").glob("*.toml"))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_every_shipped_recipe_is_whole(file):
    recipe = recipes.load(Recipe, file)
    assert recipe.name == file.stem
    assert (
        recipes.build(Recipe, json.loads(json.dumps(recipes.to_dict(recipe))), "again")
        == recipe
    )
    assert isinstance(recipe.source, Source) and isinstance(recipe.split, Splitter)
    assert all(isinstance(task, Task) for task in recipe.tasks.values())


def test_the_defaults_make_a_recipe():
    assert recipes.load(Recipe, None) == Recipe()


@pytest.mark.parametrize(
    ("override", "error"),
    [
        ("trainin.epochs=3", "trainin: unknown key; did you mean 'training'"),
        ("training.epoch=3", "training.epoch: unknown key; did you mean 'epochs'"),
        ("training.epochs=three", "training.epochs: must be a whole number"),
        ("training.epochs=-1", "training.epochs must be at least 0, not -1"),
        ("training.shrinkage=-1", "training.shrinkage must be at least 0, not -1"),
        ("training.lr=nan", "training.lr: must be a number, not the float nan"),
        ("training.lr=inf", "training.lr must be above 0 and finite, not inf"),
        (
            "training.lr_text=inf",
            "training.lr_text must be above 0 and finite, not inf",
        ),
        ("paths.half_life=nan", "paths.half_life: must be a number, not the float nan"),
        ("paths.recent=nan", "paths.recent: must be a number, not the float nan"),
        ("folds.length=inf", "length inf"),
        ("training.precision=half", "training.precision: must be one of '32-true'"),
        (
            "evaluation.metric=NDGC@10",
            "evaluation.metric = 'NDGC@10': it is MRR, HR@k, NDCG@k or Recall@k",
        ),
        ("evaluation.limit=-1", "evaluation.limit must be at least 0"),
        ("evaluation.ease=[]", "the baselines need at least one penalty"),
        (
            "fusion.fanout=[8]",
            "fusion.fanout has 1 hops, the GNN 2 layers: make them equal",
        ),
        (
            "fusion.fuse=glue",
            "fusion.fuse = 'glue': it is one of gate, concatenation, sum",
        ),
        ("fusion.embedding_dim=0", "fusion.embedding_dim must be at least 1"),
        ("text.tune=some", "tune = 'some'"),
        (
            "gnn.class=encoders.graph.layers:Nothing",
            "encoders.graph.layers has no dataclass 'Nothing'",
        ),
        ("gnn.class=os:path", 'must be "module:Class" in kg, encoders, fusion or eval'),
        ("folds.count=0", "folds: count 0"),
    ],
)
def test_a_mistake_is_named_by_its_key(override, error):
    with pytest.raises(InputError, match=error) as caught:
        recipes.load(Recipe, SHIPPED[0], [override])
    assert str(SHIPPED[0]) in str(caught.value)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (
            {"source": {"class": "kg.split.last:LeaveLast"}},
            "source.class: kg.split.last:LeaveLast is no Source",
        ),
        (
            {"split": {"class": "kg.sources.checkerboard:Checkerboard"}},
            "split.class: .* is no Splitter",
        ),
        (
            {"tasks": {"more": {"class": "kg.split.last:LeaveLast"}}},
            "tasks.more.class: .* is no Task",
        ),
    ],
)
def test_a_part_in_the_wrong_place_is_refused(data, error):
    with pytest.raises(InputError, match=error):
        recipes.build(Recipe, data, "here")


def test_what_is_said_of_a_source_says_which():
    with pytest.raises(
        InputError, match=r'source.class: missing; write class = "module:Class"'
    ):
        recipes.build(Recipe, {"source": {"path": "mydata"}}, "here")
    assert recipes.build(Recipe, recipes.to_dict(Recipe()), "here") == Recipe()


def test_a_date_is_a_moment_of_the_split_and_no_other_number(tmp_path):
    file = tmp_path / "mine.toml"
    cut = (
        "train_until = 2024-11-30\n"
        "valid_until = 2024-12-15T12:00:00\n"
        "test_from = 2024-12-16T02:00:00+02:00"
    )
    file.write_text(f'[split]\nclass = "kg.split.time:TimeSplit"\n{cut}\n')
    recipe = recipes.load(Recipe, file)
    assert recipe.split == TimeSplit(20057, 20072.5, 20073)
    assert (
        recipes.build(Recipe, json.loads(json.dumps(recipes.to_dict(recipe))), "again")
        == recipe
    )
    assert recipes.load(
        Recipe, file, ["split.train_until=2024-11-29"]
    ).split == TimeSplit(20056, 20072.5, 20073)
    with pytest.raises(
        InputError, match=r"folds\.length: must be a number, not the date"
    ):
        recipes.load(Recipe, file, ["folds.length=2024-11-29"])


def test_a_recipe_without_a_task_is_refused():
    with pytest.raises(InputError, match="a recipe needs at least one task"):
        recipes.build(Recipe, {"tasks": {}}, "here")


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_no_generator_takes_is_refused(seed):
    with pytest.raises(
        InputError, match=f"seed must be at least 0 and below 2 \\*\\* 32, not {seed}"
    ):
        recipes.build(Recipe, {"seed": seed}, "here")


def test_fewer_layers_than_fanouts_do_not_matter_without_a_graph():
    Recipe(
        fusion=recipes.load(
            Recipe, None, ["fusion.graph=false", "fusion.fanout=[8]"]
        ).fusion
    )


@pytest.mark.parametrize("metric", ["MRR", "HR@5", "NDCG@100", "Recall@1"])
def test_every_metric_of_the_protocol_may_choose(metric):
    assert EvaluationConfig(metric=metric).metric == metric


@pytest.mark.parametrize(
    ("override", "field"),
    [
        ("training.epochs=-1", "training.epochs"),
        ("evaluation.metric=zz", "evaluation.metric"),
    ],
)
def test_a_setting_that_names_its_own_key_is_named_once(override, field):
    with pytest.raises(InputError) as refused:
        recipes.load(Recipe, SHIPPED[0], [override])
    assert refused.value.field == field
    assert str(refused.value).count(f"{field} ") == 1
    assert f"{field.split('.')[0]}: {field}" not in str(refused.value)
