"""Running a benchmark: train the recipe, its parts and its baselines, ask all of them the same, write down the figures."""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from lightning.fabric import Fabric

from eval.baselines.boosted import BoostedRanker
from eval.bench.datasets import JUDGED, Benchmark
from eval.contenders import BASELINES, all_baselines
from eval.leakage import audit
from eval.measure.judged_search import Judged, search_ndcg
from eval.measure.protocol import Scorer, Scores, evaluate
from eval.measure.report import Report, make_report
from eval.parts import load_recipe, train_parts
from eval.slices import slices_of
from eval.suite import Chosen
from fusion.dry_run import peak_memory
from fusion.experiment import Recipe
from fusion.pipeline import train
from fusion.preparation import KnownGraph, Prepared, held_out, prepare
from fusion.runs.folder import environment
from fusion.training.shrinkage import shares_kept
from kg import config as recipes
from kg.errors import InputError
from kg.tables import Tables

log = logging.getLogger(__name__)
QUICK = (
    "training.epochs=1",
    "training.shrinkage=300",
    "evaluation.limit=300",
    "evaluation.validation_limit=300",
    "evaluation.draws=100",
)
QUICK_ASKS = 300  # of training, a fold
PACKAGES = (
    "torch",
    "torch-geometric",
    "transformers",
    "numpy",
    "scipy",
    "scikit-learn",
    "lightgbm",
    "implicit",
    "bm25s",
)
ABLATIONS: dict[str, tuple[str, ...]] = {
    "whole": (),
    "without metapath counts": ("fusion.paths=false",),
    "without graph": ("fusion.graph=false",),
    "without words": ("fusion.text=false",),
    "gate": ("fusion.fuse=gate",),
    "concatenation": ("fusion.fuse=concatenation",),
    "sum": ("fusion.fuse=sum",),
    "modality_drop 0": ("fusion.modality_drop=0.0",),
    "modality_drop 0.1": ("fusion.modality_drop=0.1",),
    "text_budget 0": ("training.text_budget=0",),
    "text_budget 64": ("training.text_budget=64",),
    "text_budget 256": ("training.text_budget=256",),
    "text_budget all": ("training.text_budget=-1",),
    "tune full": ("text.tune=full",),
    "tune top:2": ("text.tune=top:2",),
    "tune lora": ("text.tune=lora",),
    "tune frozen": ("text.tune=frozen",),
    "two steps": ("training.text_epochs=1",),
    "temper 0": ("training.shrinkage=0",),
}
Slices = dict[str, npt.NDArray[np.bool_]]
Measured = dict[str, tuple[Scores, Slices]]


def missing(benchmark: Benchmark, data: Path) -> str:
    """Why a benchmark cannot be run here; "" where it can."""
    if benchmark.package:
        return (
            ""
            if find_spec(benchmark.package)
            else f"the package {benchmark.package} is not installed"
        )
    return (
        ""
        if not benchmark.folder or (data / benchmark.folder).is_dir()
        else f"{data / benchmark.folder} is not there"
    )


def recipe_of(
    benchmark: Benchmark, data: Path, overrides: Sequence[str] = (), quick: bool = False
) -> Recipe:
    """The benchmark's recipe on the data of this machine."""
    where = (
        [f"source.path={json.dumps(str(data / benchmark.folder))}"]
        if benchmark.folder
        else []
    )
    return load_recipe(
        benchmark.recipe,
        [*where, *benchmark.settings, *(QUICK if quick else ()), *overrides],
    )


