"""Trainings that were stopped, killed or spread over processes end as one that was not."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from fusion.training.checkpoint import CHECKPOINT
from fusion.training.joint import JointTraining
from kg.sources.checkerboard import Checkerboard
from kg.stores.base import write_tables
from kg.stores.open import open_store
from train import main

ROOT = Path(__file__).parents[1]
# train.py with other constants; the second process runs the same file.
PATCHED = """
import sys

sys.path.insert(0, {root!r})
from unittest.mock import patch

import train

for name, value in {constants!r}.items():
    patch(name, value).start()
sys.exit(train.main())
"""


def unfinished(folder):
    """The only thing in there: a training that was not finished."""
    (found,) = folder.iterdir()
    assert found.suffix == ".training"
    return found


def test_an_interrupted_training_goes_on_unless_the_data_changed(
    command, one_run, tmp_path, monkeypatch, capsys
):
    path = tmp_path / "graph.duckdb"
    with open_store(str(path), create=True) as store:
        write_tables(store, Checkerboard(users=40, items=40).load())
    arguments = command("--graph", str(path), "training.validations=3")
    assert main(arguments) == 0
    whole = one_run()
    shutil.rmtree(whole.folder)
    step = JointTraining.step

    def stopped(trainer, number):
        if number == 6:
            raise KeyboardInterrupt
        return step(trainer, number)

    with monkeypatch.context() as changed:
        changed.setattr(JointTraining, "step", stopped)
        assert main(arguments) == 130
    assert "interrupted" in capsys.readouterr().err
    resume = command("--resume", str(unfinished(tmp_path / "runs")))

    kept = path.rename(tmp_path / "kept.duckdb")
    with open_store(str(path), create=True) as store:
        write_tables(store, Checkerboard(users=40, items=40, seed=1).load())
    assert main(resume) == 2
    assert f"{resume[1]}: the graph has changed since" in capsys.readouterr().err
    kept.replace(path)
    assert main(resume) == 0
    assert "resumed  at step 4 of 12" in capsys.readouterr().out
    assert one_run().metrics == whole.metrics


def test_a_training_stopped_before_its_first_checkpoint_starts_anew(
    command, one_run, tmp_path, monkeypatch
):
    arguments = command("--graph")
    assert main(arguments) == 0
    whole = one_run()
    shutil.rmtree(whole.folder)
    with monkeypatch.context() as changed:
        changed.setattr(
            JointTraining, "step", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        assert main(arguments) == 130
    assert main(command("--resume", str(unfinished(tmp_path / "runs")))) == 0
    assert one_run().metrics == whole.metrics


@pytest.mark.slow
def test_a_killed_training_ends_as_one_that_was_not(command, one_run, tmp_path):
    arguments = command("--graph", "training.epochs=6", "training.validations=6")
    assert main(arguments) == 0
    whole = one_run()
    weights = (whole.folder / "model.safetensors").read_bytes()
    shutil.rmtree(whole.folder)
    process = subprocess.Popen(
        [sys.executable, "train.py", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 120
        while not list((tmp_path / "runs").glob(f"*/{CHECKPOINT}")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    work = unfinished(tmp_path / "runs")
    assert torch.load(work / CHECKPOINT, weights_only=True)["done"] < 72
    assert main(command("--resume", str(work))) == 0
    assert one_run().metrics == whole.metrics
    assert (one_run().folder / "model.safetensors").read_bytes() == weights


@pytest.mark.slow
@pytest.mark.parametrize("sampled", [False, True], ids=["whole", "sampled"])
def test_two_processes_take_the_same_steps_as_one(
    command, one_run, tmp_path, monkeypatch, sampled
):
    """At one global batch, with nothing drawn by chance; the parts train on both processes too."""
    settings = [
        "fusion.modality_drop=0",
        "fusion.head_dropout=0",
        "training.text_budget=-1",
    ]
    settings += ["training.lr=1e-3", "training.accumulate=2"]
    constants = {"fusion.model.hybrid.ID_DROP": 0.0}
    constants["fusion.training.joint.CONTEXT_TEXTS"] = -1
    if sampled:
        settings += ["fusion.fanout=[-1, -1]"]
        constants["fusion.training.joint.WHOLE_EDGES"] = 0
        constants["fusion.training.joint.REFRESH"] = 1
    for name, value in constants.items():
        monkeypatch.setattr(name, value)
    program = tmp_path / "train_patched.py"
    program.write_text(PATCHED.format(root=str(ROOT), constants=constants))
    assert main(command("--graph", *settings)) == 0
    one = one_run()
    shutil.rmtree(one.folder)
    arguments = command(
        "--graph",
        "--processes",
        "2",
        *settings,
        *["--compare"] * (not sampled),
    )
    done = subprocess.run(
        [sys.executable, str(program), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    two = one_run()
    assert len(one.losses) == 12 and one.losses[-1] < one.losses[0]
    assert two.losses == pytest.approx(one.losses, rel=1e-3)
    loss = one.metrics["validation"][-1]["loss"]
    assert two.metrics["validation"][-1]["loss"] == pytest.approx(loss, rel=1e-3)
    rows = two.metrics["test"]["baskets"]["blocks"][0]["rows"]
    assert len(rows) == (1 if sampled else 5)
