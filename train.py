"""Train, measure and save a recommender: `python train.py [RECIPE] --graph [URI_OR_PATH]`."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import torch
from lightning.fabric import Fabric

from eval.examples import worked_queries
from eval.leakage import audit
from eval.measure.report import Report
from eval.parts import PARTS, RECIPES, load_recipe, train_parts
from eval.suite import baselines, measure
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
from kg.errors import DataError, RunError, TrousseauError
from kg.schema import GraphSchema
from kg.stores.base import read_tables, write_tables
from kg.stores.open import lasting, open_store
from kg.tables import Tables


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="train.py",
        description="Train a graph-and-language recommender on a product knowledge graph, measure it on held-out "
        "events against its parts and baselines, and save it as a run folder.",
        epilog="Exit codes: 0 done, 1 training failed, 2 bad input, 130 interrupted (go on with --resume).",
    )
    made.add_argument(
        "recipe",
        nargs="?",
        help="a recipe file, or the name of one that is shipped: "
        + ", ".join(sorted(p.stem for p in RECIPES.glob("*.toml")))
        + " (default: demo)",
    )
    made.add_argument(
        "--graph",
        nargs="?",
        const="",
        metavar="URI_OR_PATH",
        help="train the whole hybrid on the graph at a Neo4j address or in an embedded file; alone: the "
        "Neo4j at NEO4J_URI where that is set, else the recipe's own embedded store. Without --graph the "
        "language half trains alone",
    )
    made.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a value of the recipe, "
        "e.g. --set training.epochs=3; may be given again",
    )
    made.add_argument(
        "--resume",
        metavar="RUN",
        help="go on with an unfinished training, named by its folder",
    )
    made.add_argument(
        "--out",
        default="runs",
        metavar="DIR",
        help="where run folders go (default: runs)",
    )
    made.add_argument(
        "--data",
        default="data",
        metavar="DIR",
        help="where embedded stores are built (default: data)",
    )
    made.add_argument(
        "--device", default="auto", help="auto, cpu, cuda or mps (default: auto)"
    )
    made.add_argument(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="processes that share a batch (default: 1)",
    )
    made.add_argument(
        "--seed", type=int, help="of everything random, in place of the recipe's"
    )
    made.add_argument(
        "--dry-run",
        action="store_true",
        help="check everything, print sizes and an estimate of memory "
        "and time, train nothing",
    )
    made.add_argument("--quiet", action="store_true", help="no progress bars")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns the exit code."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        return run(options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except FloatingPointError as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 1
    except (TrousseauError, OSError) as error:
        if os.environ.get("TROUSSEAU_DEBUG"):
            raise
        print(f"train.py: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def run(options: argparse.Namespace) -> int:
    """Everything, from top to bottom."""
    started = time.monotonic()
    recipe, uri, work = settings(options)
    strategy = "ddp_find_unused_parameters_true" if options.processes > 1 else "auto"
    try:
        fabric = Fabric(
            accelerator=options.device,
            devices=options.processes,
            precision=recipe.training.precision,
            strategy=strategy,
        )
    except (ValueError, TypeError, RuntimeError, ImportError) as error:
        raise RunError(
            f"--device {options.device} --processes {options.processes}: {error}"
        ) from error
    fabric.launch()
    say = print if fabric.is_global_zero else _silent
    bars = not options.quiet and fabric.is_global_zero

    with fabric.rank_zero_first():
        tables = read_graph(uri, recipe, Path(options.data))
    split = recipe.split(tables)
    say(f"graph    {uri or store_path(recipe, Path(options.data))}")
    say(f"         {sizes(tables)}")
    say(
        f"split    {split.fingerprint[:16]}: {len(split.valid):,} validation and {len(split.test):,} test events, "
        f"{int(split.cold.sum()):,} cold items"
    )
    prepared = prepare(split, recipe, bars)
    say(
        f"asks     {sum(len(queries) for _, _, queries in prepared.folds):,} to train on in {len(prepared.folds)} folds"
    )
    if fabric.is_global_zero:
        say(
            f"audit    {audit(split, prepared.graph, recipe.tasks, recipe.seed).line()}"
        )
    if options.dry_run:
        say(preview(prepared, recipe, fabric))
        return 0

    if options.resume:
        check_unchanged(work, split.fingerprint)

    def announce(trainer: Trainer) -> None:
        if trainer.state.done:
            say(f"resumed  at step {trainer.state.done} of {len(trainer.joint.plan)}")
        elif fabric.is_global_zero:
            start_work(work, recipe, uri, split.fingerprint)
        say(
            f"training {len(trainer.joint.plan)} steps on {fabric.device}; if it is stopped: --resume {work}"
        )
        if warning := too_few(len(trainer.joint.plan), recipe):
            say(warning)

    recommender, history = train(
        prepared, recipe, work, fabric, bars, bool(options.resume), announce
    )
    recommender.store = lasting(uri or str(store_path(recipe, Path(options.data))))
    trained = time.monotonic()
    parts = train_parts(prepared, recipe, work, fabric, bars)
    if not fabric.is_global_zero:
        return 0
    name = "hybrid" if recipe.fusion.graph and recipe.fusion.text else "model"
    rivals = baselines(prepared, recipe, bars) if recipe.evaluation.baselines else {}
    reports = measure(prepared, recipe, {name: recommender, **parts, **rivals}, bars)
    folder = save(
        recommender, recipe, prepared.serving, reports, history, work, Path(options.out)
    )
    for report in reports.values():
        say(f"\n{report.to_text()}")
    if kept := shares_kept(recommender.model):
        say(f"\nkept     {kept}")
    say("\n" + worked_queries(recommender, prepared))
    spent = f"training {trained - started:.0f} s, evaluation {time.monotonic() - trained:.0f} s"
    say(f"\nsaved    {folder}   ({spent}, at most {peak_memory() / 2**30:.1f} GiB)")
    return 0


def settings(options: argparse.Namespace) -> tuple[Recipe, str, Path]:
    """The recipe, the graph's address ("" for the recipe's own embedded store), and the folder to work in.

    Raises:
        InputError: The recipe cannot be read or does not fit.
        RunError: There is nothing to resume, or a resumed run is to be changed.
    """
    if options.resume:
        work = Path(options.resume)
        if options.set or options.seed is not None:
            raise RunError(
                "--resume goes on with the recipe that was started: leave --set and --seed out"
            )
        if options.recipe is not None or options.graph is not None:
            raise RunError(
                "--resume knows the recipe and the graph that were started: leave both out"
            )
        if not (work / "training.json").is_file():
            raise RunError(
                f"{work}: no unfinished training there (it has no training.json)"
            )
        try:
            saved = json.loads((work / "training.json").read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunError(f"{work}/training.json is damaged: {error}") from error
        return (
            recipes.build(Recipe, saved["recipe"], f"{work}/training.json"),
            saved["uri"],
            work,
        )
    overrides = [
        *options.set,
        *([f"seed={options.seed}"] if options.seed is not None else []),
    ]
    recipe = load_recipe(options.recipe or "demo", overrides)
    if options.graph is None:
        recipe = replace(
            recipe,
            name=f"{recipe.name}-language",
            fusion=replace(recipe.fusion, **PARTS["text"]),
        )
    uri = options.graph or (
        os.environ.get("NEO4J_URI", "") if options.graph == "" else ""
    )
    # The process' number keeps apart what starts in one second.
    stamp = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{recipe.name}-{os.getpid()}"
    return recipe, uri, Path(options.out) / f"{stamp}.training"


def store_path(recipe: Recipe, data: Path) -> Path:
    """Where the recipe's own store lies; another source's settings make another file."""
    source = json.dumps(recipes.to_dict(recipe)["source"], sort_keys=True)
    return (
        data
        / f"{type(recipe.source).__name__.lower()}-{hashlib.sha256(source.encode()).hexdigest()[:8]}.duckdb"
    )


def read_graph(uri: str, recipe: Recipe, data: Path) -> Tables:
    """The tables of the store; the recipe's own is built from its source where it is not there yet."""
    path = store_path(recipe, data)
    if not uri and not path.exists():
        tables = recipe.source.load()
        data.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        with open_store(str(part), create=True) as store:
            write_tables(store, tables)
        part.rename(path)
    with open_store(uri or str(path)) as store:
        return read_tables(
            store, GraphSchema.from_toml(recipe.schema) if recipe.schema else None
        )


