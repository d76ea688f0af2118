"""A benchmark's recipe on this machine, and one of its folds prepared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from eval.bench.datasets import Benchmark
from eval.bench.report import Clock
from eval.parts import load_recipe
from fusion.experiment import Recipe
from fusion.preparation import Prepared, prepare
from kg.tables import Tables

QUICK = (
    "training.epochs=1",
    "training.shrinkage=300",
    "evaluation.limit=300",
    "evaluation.validation_limit=300",
    "evaluation.draws=100",
)

QUICK_QUERIES = 300  # of training, a fold


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


def one_fold(
    recipe: Recipe,
    tables: Tables,
    fold: int,
    folds: int,
    quick: bool,
    clock: Clock,
    bars: bool,
) -> tuple[Prepared, Recipe]:
    """A fold of the recipe's split, prepared, with the recipe of this fold."""
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
                    queries.take(
                        np.sort(rng.permutation(len(queries))[:QUICK_QUERIES])
                    ),
                )
            )
        prepared = replace(prepared, folds=few)
    return prepared, whole
