"""A training from the command line: read, train, measure, save, and show what it answers."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from lightning.fabric import Fabric

from eval.comparison import COMPARISON, full_reports, short_reports
from eval.examples import worked_queries
from eval.leakage.audit import audit
from eval.measure.report import Report
from eval.parts import PARTS, load_recipe
from eval.recipe_store import read_graph, sizes, store_path
from fusion.dry_run import peak_memory, preview, too_few
from fusion.experiment import Recipe
from fusion.pipeline import train
from fusion.preparation import KnownGraph, prepare
from fusion.recommender import Recommender
from fusion.runs import artifacts
from fusion.runs.folder import environment, finished, model_card, new_run
from fusion.training.shrinkage import shares_kept
from fusion.training.trainer import Trainer
from kg import config as recipes
from kg.errors import DataError, RunError
from kg.stores.open import lasting


def run_training(options: argparse.Namespace) -> int:
    """Everything, from top to bottom; options as train.py declares them.

    Raises:
        InputError: The recipe, the graph or a flag does not fit.
        FloatingPointError: The training failed.
    """
    torch.set_float32_matmul_precision("high")
    started = time.monotonic()
    recipe, uri, work = settings(options)
    fabric = make_fabric(options.device, recipe, options.processes)
    fabric.launch()
    say = speaker(fabric)
    bars = not options.quiet and fabric.is_global_zero
    data = Path(options.data)
    store = uri or str(store_path(recipe, data))

    with fabric.rank_zero_first():
        tables = read_graph(uri, recipe, data)
    split = recipe.split(tables)
    say(f"graph    {store}")
    say(f"         {sizes(tables)}")
    say(
        f"split    {split.fingerprint[:16]}: {len(split.valid):,} validation and "
        f"{len(split.test):,} test events, {int(split.cold.sum()):,} cold items"
    )
    prepared = prepare(split, recipe, bars)
    drawn = sum(len(queries) for *_, queries in prepared.folds)
    say(f"queries  {drawn:,} to train on in {len(prepared.folds)} folds")
    if fabric.is_global_zero:
        leaks = audit(split, prepared.graph, recipe.tasks, recipe.seed)
        say(f"audit    {leaks.line()}")
    if options.dry_run:
        say(preview(prepared, recipe, fabric))
        return 0

    if options.resume:
        check_unchanged(work, split.fingerprint)

    def announce(trainer: Trainer) -> None:
        steps = len(trainer.joint.plan)
        if trainer.state.done:
            say(f"resumed  at step {trainer.state.done} of {steps}")
        elif fabric.is_global_zero:
            start_work(work, recipe, uri, split.fingerprint)
        say(
            f"training {steps} steps on {fabric.device}; "
            f"if it is stopped: --resume {work}"
        )
        if warning := too_few(steps, recipe):
            say(warning)

    resume = bool(options.resume)
    recommender, history = train(prepared, recipe, work, fabric, bars, resume, announce)
    recommender.store = lasting(store)
    trained = time.monotonic()

    measure = full_reports if options.compare else short_reports
    reports = measure(recommender, prepared, recipe, work, fabric, bars)
    if not fabric.is_global_zero:
        return 0
    out = Path(options.out)
    folder = save(recommender, recipe, prepared.serving, reports, history, work, out)
    for report in reports.values():
        say(f"\n{report.to_text()}")
    if kept := shares_kept(recommender.model):
        say(f"\nkept     {kept}")
    say("\n" + worked_queries(recommender, prepared, recipe))
    ended = time.monotonic()
    say(
        f"\nsaved    {folder}   (training {trained - started:.0f} s, "
        f"evaluation {ended - trained:.0f} s, at most {peak_memory() / 2**30:.1f} GiB)"
    )
    if not options.compare:
        say(
            f"\nEvery baseline, and the parts trained alone: trousseau compare {folder}"
        )
    return 0


def make_fabric(device: str, recipe: Recipe, processes: int = 1) -> Fabric:
    """Where it is computed.

    Raises:
        RunError: There is no such device, or not so many.
    """
    strategy = "ddp_find_unused_parameters_true" if processes > 1 else "auto"
    try:
        return Fabric(
            accelerator=device,
            devices=processes,
            precision=recipe.training.precision,
            strategy=strategy,
        )
    except (ValueError, TypeError, RuntimeError, ImportError) as error:
        raise RunError(f"--device {device} --processes {processes}: {error}") from error


def speaker(fabric: Fabric) -> Callable[[str], None]:
    """What prints, in one process of all; line by line in a log, too."""
    if fabric.is_global_zero:
        return lambda line: print(line, flush=True)
    return lambda line: None


def settings(options: argparse.Namespace) -> tuple[Recipe, str, Path]:
    """The recipe, the graph's address ("" for the recipe's own store), and the folder to work in.

    Raises:
        InputError: The recipe cannot be read or does not fit.
        RunError: There is nothing to resume, or a resumed run is to be changed.
    """
    if options.resume:
        return resumed(options)
    overrides = list(options.set)
    if options.seed is not None:
        overrides.append(f"seed={options.seed}")
    recipe = load_recipe(options.recipe or "demo", overrides)
    if options.graph is None:
        recipe = replace(
            recipe,
            name=f"{recipe.name}-language",
            fusion=replace(recipe.fusion, **PARTS["text"]),
        )
    uri = options.graph or ""
    if options.graph == "":
        uri = os.environ.get("NEO4J_URI", "")
    # The process' number keeps apart what starts in one second.
    stamp = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{recipe.name}-{os.getpid()}"
    return recipe, uri, Path(options.out) / f"{stamp}.training"


def resumed(options: argparse.Namespace) -> tuple[Recipe, str, Path]:
    """What `settings` gives, of a training that was started.

    Raises:
        RunError: There is none, or it is to be changed.
    """
    work = Path(options.resume)
    file = work / "training.json"
    if options.set or options.seed is not None:
        raise RunError(
            "--resume goes on with the recipe that was started: leave --set and --seed out"
        )
    if options.recipe is not None or options.graph is not None:
        raise RunError(
            "--resume knows the recipe and the graph that were started: leave both out"
        )
    if not file.is_file():
        raise RunError(
            f"{work}: no unfinished training there (it has no training.json)"
        )
    try:
        saved = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{file} is damaged: {error}") from error
    recipe = recipes.build(Recipe, saved["recipe"], str(file))
    return recipe, saved["uri"], work


def check_unchanged(work: Path, fingerprint: str) -> None:
    """Refuse to go on with other data."""
    saved = json.loads((work / "training.json").read_text(encoding="utf-8"))
    before = saved["split"]
    if before != fingerprint:
        raise DataError(
            f"{work}: the graph has changed since "
            f"(split {before[:16]}, now {fingerprint[:16]})"
        )


def start_work(work: Path, recipe: Recipe, uri: str, fingerprint: str) -> None:
    """Make the folder to work in, with what is needed to go on."""
    work.mkdir(parents=True, exist_ok=True)
    state = {"recipe": recipes.to_dict(recipe), "uri": uri, "split": fingerprint}
    write_json(work / "training.json", state)


def write_json(file: Path, value: Any) -> None:
    """Indented, with a line's end."""
    file.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def save(
    recommender: Recommender,
    recipe: Recipe,
    known: KnownGraph,
    reports: dict[str, Report],
    history: list[dict[str, float]],
    work: Path,
    out: Path,
) -> Path:
    """Write the run folder, whole or not at all; the folder that was worked in then goes."""
    split, made = known.split, environment()
    tables = split.train
    markdown = "\n\n".join(report.to_markdown() for report in reports.values())
    if kept := shares_kept(recommender.model):
        markdown += f"\n\nKept {kept} (`training.shrinkage`)."
    markdown += (
        f"\n\n`trousseau compare` writes {COMPARISON}.md beside this file: "
        "every baseline, and the parts trained alone."
    )
    measured = {task: report.to_dict() for task, report in reports.items()}
    facts = {"split": split.fingerprint, "train": tables.fingerprint()}
    with new_run(out, recipe.name) as folder:
        artifacts.save(recommender, recipe, folder)
        metrics = {"test": measured, "validation": history}
        write_json(folder / "metrics.json", metrics)
        write_json(folder / "environment.json", made)
        write_json(folder / "data.json", facts)
        held_out = folder / "held_out"
        held_out.mkdir()
        for name, held in (("valid", split.valid), ("test", split.test)):
            file = held_out / f"{name}.parquet"
            pq.write_table(held.events, file, compression="zstd")
        if (work / "logs").is_dir():
            shutil.copytree(work / "logs", folder / "logs")
        rows = {name: len(t) for name, t in {**tables.nodes, **tables.edges}.items()}
        name = finished(folder).name
        card = model_card(name, recipes.to_dict(recipe), rows, markdown, made)
        (folder / "README.md").write_text(card, encoding="utf-8")
    shutil.rmtree(work, ignore_errors=True)
    return finished(folder)
