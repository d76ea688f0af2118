"""train.py: every mistake is one line and its exit code, and leaves nothing behind."""

from pathlib import Path

import numpy as np
import pytest

from fusion.runs.folder import list_runs
from train import main

ROOT = Path(__file__).parents[1]


def test_help_names_the_recipes_and_the_exit_codes(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert (
        "checkerboard" in text
        and "demo" in text
        and "2 bad input" in text
        and "--resume" in text
    )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["no-such-recipe", "--graph"],
            "no-such-recipe: cannot read the recipe: No such file",
        ),
        (["pyproject.toml", "--graph"], "pyproject.toml: build-system: unknown key"),
        (["README.md"], "README.md: not a TOML file"),
        (
            ["--graph", "--set", "trainin.epochs=1"],
            "trainin: unknown key; did you mean 'training'?",
        ),
        (
            ["--graph", "--set", "training.epochs"],
            "override 'training.epochs': write key.key=value",
        ),
        (
            ["--graph", "--set", "training.epochs=many"],
            "training.epochs: must be a whole number",
        ),
        (["--graph", "--set", "training.epochs=[1"], "override 'training.epochs=[1'"),
        (["--graph", "no/such/file.duckdb"], "no/such/file.duckdb"),
        (["--graph", "mysql://host"], "mysql://host: no store for mysql://"),
        (["--graph", "pyproject.toml"], "pyproject.toml"),
        (["--graph", "--set", "schema=no-such.toml"], "no-such.toml"),
        (
            ["--graph", "--set", "text.model=no/such/model"],
            "text model 'no/such/model' is neither a folder nor",
        ),
        (
            ["--graph", "--set", "split.train_until=90"],
            "must be train_until < valid_until",
        ),
        (["--graph", "--set", "folds.count=9"], "folds: window 4 of 9"),
        (["--graph", "--device", "abacus"], "abacus"),
        (["--resume", "no/such/run"], "no/such/run: no unfinished training there"),
        (["--resume", ".", "--set", "seed=1"], "leave --set and --seed out"),
        (["--resume", ".", "--seed", "1"], "leave --set and --seed out"),
        (
            ["--resume", ".", "--graph", "x"],
            "knows the recipe and the graph that were started: leave both out",
        ),
        (["--resume", ".", "--graph"], "leave both out"),
        (["checkerboard", "--resume", "."], "leave both out"),
        (["--graph", "--device", "tpu"], "--device tpu --processes 1: "),
        (["--graph", "--processes", "0"], "--device auto --processes 0: "),
        (
            ["--graph", "tests"],
            "tests: a folder, and no graph file; load its tables into one with `python -m kg load",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    arguments, error, data, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(ROOT)
    named = ("README.md", "pyproject.toml", "no-such-recipe", "checkerboard")
    recipe = (
        [] if arguments[0] in named or arguments[0] == "--resume" else ["checkerboard"]
    )
    assert (
        main(
            [
                *recipe,
                *arguments,
                "--quiet",
                "--out",
                str(tmp_path / "runs"),
                "--data",
                str(data),
            ]
        )
        == 2
    )
    said = capsys.readouterr().err
    assert said.startswith("train.py: ") and said.count("\n") == 1 and error in said
    assert not (tmp_path / "runs").exists()


def test_a_bug_keeps_its_traceback_and_what_is_told_is_one_line(
    command, monkeypatch, capsys
):
    with monkeypatch.context() as changed:
        changed.setattr("eval.training_run.sizes", lambda _: int("x"))
        with pytest.raises(ValueError, match="invalid literal"):
            main(command("--graph", "--dry-run"))
        changed.setattr("eval.training_run.sizes", lambda _: np.zeros(3).reshape(2, 2))
        with pytest.raises(ValueError, match="cannot reshape"):
            main(command("--graph", "--dry-run"))
    assert main(command("--graph", "--dry-run", "training.lr=-1")) == 2
    assert capsys.readouterr().err.startswith("train.py: ")


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
