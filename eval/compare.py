"""trousseau compare: the full table of a finished run, measured on the model that was saved."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from eval.comparison import COMPARISON, full_reports, to_markdown
from eval.recipe_store import read_graph
from eval.training_run import make_fabric, speaker
from fusion.preparation import prepare
from fusion.recommender import Recommender
from fusion.runs.artifacts import load_parts
from fusion.runs.folder import environment, list_runs
from kg.errors import DataError, RunError


def compare(options: argparse.Namespace) -> int:
    """Train the run's parts and baselines anew, measure all, and write both files beside the run.

    Options are those that train.py declares; the graph is the one that the run names, or
    --graph.

    Raises:
        RunError: There is no such run, or a flag changes it.
        DataError: The graph has changed since the run was trained.
    """
    started = time.monotonic()
    _refuse_changes(options)
    folder = chosen_run(options.compare, Path(options.out))
    bars = not options.quiet
    recommender = Recommender.load(folder)
    recipe = load_parts(folder).recipe
    fabric = make_fabric(options.device, recipe)
    fabric.launch()
    say = speaker(fabric)
    uri = options.graph or recommender.store
    say(f"run      {folder}")
    say(f"graph    {uri}")

    prepared = prepare(
        recipe.split(read_graph(uri, recipe, Path(options.data))), recipe, bars
    )
    check_same(folder, prepared.serving.split.fingerprint)
    with tempfile.TemporaryDirectory() as work:
        reports = full_reports(recommender, prepared, recipe, Path(work), fabric, bars)
    for report in reports.values():
        say(f"\n{report.to_text()}")
    measured = {task: report.to_dict() for task, report in reports.items()}
    content = {"run": folder.name, "test": measured, "environment": environment()}
    write_whole(folder / f"{COMPARISON}.json", json.dumps(content, indent=2) + "\n")
    write_whole(folder / f"{COMPARISON}.md", to_markdown(folder.name, reports))
    spent = time.monotonic() - started
    say(f"\nsaved    {folder / COMPARISON}.json and .md   ({spent:.0f} s)")
    return 0


def _refuse_changes(options: argparse.Namespace) -> None:
    changes = options.recipe is not None or options.set or options.seed is not None
    if changes or options.resume or options.dry_run or options.processes != 1:
        raise RunError(
            "--compare RUN measures a run as it was trained: leave the recipe, --set, --seed, "
            "--resume, --processes and --dry-run out"
        )


def chosen_run(name: str, out: Path) -> Path:
    """The run folder of this name, or the newest of `out`.

    Raises:
        RunError: There is none.
    """
    if name != "newest":
        return Path(name)
    runs = list_runs(out) if out.is_dir() else []
    if not runs:
        raise RunError(f"{out}: no runs there; train one (trousseau train --graph)")
    return runs[-1]


def check_same(folder: Path, fingerprint: str) -> None:
    """Refuse to measure on other data than the run was trained and tested on."""
    trained = json.loads((folder / "data.json").read_text(encoding="utf-8"))["split"]
    if trained != fingerprint:
        raise DataError(
            f"{folder}: the graph has changed since it was trained "
            f"(split {trained[:16]}, now {fingerprint[:16]})"
        )


def write_whole(file: Path, text: str) -> None:
    """Write a file whole or not at all."""
    part = file.with_name(f".{file.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    part.replace(file)
