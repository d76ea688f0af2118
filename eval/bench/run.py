"""Running a benchmark: train the recipe and its parts, measure them beside the baselines."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.fabric import Fabric

from eval.baselines.boosted import BoostedRanker
from eval.bench.datasets import Benchmark
from eval.bench.report import Clock, Measured, described, measured, reports_of
from eval.bench.setup import one_fold
from eval.contenders import BASELINES, all_baselines
from eval.leakage.audit import audit
from eval.measure.protocol import Scorer
from eval.parts import train_parts
from eval.suite import Chosen
from fusion.dry_run import peak_memory
from fusion.experiment import Recipe
from fusion.pipeline import train
from fusion.training.shrinkage import shares_kept

log = logging.getLogger(__name__)


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
        prepared, whole = one_fold(
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
