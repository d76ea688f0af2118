"""The full table, made at once or afterwards from the saved run: the very same figures."""

import json
import shutil

import pytest

import trousseau
from fusion.runs.folder import open_run
from kg.sources.checkerboard import Checkerboard
from kg.stores.base import write_tables
from kg.stores.open import open_store
from train import main

SETTINGS = ("evaluation.baselines=true", "split.cold_fraction=0.1")


def plain(reports):
    for report in reports.values():
        for block in report["blocks"]:
            for row in block["rows"]:
                assert row.pop("seconds") >= 0
    return reports


def rows_of(report):
    return {row["name"]: row for row in report["blocks"][0]["rows"]}


@pytest.mark.slow
def test_a_comparison_afterwards_gives_the_figures_of_one_at_once(
    command, one_run, tmp_path, capsys
):
    assert main(command("--graph", "--compare", *SETTINGS)) == 0
    at_once = one_run()
    shutil.rmtree(at_once.folder)
    assert main(command("--graph", *SETTINGS)) == 0
    short = one_run()
    printed = capsys.readouterr().out
    assert f"trousseau compare {short.folder}" in printed

    runs = str(tmp_path / "runs")
    assert trousseau.main(["compare", "--out", runs, "--quiet", "--device", "cpu"]) == 0
    open_run(short.folder)  # it is still what was sealed
    content = json.loads((short.folder / "comparison.json").read_text())
    afterwards = plain(content["test"])
    assert afterwards == at_once.metrics["test"]
    assert content["run"] == short.folder.name
    assert "| boosted ranker |" in (short.folder / "comparison.md").read_text()

    for task, report in short.metrics["test"].items():
        assert [block["name"] for block in report["blocks"]] == ["all"]
        whole = rows_of(afterwards[task])
        first, cheap, last = rows_of(report)
        assert (first, last) == ("hybrid", "boosted ranker")
        assert cheap in ("user frequency", "BM25")
        for name, row in rows_of(report).items():
            if name in whole:
                for metric, value in row["values"].items():
                    assert value["mean"] == whole[name]["values"][metric]["mean"]


def test_a_run_is_compared_on_the_graph_that_it_was_trained_on(
    command, one_run, tmp_path, capsys
):
    path = tmp_path / "graph.duckdb"
    with open_store(str(path), create=True) as store:
        write_tables(store, Checkerboard(users=40, items=40).load())
    assert main(command("--graph", str(path))) == 0
    folder = one_run().folder
    path.unlink()
    with open_store(str(path), create=True) as store:
        write_tables(store, Checkerboard(users=40, items=40, seed=1).load())
    assert main(["--compare", str(folder), "--quiet"]) == 2
    assert "the graph has changed since it was trained" in capsys.readouterr().err
    assert not list(folder.glob("*comparison*"))


@pytest.mark.parametrize(
    "flags",
    [
        ["checkerboard"],
        ["--set", "seed=1"],
        ["--seed", "1"],
        ["--dry-run"],
        ["--processes", "2"],
        ["--resume", "x"],
    ],
    ids=" ".join,
)
def test_a_comparison_changes_nothing_of_the_run(flags, capsys):
    assert main([*flags, "--compare", "somewhere"]) == 2
    assert "measures a run as it was trained" in capsys.readouterr().err


def test_without_a_run_there_is_nothing_to_compare(tmp_path, capsys):
    assert trousseau.main(["compare", "--out", str(tmp_path / "none")]) == 2
    assert "no runs there" in capsys.readouterr().err
    assert main(["--compare", str(tmp_path)]) == 2
    assert "it has no manifest" in capsys.readouterr().err
