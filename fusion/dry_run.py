"""Preview: what a training would take, from one step's forward pass."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import torch
from lightning.fabric import Fabric

from fusion.experiment import Recipe
from fusion.pipeline import make_trainer
from fusion.preparation import Prepared
from fusion.training.trainer import Trainer

# Steps; with the demo's 32, vectors bring more of its searches, by an interval clear of zero.
ENOUGH = 30
_BACKWARD = 2  # a backward pass costs about twice the forward one
_TUNED_BYTES = 12  # AdamW keeps two numbers a tuned parameter, the gradient one


def too_few(steps: int, recipe: Recipe) -> str:
    """What to change where a schedule has hardly any steps; "" where it has enough."""
    wanted = recipe.training.epochs or recipe.training.text_epochs
    if steps >= ENOUGH or not wanted:
        return ""
    return (
        f"warning: {steps} steps are too few for vectors to learn from (below {ENOUGH}); "
        "raise folds.count, folds.length or training.epochs, or lower training.batch"
    )


def preview(prepared: Prepared, recipe: Recipe, fabric: Fabric) -> str:
    """Sizes, and an estimate of memory and time; one step is run without learning from it."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        trainer = make_trainer(prepared, recipe, Path(folder), fabric, progress=False)
        setup = time.monotonic() - started
        forward = _forward_seconds(trainer)
    steps = len(trainer.joint.plan)
    parameters = list(trainer.state.model.parameters())
    size = sum(p.numel() for p in parameters)
    tuned = sum(p.numel() for p in parameters if p.requires_grad)
    minutes = (setup + (1 + _BACKWARD) * forward * steps) / 60
    gib = (peak_memory() + _TUNED_BYTES * tuned) / 2**30
    lines = [
        f"model    {size:,} parameters, {tuned:,} tuned; {len(prepared.texts.texts):,} texts",
        f"training {steps:,} steps of {recipe.training.batch} queries: "
        f"about {minutes:.1f} min on {fabric.device}",
        f"memory   about {gib:.1f} GiB; evaluation and baselines come on top of the time",
        too_few(steps, recipe),
        "dry run: nothing was trained",
    ]
    return "\n".join(line for line in lines if line)


def _forward_seconds(trainer: Trainer) -> float:
    """How long the first step's forward pass takes, once caches are filled; 0 without a step."""
    joint, state = trainer.joint, trainer.state
    if not joint.plan:
        return 0.0
    number, chosen = joint.plan[0]
    fold, generator = state.folds[number], torch.Generator()
    queries = fold.queries.take(chosen)
    seconds = 0.0
    for _ in range(2):  # the first fills caches
        started = time.monotonic()
        with torch.no_grad():
            joint.step_module(
                fold.snapshot,
                queries,
                fold.embeddings,
                state.source,
                generator,
                text_only=False,
            )
        seconds = time.monotonic() - started
    return seconds


def peak_memory() -> int:
    """The most memory that this process has held so far, in bytes."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
