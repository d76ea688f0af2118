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

ENOUGH = 30  # steps; with the demo's 32, vectors bring more of its searches, by an interval clear of zero


def too_few(steps: int, recipe: Recipe) -> str:
    """What to change where a schedule has hardly any steps; "" where it has enough, or none is wanted."""
    if steps >= ENOUGH or not (recipe.training.epochs or recipe.training.text_epochs):
        return ""
    return (
        f"warning: {steps} steps are too few for vectors to learn from (below {ENOUGH}); raise folds.count, "
        "folds.length or training.epochs, or lower training.batch"
    )


def preview(prepared: Prepared, recipe: Recipe, fabric: Fabric) -> str:
    """Sizes, and an estimate of memory and time made by running one step without learning from it."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        trainer = make_trainer(prepared, recipe, Path(folder), fabric, progress=False)
        setup = time.monotonic() - started
        steps = len(trainer.joint.plan)
        spent = 0.0
        if steps:
            number, chosen = trainer.joint.plan[0]
            fold = trainer.state.folds[number]
            for _ in range(2):  # the first fills caches
                started = time.monotonic()
                with torch.no_grad():
                    trainer.joint.step_module(
                        fold.snapshot,
                        fold.queries.take(chosen),
                        fold.embeddings,
                        trainer.state.source,
                        torch.Generator(),
                        False,
                    )
                spent = time.monotonic() - started
    parameters = list(trainer.state.model.parameters())
    tuned = sum(p.numel() for p in parameters if p.requires_grad)
    # A backward pass costs about twice the forward one; AdamW keeps two numbers a tuned
    # parameter, the gradient one.
    seconds = setup + 3 * spent * steps
    memory = peak_memory() + 12 * tuned
    size, texts, batch = (
        sum(p.numel() for p in parameters),
        len(prepared.texts.texts),
        recipe.training.batch,
    )
    return "\n".join(
        [
            f"model    {size:,} parameters, {tuned:,} tuned; {texts:,} texts",
            f"training {steps:,} steps of {batch} asks: about {seconds / 60:.1f} min on {fabric.device}",
            f"memory   about {memory / 2**30:.1f} GiB; evaluation and baselines come on top of the time",
            *filter(None, [too_few(steps, recipe)]),
            "dry run: nothing was trained",
        ]
    )


def peak_memory() -> int:
    """The most memory that this process has held so far, in bytes."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
