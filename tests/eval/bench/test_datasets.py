"""Benchmarks: a whole one on the checkerboard, the entries, and tables that nobody typed."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from eval import __main__ as command
from eval.baselines.text import RankFusion, ScoreFusion
from eval.bench.ablation import ABLATIONS, ablate
from eval.bench.dataset_pages import dataset_page
from eval.bench.datasets import BENCHMARKS, JUDGED, Benchmark, Figure
from eval.bench.report import pooled
from eval.bench.run import run
from eval.bench.setup import missing, recipe_of
from eval.commands import measuring
from eval.contenders import BASELINES, all_baselines, further_baselines
from eval.measure.protocol import Scores
from eval.parts import RECIPES
from eval.slices import slices_of
from eval.suite import Chosen, baselines
from fusion.experiment import Recipe
from fusion.preparation import held_out
from fusion.query_batch import QueryBatch, Ragged

BOARD = Benchmark(
    name="board",
    title="Checkerboard",
    recipe="checkerboard",
    folder="",
    tasks={"words": ("HR@10", "NDCG@5"), "baskets": ("Recall@10",)},
    protocol="Made up.",
    traps="None | at all.",
    cross="has_colour",
    published=(Figure("A paper", "words", "HR@10", 0.5, "Nobody, 1999"),),
)


FAST = ("training.epochs=1", "evaluation.draws=20")


@pytest.fixture(scope="module", autouse=True)
def no_trees():
    """The boosted ranker takes longest, and other tests measure it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eval.contenders.baselines", partial(baselines, trees=False))
        yield


@pytest.fixture(scope="module")
def result(tiny_text):
    recipe = recipe_of(BOARD, Path("data"), [f"text.model={tiny_text}", *FAST])
    names = [name for name in BASELINES if name not in {"LightGCN", "SASRec"}]
    return {
        "command": "python -m eval benchmark",
        **run(BOARD, recipe, device="cpu", bars=False, names=names),
    }


def names(report):
    return [row["name"] for row in report["blocks"][0]["rows"]]


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


def test_crossing_over_needs_a_known_value_on_both_sides(trained):
    prepared = trained.prepared
    item = prepared.graph.vocabs["item"].row
    hands = [["i000", "i002"], ["i000", "i001"], ["i001"], []]
    hand = Ragged.of([[item(i) for i in row] for row in hands])
    targets = Ragged.of(
        [[item("i003")], [item("i003")], [item("i003")], [item("i003")]]
    )
    queries = QueryBatch(np.full(4, -1), hand, ("",) * 4, targets, np.arange(4))
    assert slices_of(prepared, queries, "has_colour")["cross-category"].tolist() == [
        True,
        False,
        False,
        False,
    ]
    assert "cross-category" not in slices_of(prepared, queries)
    with pytest.raises(ValueError, match="no relation 'nosuch'"):
        slices_of(prepared, queries, "nosuch")


def test_folds_are_pooled_with_users_together_and_nobody_apart():
    parts = [
        (
            Scores(
                np.array([3, -1]),
                {"a": {"HR@10": np.array([0.0, 1.0]) + n}},
                {"a": 1.0},
            ),
            {"cold": np.array([n > 0] * 2)},
        )
        for n in range(2)
    ]
    scores, slices = pooled(parts)
    assert scores.values["a"]["HR@10"].tolist() == [0, 1, 1, 2] and scores.seconds == {
        "a": 2.0
    }
    assert slices["cold"].tolist() == [False, False, True, True]
    assert scores.groups[0] == scores.groups[2] and scores.groups[1] != scores.groups[3]


def test_baselines_that_do_not_fit_are_left_out_with_the_reason(trained):
    prepared = trained.prepared
    found, left_out = further_baselines(
        prepared, trained.recipe, ["transitions", "BM25"], progress=False
    )
    assert list(found) == ["transitions", "BM25"] and left_out == {}
    events = replace(
        prepared.graph.events, time=np.full(len(prepared.graph.events), np.nan)
    )
    timeless = replace(prepared, graph=replace(prepared.graph, events=events))
    at_once = replace(
        prepared,
        graph=replace(
            prepared.graph, events=replace(events, time=np.zeros(len(events)))
        ),
    )
    for untold in (timeless, at_once):
        found, left_out = further_baselines(
            untold, trained.recipe, ["transitions", "SASRec"], progress=False
        )
        assert (
            found == {}
            and set(left_out.values()) == {"no user interacted at two times"}
            and len(left_out) == 2
        )
    nobody = replace(events, user=np.full(len(events), -1))
    alone = replace(prepared, graph=replace(prepared.graph, events=nobody))
    assert further_baselines(alone, trained.recipe, ["UserKNN", "BPR"], progress=False)[
        1
    ] == {
        "UserKNN": "no users",
        "BPR": "no users",
    }
    with pytest.raises(ValueError, match="no baseline 'nosuch'"):
        further_baselines(prepared, trained.recipe, ["nosuch"])


def test_words_and_vectors_are_joined_where_both_are_there(trained):
    prepared, recipe = trained.prepared, trained.recipe
    with_words, _ = all_baselines(prepared, recipe, ["BM25"], progress=False)
    joined = with_words["BM25 + untuned encoder"]
    assert isinstance(joined, RankFusion)
    assert [one.name for one in joined.rankers] == ["BM25", "untuned encoder"]
    weighted = with_words["BM25 + untuned encoder, weighted"]
    assert isinstance(weighted, Chosen) and isinstance(weighted.scorer, ScoreFusion)
    assert weighted.setting == f"share {weighted.scorer.share:g}"
    assert not any(
        name.startswith("BM25 +")
        for name in all_baselines(prepared, recipe, [], progress=False)[0]
    )


def test_a_baseline_is_chosen_on_validation(trained):
    prepared, recipe = trained.prepared, trained.recipe
    test = held_out(prepared, recipe, prepared.split.test, 0)["baskets"]
    blind = replace(prepared, split=replace(prepared.split, test=prepared.split.valid))
    one, two = (
        further_baselines(p, recipe, ["ItemKNN, decay"], progress=False)[0][
            "ItemKNN, decay"
        ]
        for p in (prepared, blind)
    )
    assert np.array_equal(one.score(test), two.score(test))


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
