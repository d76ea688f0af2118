"""Explanations measured on the checkerboard, and the command that does it."""

import json

import numpy as np
import pytest

import train
from eval.__main__ import main
from eval.bench.explanation_tables import PROTOCOL, SLICES, explained
from eval.studies.explanation_qualities import TrainingFacts, smoothed_rank
from eval.studies.explanations import held_queries, measure, warmed
from fusion.preparation import held_out
from fusion.query import Query


def out_of(run, folder):
    (folder / "explanations.json").write_text(json.dumps({"checkerboard": run}))
    return folder


@pytest.fixture(scope="module")
def explainer(trained):
    made, seconds = warmed(trained.recommender)
    assert seconds > 0
    return made


def test_figures_of_a_trained_checkerboard(explainer, trained):
    prepared, recipe = trained.prepared, trained.recipe
    queries = held_out(prepared, recipe, prepared.split.test, 0)["baskets"]
    report = measure(explainer, queries, 3, 2, progress=False)
    assert report["queries"] == 3 and report["validity"] == 1 and report["paths"] >= 3
    covered = report["coverage"]
    assert (
        covered["all"]["of"]
        == covered["interacted before"]["of"] + covered["new"]["of"]
        > 10
    )
    assert 0 < covered["all"]["share"] <= 1
    for name in ("best", "blind"):
        figures = report[f"deletion, {name} path"]
        assert figures["score lost"]["of"] == 3
        pairs = [figures[part]["difference, score"]["of"] for part in SLICES]
        assert 0 < sum(pairs) <= 3
        for part in SLICES:
            apart = figures[part]
            assert (
                apart["random, score lost"]["of"]
                == apart["difference, score"]["of"]
                == apart["score lost"]["of"]
            )
    # what is chosen for what it carries carries no less than what is chosen unseen
    best, blind = (
        report[f"deletion, {name} path"]["score lost"]["mean"]
        for name in ("best", "blind")
    )
    assert best >= blind - 1e-6
    assert set(report["parts"]) == {"paths", "popularity", "words", "vectors"}
    assert all(part["of"] == 3 for part in report["parts"].values())
    assert (
        report["sufficiency"]["of"] == 2
        and -1 <= report["estimate"]["rank correlation"] <= 1
    )
    assert all(
        0 <= report[name]["mean"] <= 1 for name in ("carried", "text_weight", "ETD")
    )
    for name, of in (("paths", covered["all"]["of"]), ("support", 3)):
        seconds = report["seconds"][name]
        assert 0 < seconds["p50"] <= seconds["p95"] and seconds["of"] == of
    again = measure(explainer, queries, 3, 2, progress=False)
    again["seconds"] = report["seconds"]
    assert again == report


def test_a_path_that_the_tables_do_not_have_is_not_valid(explainer):
    made = explainer.explain(
        Query("u003"), explainer.recommender.answer(Query("u003"))[0].id, support=False
    )
    known = TrainingFacts(explainer)
    assert known.valid(made) == [True] * len(made.paths)
    edge = made.paths[0].edges[0]
    known.edges[edge.relation] = set()
    assert not known.valid(made)[0]


def test_where_a_value_stands_issmoothed_rank():
    values = np.array([3.0, 1.0, 2.0, 2.0, np.nan])
    assert smoothed_rank(values, 1.0) == 0 and smoothed_rank(values, 3.0) == 1
    # averages 1, 1.3 and 1.81
    assert smoothed_rank(values, 2.0) == pytest.approx(0.3 / 0.81)
    assert smoothed_rank(np.array([2.0, 2.0]), 2.0) == 1


def test_the_command_asks_what_was_held_out_and_keeps_what_was_measured_of_other_runs(
    command, one_run, trained, tmp_path, capsys
):
    assert train.main(command("--graph")) == 0
    folder, out = one_run().folder, tmp_path / "results"
    out.mkdir()
    (out / "explanations.json").write_text('{"other": {}}')
    asked = [
        "explanations",
        str(folder),
        "--queries",
        "2",
        "--sufficient",
        "1",
        "--out",
        str(out),
        "--quiet",
    ]
    assert main(asked) == 0
    saved = json.loads((out / "explanations.json").read_text())
    assert (
        list(saved) == ["other", "checkerboard"]
        and saved["checkerboard"]["seconds until ready"] > 0
    )
    assert saved["checkerboard"]["command"].endswith(
        f"runs/{folder.name} --queries 2 --sufficient 1 --seed 0"
    )
    assert saved["checkerboard"]["tasks"]["baskets"]["queries"] == 2
    told = explained(out_of(saved["checkerboard"], tmp_path))
    assert (
        PROTOCOL in told
        and "chosen by this very measure" in told
        and saved["checkerboard"]["command"] in told
    )
    assert (
        "## checkerboard" in told
        and "| validity | 100.0% |" in told
        and "| score lost without words |" in told
        and "random of its length and source" in told
    )
    assert explained(tmp_path / "none") == "No results yet."
    assert f"saved    {out / 'explanations.json'}" in capsys.readouterr().out
    assert main(["explanations", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.count("\n") == 1

    assert main([*asked, "--on", "valid"]) == 0
    saved = json.loads((out / "explanations.json").read_text())
    assert list(saved) == ["other", "checkerboard", "checkerboard, valid"]
    assert saved["checkerboard, valid"]["command"].endswith("--seed 0 --on valid")
    found, early = (
        held_queries(trained.recommender, folder),
        held_queries(trained.recommender, folder, "valid"),
    )
    assert (
        early["baskets"].targets.rows.tolist() != found["baskets"].targets.rows.tolist()
    )
    queries = held_out(trained.prepared, trained.recipe, trained.prepared.split.test, 0)
    assert list(found) == list(queries)
    for name, some in queries.items():
        np.testing.assert_array_equal(found[name].targets.rows, some.targets.rows)
