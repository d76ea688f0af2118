"""train.py from the command line: one recipe in, one run folder out, and one line for every mistake."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from eval.protocol import evaluate
from fusion.artifacts import load_parts
from fusion.pipeline import held_out, prepare
from fusion.recommender import Recommender
from fusion.runs import list_runs
from fusion.trainer import CHECKPOINT, Trainer
from kg.sources.checkerboard import Checkerboard
from kg.store import open_store, write_tables
from kg.tables import Tables
from train import main

ROOT = Path(__file__).parents[1]
QUICK = ("evaluation.parts=false", "evaluation.baselines=false", "evaluation.draws=10")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Where all runs here keep their embedded stores."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def command(tiny_text, data, tmp_path):
    """The arguments for a quick run into tmp_path/runs: command(*arguments, "key=value", ...)."""

    def made(*arguments):
        flags = [a for a in arguments if a.startswith("-") or "=" not in a]
        values = [a for a in arguments if a not in flags]
        folders = ["--quiet", "--device", "cpu", "--out", str(tmp_path / "runs"), "--data", str(data)]
        if "--resume" in flags:
            return [*flags, *folders]
        values = [f"text.model={tiny_text}", "training.epochs=1", *QUICK, *values]
        return ["checkerboard", *flags, *folders, *(part for value in values for part in ("--set", value))]

    return made


def metrics(folder):
    """What was measured, without how long it took."""
    found = json.loads((folder / "metrics.json").read_text())
    for report in found["test"].values():
        for block in report["blocks"]:
            for row in block["rows"]:
                assert row.pop("seconds") >= 0
    return found


def losses(folder):
    events = EventAccumulator(str(folder / "logs"))
    events.Reload()
    return [e.value for e in events.Scalars("train/loss")]


def only(folder):
    (found,) = list_runs(folder)
    assert [p.name for p in folder.iterdir()] == [found.name]  # nothing unfinished is left beside it
    return found


def unfinished(folder):
    (found,) = folder.glob("*.training")
    return found


def test_a_run_from_recipe_to_folder(command, tmp_path, capsys):
    assert main(command("--graph", *(q.replace("=false", "=true") for q in QUICK[:2]), "training.epochs=2")) == 0
    printed = capsys.readouterr().out
    run = only(tmp_path / "runs")
    assert run.name.endswith("-checkerboard") and f"saved    {run}" in printed
    found = metrics(run)
    names = [row["name"] for row in found["test"]["baskets"]["blocks"][0]["rows"]]
    parts = ["text alone", "graph alone", "counted paths alone"]
    assert names[:4] == ["hybrid", *parts] and names[-1] == "boosted ranker" and len(names) == 11
    for name in names:
        assert f"\n{name}  " in printed and f"| {name} |" in (run / "README.md").read_text()
    assert "recommend(user=" in printed and "complete(items" in printed and "search(" in printed
    assert [row["step"] for row in found["validation"]] == [24]

    loaded = Recommender.load(run)
    recipe = load_parts(run).recipe
    prepared = prepare(recipe.split(recipe.source.load()), recipe, progress=False)
    asks = held_out(prepared, recipe, prepared.split.test, 0)["baskets"]
    means = evaluate({"it": loaded}, asks, len(loaded.items), progress=False).means()["it"]
    for metric, value in found["test"]["baskets"]["blocks"][0]["rows"][0]["values"].items():
        assert value["mean"] == pytest.approx(means[metric], abs=1e-6)

    assert json.loads((run / "data.json").read_text()) == {
        "split": prepared.split.fingerprint,
        "train": loaded.tables.fingerprint(),
    }
    assert "python" in json.loads((run / "environment.json").read_text())
    assert {p.name for p in (run / "held_out").iterdir()} == {"valid.parquet", "test.parquet"}
    assert len(losses(run)) == 24
    assert not [p for p in run.rglob("*.p*t*") if p.suffix in (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt")]


def test_the_store_is_built_once(command, data, monkeypatch):
    assert main(command("--graph", "--dry-run", "source.seed=5")) == 0
    with monkeypatch.context() as changed:
        changed.setattr(Checkerboard, "load", lambda _: pytest.fail("the source was read again"))
        assert main(command("--graph", "--dry-run", "source.seed=5")) == 0
    before = set(data.iterdir())
    assert main(command("--graph", "--dry-run", "source.seed=6")) == 0
    assert len(set(data.iterdir()) - before) == 1
    assert {p.suffix for p in data.iterdir()} == {".duckdb"}


def test_a_dry_run_trains_nothing_and_leaves_no_run(command, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Trainer, "fit", lambda *_: pytest.fail("it trained"))
    assert main(command("--graph", "--dry-run")) == 0
    printed = capsys.readouterr().out
    assert not (tmp_path / "runs").exists()
    for line in ("40 user, 240 basket, 42 item", "training 12 steps of 40 asks", "GiB", "dry run: nothing was trained"):
        assert line in printed


def test_without_a_graph_the_language_half_trains_alone(command, tmp_path, capsys):
    assert main(command("evaluation.parts=true")) == 0
    run = only(tmp_path / "runs")
    assert run.name.endswith("-checkerboard-language")
    loaded = Recommender.load(run)
    assert loaded.model.gnn is None and loaded.model.head is None and loaded.model.text is not None
    assert all(r.language == 1 for r in loaded.recommend("u003"))
    assert [row["name"] for row in metrics(run)["test"]["baskets"]["blocks"][0]["rows"]] == ["model"]


def test_the_seed_is_kept_with_the_run(command, tmp_path):
    assert main(command("--graph", "--seed", "7")) == 0
    run = only(tmp_path / "runs")
    assert json.loads((run / "recipe.json").read_text())["seed"] == 7
    first = metrics(run)
    shutil.rmtree(run)
    assert main(command("--graph", "--seed", "7")) == 0
    assert metrics(only(tmp_path / "runs")) == first
    shutil.rmtree(tmp_path / "runs")
    assert main(command("--graph")) == 0
    assert metrics(only(tmp_path / "runs"))["validation"] != first["validation"]


def test_help_names_the_recipes_and_the_exit_codes(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "checkerboard" in text and "demo" in text and "2 bad input" in text and "--resume" in text


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["no-such-recipe", "--graph"], "no-such-recipe: cannot read the recipe: No such file"),
        (["pyproject.toml", "--graph"], "pyproject.toml: build-system: unknown key"),
        (["README.md"], "README.md: not a TOML file"),
        (["--graph", "--set", "trainin.epochs=1"], "trainin: unknown key; did you mean 'training'?"),
        (["--graph", "--set", "training.epochs"], "override 'training.epochs': write key.key=value"),
        (["--graph", "--set", "training.epochs=many"], "training.epochs: must be a whole number"),
        (["--graph", "--set", "training.epochs=[1"], "override 'training.epochs=[1'"),
        (["--graph", "no/such/file.duckdb"], "no/such/file.duckdb"),
        (["--graph", "mysql://host"], "mysql://host: no store for mysql://"),
        (["--graph", "pyproject.toml"], "pyproject.toml"),
        (["--graph", "--set", "schema=no-such.toml"], "no-such.toml"),
        (["--graph", "--set", "text.model=no/such/model"], "text model 'no/such/model' is neither a folder nor"),
        (["--graph", "--set", "split.train_until=90"], "must be train_until < valid_until"),
        (["--graph", "--set", "folds.count=9"], "folds: window 4 of 9"),
        (["--graph", "--device", "abacus"], "abacus"),
        (["--resume", "no/such/run"], "no/such/run: no unfinished training there"),
        (["--resume", ".", "--set", "seed=1"], "leave --set and --seed out"),
        (["--resume", ".", "--seed", "1"], "leave --set and --seed out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_leaves_nothing(arguments, error, data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    named = ("README.md", "pyproject.toml", "no-such-recipe")
    recipe = [] if arguments[0] in named or arguments[0] == "--resume" else ["checkerboard"]
    assert main([*recipe, *arguments, "--quiet", "--out", str(tmp_path / "runs"), "--data", str(data)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("train.py: ") and said.count("\n") == 1 and error in said
    assert not (tmp_path / "runs").exists()


def test_an_unknown_flag_is_refused(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--grpah"])
    assert caught.value.code == 2
    assert "--grpah" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_refused(command, tmp_path, capsys):
    (tmp_path / "runs").write_text("a file")
    assert main(command("--graph")) == 2
    assert str(tmp_path / "runs") in capsys.readouterr().err


def test_a_training_that_fails_is_told_from_bad_input(command, tmp_path, capsys):
    assert main(command("--graph", "training.lr=1e30")) == 1
    assert "the gradient is not finite at step" in capsys.readouterr().err
    assert not list_runs(tmp_path / "runs")


def test_neo4j_uri_counts_only_where_a_graph_is_asked_for_without_an_address(command, data, monkeypatch, capsys):
    monkeypatch.setenv("NEO4J_URI", "bolt://127.0.0.1:1")
    assert main(command("--dry-run")) == 0
    (store,) = (p for p in data.glob("*.duckdb") if str(p) in capsys.readouterr().out)
    assert main(command("--graph", str(store), "--dry-run")) == 0
    assert str(store) in capsys.readouterr().out
    assert main(command("--graph", "--dry-run")) == 2
    assert "bolt://127.0.0.1:1" in capsys.readouterr().err


def test_an_interrupted_training_goes_on_unless_the_data_changed(command, tmp_path, monkeypatch, capsys):
    path = tmp_path / "graph.duckdb"
    with open_store(str(path), create=True) as store:
        write_tables(store, Checkerboard(users=40, items=40).load())
    settings = ("--graph", str(path), "training.validations=3")
    assert main(command(*settings)) == 0
    whole = only(tmp_path / "runs")
    expected = metrics(whole)
    shutil.rmtree(whole)
    step = Trainer._step

    def stopped(trainer, number):
        if number == 6:
            raise KeyboardInterrupt
        return step(trainer, number)

    with monkeypatch.context() as changed:
        changed.setattr(Trainer, "_step", stopped)
        assert main(command(*settings)) == 130
    assert "interrupted" in capsys.readouterr().err
    work = unfinished(tmp_path / "runs")

    kept = path.rename(tmp_path / "kept.duckdb")
    with open_store(str(path), create=True) as store:
        write_tables(store, Checkerboard(users=40, items=40, seed=1).load())
    assert main(command("--resume", str(work))) == 2
    assert f"{work}: the graph has changed since" in capsys.readouterr().err
    kept.replace(path)
    assert main(command("--resume", str(work))) == 0
    assert "resumed  at step 4 of 12" in capsys.readouterr().out
    assert metrics(only(tmp_path / "runs")) == expected


def test_a_killed_training_ends_as_one_that_was_not(command, tmp_path):
    settings = command("--graph", "training.epochs=6", "training.validations=6")
    assert main(settings) == 0
    whole = only(tmp_path / "runs")
    expected = metrics(whole)
    weights = (whole / "model.safetensors").read_bytes()
    shutil.rmtree(whole)
    process = subprocess.Popen([sys.executable, "train.py", *settings], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not list((tmp_path / "runs").glob(f"*/{CHECKPOINT}")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    work = unfinished(tmp_path / "runs")
    assert not list_runs(tmp_path / "runs")
    assert torch.load(work / CHECKPOINT, weights_only=True)["done"] < 72
    assert main(command("--resume", str(work))) == 0
    run = only(tmp_path / "runs")
    assert metrics(run) == expected
    assert (run / "model.safetensors").read_bytes() == weights


@pytest.mark.slow
@pytest.mark.parametrize("sampled", [False, True], ids=["whole", "sampled"])
def test_two_processes_take_the_same_steps_as_one(command, tmp_path, sampled):
    """At one global batch, with nothing drawn by chance; the parts train on both processes too."""
    settings = ["fusion.modality_drop=0", "fusion.id_drop=0", "training.text_budget=-1", "training.hand=-1"]
    settings += ["training.lr=1e-3", "training.accumulate=2"]
    if sampled:
        settings += ["training.whole_edges=0", "fusion.fanout=[-1, -1]", "training.refresh=1"]
    assert main(command("--graph", *settings)) == 0
    run = only(tmp_path / "runs")
    one, alone = losses(run), metrics(run)["validation"]
    shutil.rmtree(run)
    arguments = command("--graph", "--processes", "2", *settings, *["evaluation.parts=true"] * (not sampled))
    done = subprocess.run(
        [sys.executable, "train.py", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    run = only(tmp_path / "runs")
    assert len(one) == 12 and one[-1] < one[0]
    assert losses(run) == pytest.approx(one, rel=1e-3)
    assert metrics(run)["validation"][-1]["loss"] == pytest.approx(alone[-1]["loss"], rel=1e-3)
    names = [row["name"] for row in metrics(run)["test"]["baskets"]["blocks"][0]["rows"]]
    assert names == ["hybrid"] if sampled else names[1:] == ["text alone", "graph alone", "counted paths alone"]


@pytest.mark.neo4j
def test_neo4j_and_the_embedded_store_give_the_same_run(command, neo4j_store, neo4j_uri, prefix, tmp_path):
    plain = Checkerboard(users=40, items=40).load()
    nodes = tuple(replace(node, label=prefix + node.label) for node in plain.schema.nodes)
    tables = Tables(replace(plain.schema, nodes=nodes), plain.nodes, plain.edges)
    path = tmp_path / "graph.duckdb"
    write_tables(neo4j_store, tables)
    with open_store(str(path), create=True) as store:
        write_tables(store, tables)
    found = []
    for uri in (neo4j_uri, str(path)):
        assert main(command("--graph", uri)) == 0
        run = only(tmp_path / "runs")
        found.append((json.loads((run / "data.json").read_text()), metrics(run)))
        shutil.rmtree(run)
    assert found[0] == found[1]
    assert np.isfinite(found[0][1]["validation"][-1]["loss"])
