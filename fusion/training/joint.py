"""The joint training of all parts: one loop to read from top to bottom, on Lightning Fabric."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from fusion.model.hybrid import Hybrid
from fusion.model.losses import Losses
from fusion.model.nodes import EmbeddingCache, Nodes
from fusion.training.checkpoint import read_checkpoint, tuned_weights, write_checkpoint
from fusion.training.history import TrainingLog
from fusion.training.optimizer import parameter_groups, warmup_cosine
from fusion.training.schedule import evenly, schedule
from fusion.training.state import TrainingFold, TrainingState
from fusion.training.step import StepWrapper, TrainingStep
from kg.errors import InputError
from kg.tables import IntArray

_CATALOGUE_WEIGHT = 0.5  # of the loss over the whole catalogue, beside the candidates'
# Largest norm of the gradient; 1 is what transformers are usually tuned with.
CLIP = 1.0
# Context items encoded with gradient a query, -1 all: each is one more text through BERT.
CONTEXT_TEXTS = 1
# Up to this many message edges a step runs the GNN over the whole graph, above over samples:
# two million edges of 128 numbers are 1 GiB a layer.
WHOLE_EDGES = 2_000_000
# Steps between two refreshes of the items' vectors in the embedding cache, where steps sample:
# each runs the GNN over the whole graph, so that a refresh a step would save nothing.
REFRESH = 8
_SEEDS = 1_000_003  # a prime, so that no two runs' steps share a seed


class JointTraining:
    """Trains vectors and head together, step by step, and keeps the best weights.

    Args:
        state: The model, what it learns from, and how.
        validate: The model with the vectors of the serving graph, to a number: higher is better.
        folder: Where checkpoints and TensorBoard logs go.

    Attributes:
        plan: (fold, query numbers) of each step.
        text_steps: How many steps at first tune the text tower alone.
        history: One row a validation.
        best: The best validation so far.
        worse: Validations since.

    Raises:
        InputError: A step has fewer queries than there are processes.
    """

    def __init__(
        self,
        state: TrainingState,
        validate: Callable[[Hybrid, EmbeddingCache], float],
        folder: Path,
    ) -> None:
        self.state, self.validate, self.folder = state, validate, folder
        model, config, fabric = state.model, state.config, state.fabric
        if model.head is not None:
            # Else it is learnt beforehand, and stays.
            model.head.net.requires_grad_(not config.pretrain_epochs)
        text_epochs = config.text_epochs if model.text is not None else 0
        epochs = text_epochs + config.epochs
        sizes = [len(fold.queries) for fold in state.folds]
        self.plan = list(schedule(sizes, config.batch, epochs, state.seed))
        self.text_steps = len(self.plan) * text_epochs // max(epochs, 1)
        if self.plan and min(len(q) for _, q in self.plan) < fabric.world_size:
            raise InputError(
                f"a step has fewer queries than the {fabric.world_size} processes: "
                "raise training.batch",
                field="training.batch",
            )
        self.step_module = TrainingStep(
            model,
            state.edges <= WHOLE_EDGES,
            config.text_budget,
            CONTEXT_TEXTS,
        )
        optimizer = torch.optim.AdamW(parameter_groups(model, config))
        self.rates = warmup_cosine(optimizer, len(self.plan))
        self.wrapped: Any
        wrapped = StepWrapper(self.step_module)
        self.wrapped, self.optimizer = fabric.setup(wrapped, optimizer)
        self._tuned = {p: p.requires_grad for p in model.parameters()}
        self.best, self.worse = -np.inf, 0
        self.best_state: dict[str, Tensor] = {}
        self.history: list[dict[str, float]] = []

    def run(self, state: TrainingState, progress: bool) -> None:
        """Train to the end or until validation stops improving; the best weights stay."""
        steps, config = len(self.plan), state.config
        stops = evenly(steps, config.validations) | {steps}
        log = TrainingLog(
            self.folder if state.fabric.is_global_zero else None,
            steps,
            state.done,
            progress,
        )
        while state.done < steps and self.worse < config.patience:
            self._refresh_if_due()
            log.step(self.step(state.done))
            state.done += 1
            if state.done in stops:
                last = self.history[-1]["step"] if self.history else 0
                row = log.validated(state.done, int(last), self._validate())
                self.history.append(row)
                self._save()
        log.close()
        if self.worse:
            state.forget_texts()  # they are of the last weights, not of the best
        state.model.load_state_dict(self.best_state, strict=False)

    def _refresh_if_due(self) -> None:
        """Bring the embedding caches up to date: texts now and then, items where steps sample."""
        done, config = self.state.done, self.state.config
        steps, times = len(self.plan), config.text_refreshes
        starts = {round(steps * number / times) for number in range(times)}
        texts = done in starts | {self.text_steps}
        items = done % REFRESH == 0 and not self.step_module.whole
        if texts or items:
            self.refresh(texts)

    @torch.no_grad()
    def refresh(self, texts: bool) -> None:
        """Compute the embedding caches anew: the texts' vectors if asked to, and the items'."""
        state = self.state
        vectors = state.texts() if texts else None
        for fold in state.folds:
            if vectors is not None:
                fold.embeddings.text = vectors
            if not self.step_module.whole:
                text = fold.embeddings.text if state.source else None
                fold.embeddings = state.model.encode(fold.snapshot, text)

    def step(self, number: int) -> dict[str, float]:
        """Take a step; its losses.

        All chance hangs on the step's number, so a resumed run goes on exactly as it would have.

        Raises:
            FloatingPointError: The gradient is not finite.
        """
        state, fabric = self.state, self.state.fabric
        seed = state.seed * _SEEDS + number
        torch.manual_seed(
            state.seed * _SEEDS + number * fabric.world_size + fabric.global_rank
        )
        generator = torch.Generator().manual_seed(seed)
        text_only = number < self.text_steps
        self._freeze_text(0 < self.text_steps <= number)
        fold_number, chosen = self.plan[number]
        self.wrapped.train()
        self.optimizer.zero_grad()
        losses = {"loss": 0.0, "candidates": 0.0, "catalogue": 0.0, "retrieved": 0.0}
        for part, last in self._parts(chosen):
            with fabric.no_backward_sync(self.wrapped, enabled=not last):
                # The processes' gradients are averaged, so shares are of a process' even part
                # of the batch.
                share = len(part) * fabric.world_size / len(chosen)
                values = self._backward(
                    state.folds[fold_number], part, share, generator, text_only
                )
            for name, value in values.items():
                losses[name] += float(value.detach()) * share
        self._clip(number)
        self.optimizer.step()
        self.rates.step()
        return self._mean(losses)

    def _freeze_text(self, frozen: bool) -> None:
        """In two steps, the texts' vectors stay once the text tower was tuned alone."""
        self.step_module.text_budget = 0 if frozen else self.state.config.text_budget
        text = self.state.model.text
        if text is not None:
            for parameter in text.parameters():
                parameter.requires_grad_(self._tuned[parameter] and not frozen)

    def _parts(self, chosen: IntArray) -> Iterator[tuple[IntArray, bool]]:
        """This process' queries of a batch in parts, and whether each is the last.

        As many parts in every process, and none empty: a process that waits for another's part
        waits forever.
        """
        fabric, config = self.state.fabric, self.state.config
        own = chosen[fabric.global_rank :: fabric.world_size]
        count = min(config.accumulate, len(chosen) // fabric.world_size)
        parts = np.array_split(own, count)
        for number, part in enumerate(parts):
            yield part, number == len(parts) - 1

    def _backward(
        self,
        fold: TrainingFold,
        part: IntArray,
        share: float,
        generator: torch.Generator,
        text_only: bool,
    ) -> dict[str, Tensor]:
        """Add a part's gradient; its losses."""
        source = self.state.source
        queries = fold.queries.take(part)
        graph, cache = fold.snapshot, fold.embeddings
        inputs = (graph, queries, cache, source, generator, text_only)
        losses: Losses = self.wrapped(lambda step: step(*inputs))
        total = losses.total(_CATALOGUE_WEIGHT)
        loss = (losses.catalogue if text_only else total) * share
        self.state.fabric.backward(loss)
        return {"loss": loss / share, **losses._asdict()}

    def _clip(self, number: int) -> None:
        config = self.state.config
        norm = self.state.fabric.clip_gradients(
            self.wrapped, self.optimizer, max_norm=CLIP, error_if_nonfinite=False
        )
        assert norm is not None
        # In half precision the scaler looks for its scale: it passes over such a step and
        # lowers the scale.
        if not torch.isfinite(norm) and config.precision != "16-mixed":
            raise FloatingPointError(
                f"the gradient is not finite at step {number}; "
                "lower training.lr or the precision"
            )

    def _mean(self, losses: dict[str, float]) -> dict[str, float]:
        """Over the processes."""
        fabric = self.state.fabric
        if fabric.world_size == 1:
            return losses
        values = [torch.tensor(value) for value in losses.values()]
        means = [fabric.all_reduce(value, reduce_op="mean") for value in values]
        return dict(zip(losses, map(float, cast(list[Tensor], means)), strict=True))

    def _validate(self) -> float:
        """Validate on the first process and keep the weights if they are the best so far.

        What is found while the text tower is tuned alone stops nothing and is not kept: the
        rest is untrained then.
        """
        state, value = self.state, 0.0
        if state.fabric.is_global_zero:
            value = self.validate(state.model, state.encode(state.serving))
        value = float(state.fabric.broadcast(value))
        if state.done <= self.text_steps < len(self.plan):
            return value
        if value > self.best:
            self.best, self.worse, self.best_state = value, 0, self._weights()
        else:
            self.worse += 1
        return value

    def _weights(self) -> dict[str, Tensor]:
        return tuned_weights(self.state.model, self._tuned)

    def _save(self) -> None:
        """Write everything that a killed run needs to go on exactly."""
        if not self.state.fabric.is_global_zero:
            return
        caches = [fold.embeddings for fold in self.state.folds]
        state = {
            "plan": len(self.plan),
            "done": self.state.done,
            "best": self.best,
            "worse": self.worse,
            "history": self.history,
            "model": self._weights(),
            "best_state": self.best_state,
            "optimizer": self.optimizer.state_dict(),
            "rates": self.rates.state_dict(),
            "embeddings": [
                (cache.text, tuple(cache.items), tuple(cache.users)) for cache in caches
            ],
        }
        write_checkpoint(state, self.folder)

    def resume(self) -> bool:
        """Go back to the last checkpoint; False where there is none.

        Raises:
            InputError: The checkpoint is of another plan: the data or the recipe changed.
        """
        state = read_checkpoint(self.folder, len(self.plan), self.state.fabric.device)
        if state is None:
            return False
        self.state.model.load_state_dict(state["model"], strict=False)
        self.optimizer.load_state_dict(state["optimizer"])
        self.rates.load_state_dict(state["rates"])
        pairs = zip(self.state.folds, state["embeddings"], strict=True)
        for fold, (text, items, users) in pairs:
            fold.embeddings = EmbeddingCache(text, Nodes(*items), Nodes(*users))
        self.state.done = state["done"]
        self.best, self.worse = state["best"], state["worse"]
        self.best_state, self.history = state["best_state"], state["history"]
        return True
