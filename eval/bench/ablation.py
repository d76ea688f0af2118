"""Variants of a recipe by one seed: what each piece is worth."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning.fabric import Fabric

from eval.bench.datasets import Benchmark
from eval.bench.report import Clock, Measured, described, measured, reports_of
from eval.bench.setup import one_fold
from eval.measure.protocol import Scores
from fusion.experiment import Recipe
from fusion.pipeline import train

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


def ablate(
    benchmark: Benchmark,
    variants: Mapping[str, Recipe],
    quick: bool = False,
    device: str = "auto",
    bars: bool = True,
) -> Iterator[dict[str, Any]]:
    """Variants of a recipe by the same seed over the same queries, held against the first.

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
    prepared, whole = one_fold(recipe, tables, 0, benchmark.folds, quick, clock, bars)
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