def run(
    benchmark: Benchmark,
    recipe: Recipe,
    quick: bool = False,
    device: str = "auto",
    bars: bool = True,
    names: Sequence[str] = BASELINES,
) -> dict[str, Any]:
    """Train and measure everything, fold by fold; plain values for JSON.

    Raises:
        ValueError: The recipe lacks a task of the benchmark, or a task finds nothing to ask.
    """
    fabric, clock = (
        Fabric(accelerator=device, devices=1, precision=recipe.training.precision),
        Clock(),
    )
    with clock("data"):
        tables = recipe.source.load().in_order()
    parts: list[Measured] = []
    facts: dict[str, Any] = {"splits": [], "left out": {}, "chosen": {}, "audit": []}
    for fold in range(1 if quick else benchmark.folds):
        prepared, whole = _fold(
            recipe, tables, fold, benchmark.folds, quick, clock, bars
        )
        split = prepared.split
        facts["splits"].append(split.fingerprint)
        leaks = audit(split, prepared.graph, whole.tasks, whole.seed).leaks
        facts["audit"] += [leak for leak in leaks if leak not in facts["audit"]]
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            with clock("training"):
                hybrid = train(prepared, whole, work, fabric, bars).recommender
            facts.setdefault("training", peak_memory())
            with clock("parts"):
                scorers: dict[str, Scorer] = {
                    "hybrid": hybrid,
                    **train_parts(prepared, whole, work, fabric, bars),
                }
        with clock("baselines"):
            others, left_out = (
                all_baselines(prepared, whole, names, quick, bars)
                if recipe.evaluation.baselines
                else ({}, {})
            )
        facts["left out"] |= left_out
        if whole.training.shrinkage and (kept := shares_kept(hybrid.model)):
            facts["chosen"].setdefault("hybrid", []).append(kept)
        for name, scorer in others.items():
            if isinstance(scorer, Chosen | BoostedRanker):
                facts["chosen"].setdefault(name, []).append(scorer.setting)
        with clock("evaluation"):
            parts.append(
                measured(
                    benchmark, prepared.serving, whole, {**scorers, **others}, bars
                )
            )
    reports = reports_of(benchmark, recipe, parts)
    memory = {"training": facts.pop("training"), "everything": peak_memory()}
    return {
        **described(benchmark, recipe, reports, quick),
        **facts,
        "seconds": clock.spent,
        "memory": memory,
        "device": str(fabric.device),
    }


def ablate(
    benchmark: Benchmark,
    variants: Mapping[str, Recipe],
    quick: bool = False,
    device: str = "auto",
    bars: bool = True,
) -> Iterator[dict[str, Any]]:
    """Variants of a recipe by the same seed over the same queries; the first is what the others are held against.

    A variant that is equal to an earlier one is not trained again, and said to be equal.

    Args:
        benchmark: Whose queries; of its first fold where it has several.
        variants: By name; they differ in the model and its training only.
        quick: Marks the results as a try.
        device: As Fabric names it.
        bars: Whether to draw bars.

    Yields:
        After every training, all that is measured so far; plain values for JSON.
    """
    recipe = next(iter(variants.values()))
    fabric, clock = (
        Fabric(accelerator=device, devices=1, precision=recipe.training.precision),
        Clock(),
    )
    tables = recipe.source.load().in_order()
    prepared, whole = _fold(recipe, tables, 0, benchmark.folds, quick, clock, bars)
    changes = {
        name: replace(variant, split=whole.split) for name, variant in variants.items()
    }
    same = {
        name: next(n for n, other in changes.items() if other == wanted)
        for name, wanted in changes.items()
    }
    equal = {name: first for name, first in same.items() if name != first}
    joined: Measured = {}
    seconds = {}
    for name in dict.fromkeys(same.values()):
        changed = changes[name]
        with tempfile.TemporaryDirectory() as folder, clock(name):
            model = train(prepared, changed, Path(folder), fabric, bars).recommender
        seconds[name] = clock.spent[name]
        for task, (found, slices) in measured(
            benchmark, prepared.serving, changed, {name: model}, bars
        ).items():
            before = joined[task][0] if task in joined else Scores(found.groups, {}, {})
            spent = {**before.seconds, **found.seconds}
            joined[task] = (
                Scores(found.groups, {**before.values, **found.values}, spent),
                slices,
            )
        del model
        reports = reports_of(benchmark, recipe, [joined])
        yield {
            **described(benchmark, recipe, reports, quick),
            "splits": [prepared.split.fingerprint],
            "equal": equal,
            "seconds": dict(seconds),
            "device": str(fabric.device),
        }


def _fold(
    recipe: Recipe,
    tables: Tables,
    fold: int,
    folds: int,
    quick: bool,
    clock: Clock,
    bars: bool,
) -> tuple[Prepared, Recipe]:
    whole = recipe
    if folds > 1:
        split: Any = recipe.split
        whole = replace(recipe, split=replace(split, fold=fold))
    with clock("training"):
        prepared = prepare(whole.split(tables), whole, bars)
    if quick:
        rng, few = np.random.default_rng(recipe.seed), []
        for graph, counts, queries in prepared.folds:
            few.append(
                (
                    graph,
                    counts,
                    queries.take(np.sort(rng.permutation(len(queries))[:QUICK_ASKS])),
                )
            )
        prepared = replace(prepared, folds=few)
    return prepared, whole


