"""How a model is trained: the settings, and which queries each step takes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fusion.training.stages import HeadConfig
from kg.errors import InputError
from kg.tables import IntArray


@dataclass(frozen=True)
class TrainingConfig:
    """How the model is trained.

    Attributes:
        epochs: Passes over the training queries.
        text_epochs: Passes before those in which the language half is tuned alone; above 0
            is the two-step recipe, in which the texts' vectors then stay as they are.
        batch: Queries a step, over all processes.
        accumulate: Parts that a process takes its share of a batch in, to save memory.
        lr: Of everything but BERT.
        lr_text: Of BERT.
        weight_decay: Of matrices; not of biases, norms and scales.
        warmup: Share of the steps over which the rates rise; they then fall along a cosine.
        clip: Largest norm of the gradient.
        patience: Validations without a better result before training stops.
        validations: How many, evenly over the steps.
        precision: "32-true", "bf16-mixed" or "16-mixed", as Lightning names them.
        text_budget: Texts encoded with gradient a step; 0 none, -1 all that occur.
        context_texts: Items at hand encoded with gradient a query; -1 all.
        whole_edges: Up to this many message edges a step runs the GNN over the whole graph;
            above, over samples.
        refresh: Steps between two refreshes of the items' vectors in the embedding cache,
            where steps sample.
        text_refreshes: How often all texts are encoded anew, evenly over the steps.
        catalogue_weight: Of the loss over the whole catalogue.
        warm: How the head learns the counts before.
        settle: How it learns what vectors add once they are done.
        finetune_share: Share of the queries that only the settling sees, so that it meets vectors
            as asks to come will: what vectors have learnt by heart looks better than it is. 0
            settles on the asks of the joint training; one pass over many asks of people and
            words allows it, several passes over ids alone do not.
        shrinkage: Most validation queries a task that say how much is kept of what vectors add; 0
            keeps all, and so does a recipe of nothing but synthetic queries, which make the
            BM25 score look better than it is.
    """

    epochs: int = 3
    text_epochs: int = 0
    batch: int = 256
    accumulate: int = 1
    lr: float = 2e-3
    lr_text: float = 5e-5
    weight_decay: float = 0.01
    warmup: float = 0.05
    clip: float = 1.0
    patience: int = 3
    validations: int = 4
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    text_budget: int = 64
    context_texts: int = 1
    whole_edges: int = 2_000_000
    refresh: int = 8
    text_refreshes: int = 4
    catalogue_weight: float = 0.5
    pretrain_head: HeadConfig = HeadConfig()
    finetune_head: HeadConfig = HeadConfig()
    finetune_share: float = 0.25
    shrinkage: int = 10_000

    def __post_init__(self) -> None:
        least = {
            "epochs": 0,
            "text_epochs": 0,
            "batch": 1,
            "accumulate": 1,
            "patience": 1,
            "validations": 1,
        }
        least |= {
            "text_budget": -1,
            "context_texts": -1,
            "refresh": 1,
            "text_refreshes": 1,
            "shrinkage": 0,
        }
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                raise InputError(
                    f"training.{name} must be at least {lowest}, not {getattr(self, name)}"
                )
        if not 0 <= self.finetune_share < 1:
            raise InputError(
                f"training.finetune_share must be in 0..1, not {self.finetune_share}"
            )
        for name, most in (("lr", math.inf), ("lr_text", math.inf), ("clip", None)):
            value = getattr(self, name)
            if not value > 0 or value == most:
                raise InputError(
                    f"training.{name} must be above 0{' and finite' if most else ''}, not {value}"
                )


def schedule(
    sizes: list[int], batch: int, epochs: int, seed: int
) -> Iterator[tuple[int, IntArray]]:
    """(fold, ask numbers) a step: every query once an epoch, a batch from one fold, folds mixed. The same by seed."""
    for epoch in range(epochs):
        rng = np.random.default_rng([seed, epoch])
        orders = [rng.permutation(size) for size in sizes]
        # A short last batch is dropped, so that every step weighs the same, unless it is all
        # that there is.
        starts = [
            (f, s)
            for f, n in enumerate(sizes)
            for s in range(0, max(n - batch, 0) + 1, batch)
            if n
        ]
        for fold, start in (starts[i] for i in rng.permutation(len(starts))):
            yield fold, orders[fold][start : start + batch]
