"""The stages around the joint training; each changes the model in place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fusion.query_batch import QueryBatch
from fusion.training.config import HeadConfig
from fusion.training.head_fit import finetune_head, pretrain_head
from fusion.training.shrinkage import fit_shrinkage
from fusion.training.state import TrainingState


class Stage(Protocol):
    """A part of a training. Every process runs it alike."""

    def run(self, state: TrainingState, progress: bool) -> None:
        """Train."""


class PretrainHead:
    """The head learns what the metapath counts say, before the vectors are trained."""

    def run(self, state: TrainingState, progress: bool) -> None:
        """Train the head's `net`; a resumed training has done so already."""
        model, config = state.model, state.config
        if model.head is None or state.done:
            return
        pretrain_head(
            model.head,
            [(fold.snapshot.features, fold.every) for fold in state.folds],
            model.config.candidates_per_path,
            HeadConfig(limit=config.head_limit),
            config.pretrain_epochs,
            state.seed,
            config.weight_decay,
            progress,
        )


class FinetuneHead:
    """The head learns what the vectors add, now that they stay."""

    def run(self, state: TrainingState, progress: bool) -> None:
        """Train the head's `mix` and the weight of the fused similarity."""
        model, config = state.model, state.config
        if model.head is None or not model.config.vectors:
            return
        if not config.finetune_epochs:
            return
        folds = [
            (fold.snapshot, state.encode(fold.snapshot), fold.finetune or fold.queries)
            for fold in state.folds
        ]
        finetune_head(
            model,
            folds,
            HeadConfig(limit=config.head_limit),
            config.finetune_epochs,
            state.seed,
            config.weight_decay,
            progress,
        )


@dataclass
class Shrinkage:
    """Queries that nothing was trained on say how much is kept of what the vectors add.

    Attributes:
        queries: These; all is kept where None.
    """

    queries: QueryBatch | None

    def run(self, state: TrainingState, progress: bool) -> None:
        """Set the model's shares."""
        if self.queries is not None:
            embeddings = state.encode(state.serving)
            fit_shrinkage(
                state.model,
                state.serving,
                embeddings,
                self.queries,
                progress=progress,
            )
