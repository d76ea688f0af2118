"""What a benchmark writes down: every scorer on every task, and the circumstances."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from eval.bench.datasets import JUDGED, Benchmark
from eval.measure.judged_search import Judged, search_ndcg
from eval.measure.protocol import Scorer, Scores, evaluate
from eval.measure.report import Report, make_report
from eval.slices import slices_of
from fusion.experiment import Recipe
from fusion.preparation import KnownGraph, held_out
from fusion.runs.folder import environment
from kg import config as recipes
from kg.errors import InputError

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

Slices = dict[str, npt.NDArray[np.bool_]]

Measured = dict[str, tuple[Scores, Slices]]


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
                f"{benchmark.name}: no queries of task {task!r}; the recipe asks "
                f"{', '.join(asked) or 'nothing'}"
            )
    return found


def _grades(recipe: Recipe) -> pa.Table:
    source: Any = recipe.source
    if not hasattr(source, "judgments"):
        raise InputError(f"{type(source).__name__} brings no judgments")
    return source.judgments()


def pooled(parts: Sequence[tuple[Scores, Slices]]) -> tuple[Scores, Slices]:
    """The queries of all folds as one; users stand together across folds, others within one."""
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
