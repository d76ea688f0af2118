"""A training: its stages, from first to last."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fusion.model.hybrid import Hybrid
from fusion.model.nodes import EmbeddingCache
from fusion.query_batch import QueryBatch
from fusion.training.joint import JointTraining
from fusion.training.stages import FinetuneHead, PretrainHead, Shrinkage, Stage
from fusion.training.state import TrainingState


class Trainer:
    """Trains a model in place, checkpointing as it goes.

    Args:
        state: The model, what it learns from, and how.
        validate: The model with the vectors of the serving graph, to a number: higher is better.
        folder: Where checkpoints and TensorBoard logs go.
        shrinkage: Queries that say how much of what vectors add is kept; all of it where None.

    Attributes:
        joint: The stage that trains the vectors.
        stages: All of them, in order.
    """

    def __init__(
        self,
        state: TrainingState,
        validate: Callable[[Hybrid, EmbeddingCache], float],
        folder: Path,
        shrinkage: QueryBatch | None = None,
    ) -> None:
        self.state = state
        self.joint = JointTraining(state, validate, folder)
        self.shrinkage = Shrinkage(shrinkage)
        self.stages: list[Stage] = [
            PretrainHead(),
            self.joint,
            FinetuneHead(),
            self.shrinkage,
        ]

    def fit(self, progress: bool = True) -> list[dict[str, float]]:
        """Train to the end, or until validation stops improving; the best weights stay.

        Returns:
            One row a validation: step, metric and the training losses since the one before.
        """
        bars = progress and self.state.fabric.is_global_zero
        for stage in self.stages:
            stage.run(self.state, bars)
        return self.joint.history

    def resume(self) -> bool:
        """Go back to the last checkpoint; False where there is none.

        Raises:
            InputError: The checkpoint is of another plan: the data or the recipe changed.
        """
        return self.joint.resume()
