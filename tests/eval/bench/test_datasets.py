"""Benchmarks: a whole one on the checkerboard, the entries, and tables that nobody typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval import __main__ as command
from eval.bench.ablation import ABLATIONS, ablate
from eval.bench.dataset_pages import dataset_page
from eval.bench.datasets import BENCHMARKS, JUDGED
from eval.bench.setup import missing, recipe_of
from eval.commands import measuring
from eval.contenders import BASELINES
from eval.parts import RECIPES
from fusion.experiment import Recipe
from tests.eval.bench.board import BOARD, FAST, names

pytestmark = pytest.mark.usefixtures("no_trees")


def test_a_benchmark_from_recipe_to_figures(result):
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert list(result["tasks"]) == ["words", "baskets"] and result["tasks"]["words"][
        "metrics"
    ] == ["HR@10", "NDCG@5"]
    found = names(result["tasks"]["words"])
    assert found[:4] == ["hybrid", "text alone", "graph alone", "metapath counts alone"]
    assert {"popularity", "EASE", "TF-IDF", "UserKNN", "transitions"} <= set(found)
    assert set(found) | set(result["left out"]) >= set(BASELINES) - {
        "LightGCN",
        "SASRec",
    }
    row = result["tasks"]["words"]["blocks"][0]["rows"][1]
    assert (
        row["behind"]["HR@10"]["low"]
        <= row["behind"]["HR@10"]["mean"]
        <= row["behind"]["HR@10"]["high"]
    )
    assert set(result["seconds"]) == {
        "data",
        "training",
        "parts",
        "baselines",
        "evaluation",
    }
    assert 0 < result["memory"]["training"] <= result["memory"]["everything"]
    assert (
        result["seed"] == 0
        and len(result["splits"][0]) == 64
        and "path" not in result["recipe"]["source"]
    )
    assert (
        result["published"][0]["source"] == "Nobody, 1999"
        and not result["quick"]
        and result["audit"] == []
    )


def test_variants_are_held_against_the_whole_and_equal_ones_not_trained_again(
    tiny_text,
):
    few = [f"text.model={tiny_text}", *FAST]
    names_ = ["whole", "concatenation", "without graph", "gate"]
    variants = {
        n: recipe_of(BOARD, Path("data"), [*few, *ABLATIONS[n]]) for n in names_
    }
    *before, found = ablate(BOARD, variants, device="cpu", bars=False)
    assert [names(b["tasks"]["baskets"]) for b in before] == [
        ["whole"],
        ["whole", "concatenation"],
    ]
    assert names(found["tasks"]["baskets"]) == [
        "whole",
        "concatenation",
        "without graph",
    ]
    assert found["equal"] == {"gate": "whole"} and set(found["seconds"]) == {
        "whole",
        "concatenation",
        "without graph",
    }
    text = dataset_page("Checkerboard", None, {"command": "x", **found})
    assert (
        "concatenation ahead by" not in text
        and "whole ahead by" in text
        and "gate is whole" in text
    )


def test_every_variant_is_a_recipe():
    for overrides in ABLATIONS.values():
        assert isinstance(recipe_of(BOARD, Path("data"), overrides), Recipe)


@pytest.mark.parametrize("benchmark", BENCHMARKS.values(), ids=BENCHMARKS)
def test_every_entry_fits_its_recipe(benchmark, tmp_path):
    if not (RECIPES / f"{benchmark.recipe}.toml").is_file():
        pytest.skip(f"the recipe {benchmark.recipe} is not written yet")
    recipe = recipe_of(benchmark, tmp_path)
    assert set(benchmark.tasks) - {JUDGED} <= set(recipe.tasks)
    assert JUDGED not in benchmark.tasks or hasattr(recipe.source, "judgments")
    assert not benchmark.folder or vars(recipe.source)["path"] == str(
        tmp_path / benchmark.folder
    )
    assert benchmark.folds == 1 or hasattr(recipe.split, "fold")
    for figure in benchmark.published:
        assert figure.metric in benchmark.tasks[figure.task] and figure.source
    if benchmark.bar:
        assert benchmark.bar[1] in benchmark.tasks[benchmark.bar[0]]


def test_the_command_skips_what_is_not_there(tmp_path, capsys):
    assert (
        missing(BENCHMARKS["hm"], tmp_path) == f"{tmp_path / 'hm_fashion'} is not there"
    )
    assert (
        command.main(["benchmark", "--only", "hm", "youshu", "--data", str(tmp_path)])
        == 0
    )
    printed = capsys.readouterr().out
    assert printed.count("skipped: ") == 2 and "hm_fashion is not there" in printed
    wrong = {
        "no benchmark 'nosuch'": ["benchmark", "--only", "nosuch"],
        "hm_fashion is not there": ["ablate", "hm"],
        "no variant 'x'": ["ablate", "completejourney", "--only", "x"],
    }
    for words, arguments in wrong.items():
        assert command.main([*arguments, "--data", str(tmp_path)]) == 2
        assert words in capsys.readouterr().err


def test_the_command_writes_a_file_and_leaves_the_documents_alone(
    tiny_text, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(BENCHMARKS, "board", BOARD)
    monkeypatch.setattr(
        measuring, "update", lambda: pytest.fail("the documents were written")
    )
    monkeypatch.setattr("eval.bench.run.train_parts", lambda *_: {})
    few = [
        f"text.model={tiny_text}",
        *FAST,
        "evaluation.baselines=false",
    ]
    changes = [part for value in few for part in ("--set", value)]
    arguments = [
        "benchmark",
        "--only",
        "board",
        "--out",
        str(tmp_path),
        "--quick",
        "--quiet",
        "--device",
        "cpu",
        *changes,
    ]
    assert command.main(arguments) == 0
    found = json.loads((tmp_path / "board-quick.json").read_text())
    assert found["quick"] and found["command"].startswith(
        "python -m eval benchmark --only board --set"
    )
    assert f"saved    {tmp_path / 'board-quick.json'}" in capsys.readouterr().out
    assert (
        command.main(["ablate", "board", "--only", "without graph", *arguments[3:]])
        == 0
    )
    found = json.loads((tmp_path / "board-ablation-quick.json").read_text())
    assert "board --only whole 'without graph' --set" in found["command"]