def measured(
    benchmark: Benchmark,
    prepared: KnownGraph,
    recipe: Recipe,
    scorers: Mapping[str, Scorer],
    bars: bool,
) -> Measured:
    """Each of the benchmark's tasks, by every scorer, with its slices."""
    found: Measured = {}
    items = prepared.graph.size(prepared.graph.item)
    asked = held_out(prepared, recipe, prepared.split.test, recipe.evaluation.limit)
    for task, metrics in benchmark.tasks.items():
        if task == JUDGED:
            judged = Judged.of(
                _grades(recipe), prepared.graph.vocabs[prepared.graph.item]
            )
            values, seconds = {}, {}
            for name, scorer in scorers.items():
                start = time.perf_counter()
                values[name] = search_ndcg(scorer, judged, items, progress=bars)
                seconds[name] = time.perf_counter() - start
            found[task] = (Scores(judged.queries.groups, values, seconds), {})
        elif task in asked:
            ks = sorted({int(metric.partition("@")[2] or 10) for metric in metrics})
            scores = evaluate(scorers, asked[task], items, ks, progress=bars)
            cross = benchmark.cross if len(asked[task].context.rows) else ""
            found[task] = (scores, slices_of(prepared, asked[task], cross))
        else:
            raise InputError(
                f"{benchmark.name}: no queries of task {task!r}; the recipe asks {', '.join(asked) or 'nothing'}"
            )
    return found


def _grades(recipe: Recipe) -> pa.Table:
    source: Any = recipe.source
    if not hasattr(source, "judgments"):
        raise InputError(f"{type(source).__name__} brings no judgments")
    return source.judgments()


def pooled(parts: Sequence[tuple[Scores, Slices]]) -> tuple[Scores, Slices]:
    """The queries of all folds as one; users stand together across folds, what has no user only within its own."""
    scores = [part[0] for part in parts]
    groups = [
        np.where(s.groups < 0, s.groups - (fold << 40), s.groups)
        for fold, s in enumerate(scores)
    ]
    values = {
        name: {m: np.concatenate([s.values[name][m] for s in scores]) for m in row}
        for name, row in scores[0].values.items()
    }
    seconds = {name: sum(s.seconds[name] for s in scores) for name in scores[0].seconds}
    slices = {
        name: np.concatenate([part[1][name] for part in parts]) for name in parts[0][1]
    }
    return Scores(np.concatenate(groups), values, seconds), slices


def reports_of(
    benchmark: Benchmark, recipe: Recipe, parts: Sequence[Measured]
) -> dict[str, Report]:
    """Each task's table over the queries of all folds."""
    reports = {}
    for task, metrics in benchmark.tasks.items():
        scores, slices = pooled([part[task] for part in parts])
        reports[task] = make_report(
            task, scores, slices, metrics, recipe.evaluation.draws, recipe.seed
        )
    return reports


def described(
    benchmark: Benchmark, recipe: Recipe, reports: Mapping[str, Report], quick: bool
) -> dict[str, Any]:
    """What the tables say beside the figures."""
    made = environment()
    packages = {
        name: made["packages"][name] for name in PACKAGES if name in made["packages"]
    }
    plain = recipes.to_dict(recipe)
    plain["source"].pop("path", None)  # where the data lie is this machine's own affair
    return {
        "name": benchmark.name,
        "title": benchmark.title,
        "quick": quick,
        "seed": recipe.seed,
        "protocol": benchmark.protocol,
        "traps": benchmark.traps,
        "folds": 1 if quick else benchmark.folds,
        "tasks": {
            task: {"metrics": list(benchmark.tasks[task]), **r.to_dict()}
            for task, r in reports.items()
        },
        "published": [asdict(figure) for figure in benchmark.published],
        "bar": list(benchmark.bar) if benchmark.bar else None,
        "machine": {
            "cpus": made["cpu_count"],
            "python": made["python"],
            "commit": made["git_commit"],
        },
        "packages": packages,
        "recipe": plain,
    }


class Clock:
    """Adds up the seconds spent on each kind of work."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        """Around a piece of work."""
        start = time.monotonic()
        yield
        self.spent[what] = round(
            self.spent.get(what, 0.0) + time.monotonic() - start, 1
        )


def write(found: Mapping[str, Any], file: Path) -> None:
    """Write figures as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