def sizes(tables: Tables) -> str:
    """Nodes and edges in one line."""
    parts = [
        f"{len(t):,} {name}"
        for name, t in (*tables.nodes.items(), *tables.edges.items())
    ]
    return ", ".join(parts)


def check_unchanged(work: Path, fingerprint: str) -> None:
    """Refuse to go on with other data."""
    before = json.loads((work / "training.json").read_text(encoding="utf-8"))["split"]
    if before != fingerprint:
        raise DataError(
            f"{work}: the graph has changed since (split {before[:16]}, now {fingerprint[:16]})"
        )


def start_work(work: Path, recipe: Recipe, uri: str, fingerprint: str) -> None:
    """Make the folder to work in, with what is needed to go on."""
    work.mkdir(parents=True, exist_ok=True)
    state = {"recipe": recipes.to_dict(recipe), "uri": uri, "split": fingerprint}
    (work / "training.json").write_text(
        json.dumps(state, indent=2) + "\n", encoding="utf-8"
    )


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
    tables, made = known.split.train, environment()
    markdown = "\n\n".join(report.to_markdown() for report in reports.values())
    if kept := shares_kept(recommender.model):
        markdown += f"\n\nKept {kept} (`training.shrinkage`)."
    with new_run(out, recipe.name) as folder:
        artifacts.save(recommender, recipe, folder)
        metrics = {
            "test": {task: r.to_dict() for task, r in reports.items()},
            "validation": history,
        }
        facts = {"split": known.split.fingerprint, "train": tables.fingerprint()}
        for file, content in (
            ("metrics", metrics),
            ("environment", made),
            ("data", facts),
        ):
            (folder / f"{file}.json").write_text(
                json.dumps(content, indent=2) + "\n", encoding="utf-8"
            )
        (folder / "held_out").mkdir()
        for name, held in (
            ("valid", known.split.valid),
            ("test", known.split.test),
        ):
            pq.write_table(
                held.events, folder / "held_out" / f"{name}.parquet", compression="zstd"
            )
        if (work / "logs").is_dir():
            shutil.copytree(work / "logs", folder / "logs")
        rows = {
            name: len(t) for name, t in (*tables.nodes.items(), *tables.edges.items())
        }
        card = model_card(
            finished(folder).name, recipes.to_dict(recipe), rows, markdown, made
        )
        (folder / "README.md").write_text(card, encoding="utf-8")
    shutil.rmtree(work, ignore_errors=True)
    return finished(folder)


def _silent(*_: object) -> None:
    pass


if __name__ == "__main__":
    torch.set_float32_matmul_precision("high")
    sys.exit(main())
