"""Training: one loop to read from top to bottom, on Lightning Fabric."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from encoders.text.source import TextSource
from fusion.model.hybrid import Hybrid
from fusion.model.losses import Losses
from fusion.model.nodes import EmbeddingCache, Nodes
from fusion.model.snapshot import GraphSnapshot
from fusion.query_batch import QueryBatch, join
from fusion.training.schedule import TrainingConfig, schedule
from fusion.training.shrinkage import fit_shrinkage
from fusion.training.stages import finetune_head, pretrain_head
from fusion.training.step import TrainingStep
from kg.errors import InputError
from kg.progress import tqdm

CHECKPOINT = "checkpoint.pt"


@dataclass
class TrainingFold:
    """A world, the asks about what it does not hold, its vectors, and asks for settling alone."""

    snapshot: GraphSnapshot
    queries: QueryBatch
    embeddings: EmbeddingCache
    settling: QueryBatch | None = None

    @property
    def every(self) -> QueryBatch:
        """All of its queries."""
        return (
            self.queries
            if self.settling is None
            else join([self.queries, self.settling])
        )


class _Wrapped(nn.Module):
    """What Fabric wraps. A function passes it untouched, where dataclasses among the inputs would be copied."""

    def __init__(self, step: TrainingStep) -> None:
        super().__init__()
        self.step = step

    def forward(self, call: Callable[[TrainingStep], Losses]) -> Losses:
        return call(self.step)


class Trainer:
    """Trains a model in place, checkpointing as it goes.

    Args:
        model: The model.
        source: The texts of all nodes, None where words are not used.
        folds: What to learn from.
        serving: The whole training graph, for validation.
        validate: The model with the embedding cache of the serving world, to a number: higher
            is better.
        config: How.
        folder: Where checkpoints and TensorBoard logs go.
        seed: Of everything random.
        fabric: Device, precision and processes.
        texts: (U, D) all texts' vectors before any training, where they are known already.
        held_out: Queries that say how much of what vectors add is kept; all of it where None.
    """

    def __init__(
        self,
        model: Hybrid,
        source: TextSource | None,
        folds: list[TrainingFold],
        serving: GraphSnapshot,
        validate: Callable[[Hybrid, EmbeddingCache], float],
        config: TrainingConfig,
        folder: Path,
        seed: int,
        fabric: Fabric,
        texts: Tensor | None = None,
        held_out: QueryBatch | None = None,
    ) -> None:
        self.held_out = held_out
        self.model, self.source, self.folds, self.serving = (
            model,
            source,
            folds,
            serving,
        )
        self.validate, self.config, self.folder, self.seed, self.fabric = (
            validate,
            config,
            folder,
            seed,
            fabric,
        )
        if model.head is not None:
            model.head.net.requires_grad_(
                not config.pretrain_head.epochs
            )  # else it is learnt beforehand, and stays
        self.step_module = TrainingStep(
            model, self._whole(), config.text_budget, config.context_texts
        )
        self.optimizer = torch.optim.AdamW(_groups(model, config))
        self.wrapped: Any
        self.wrapped, self.optimizer = fabric.setup(
            _Wrapped(self.step_module), self.optimizer
        )
        language = config.text_epochs if model.text is not None else 0
        sizes = [len(fold.queries) for fold in folds]
        plan = list(schedule(sizes, config.batch, language + config.epochs, seed))
        self.plan = plan
        if plan and min(len(chosen) for _, chosen in plan) < fabric.world_size:
            raise InputError(
                f"a step has fewer asks than the {fabric.world_size} processes: raise training.batch"
            )
        self.text_steps = len(plan) * language // max(language + config.epochs, 1)
        self.done, self.best, self.worse = 0, -np.inf, 0
        self._tuned = {p: p.requires_grad for p in model.parameters()}
        self.best_state: dict[str, Tensor] = {}
        self.history: list[dict[str, float]] = []
        self._encoded: tuple[int, Tensor] | None = (
            None if texts is None else (0, texts)
        )  # after how many steps

    def fit(self, progress: bool = True) -> list[dict[str, float]]:
        """Train to the end or until validation stops improving; the model is left with the best weights.

        Returns:
            One row a validation: step, metric and the training losses since the one before.
        """
        steps = len(self.plan)
        marks = {
            round(steps * (i + 1) / self.config.validations)
            for i in range(self.config.validations)
        }
        parts = self.config.text_refreshes
        anew = {round(steps * i / parts) for i in range(parts)} | {self.text_steps}
        if not self.done:
            self._warm(progress and self.fabric.is_global_zero)
        writer = (
            SummaryWriter(self.folder / "logs") if self.fabric.is_global_zero else None
        )
        sums: dict[str, float] = {}
        hidden = not (progress and self.fabric.is_global_zero)
        bar = tqdm(
            total=steps, initial=self.done, desc="training", unit="step", disable=hidden
        )
        while self.done < steps and self.worse < self.config.patience:
            if self.done in anew or (
                self.done % self.config.refresh == 0 and not self.step_module.whole
            ):
                self.refresh(texts=self.done in anew)
            values = self._step(self.done)
            self.done += 1
            bar.update()
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + value
                if writer:
                    writer.add_scalar(f"train/{name}", value, self.done)
            if self.done in marks or self.done == steps:
                count = self.done - (
                    int(self.history[-1]["step"]) if self.history else 0
                )
                row = {
                    "step": float(self.done),
                    **{k: v / count for k, v in sums.items()},
                    "metric": self._judge(),
                }
                sums = {}
                self.history.append(row)
                bar.set_postfix(loss=f"{row['loss']:.3f}", valid=f"{row['metric']:.4f}")
                if writer:
                    writer.add_scalar("valid/metric", row["metric"], self.done)
                self._save()
        bar.close()
        if writer:
            writer.close()
        if self.worse:
            self._encoded = None  # it is of the last weights, not of the best
        self.model.load_state_dict(self.best_state, strict=False)
        self._settle(not hidden)
        return self.history

    def _whole(self) -> bool:
        edges = max(
            sum(e.shape[1] for e in fold.snapshot.edges.values()) for fold in self.folds
        )
        return edges <= self.config.whole_edges

    def _step(self, number: int) -> dict[str, float]:
        config, fabric = self.config, self.fabric
        fold_number, chosen = self.plan[number]
        fold = self.folds[fold_number]
        # All chance hangs on the step's number, so a resumed run goes on exactly as it would have.
        torch.manual_seed(
            self.seed * 1_000_003 + number * fabric.world_size + fabric.global_rank
        )
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        language = number < self.text_steps
        frozen = 0 < self.text_steps <= number
        self.step_module.text_budget = 0 if frozen else config.text_budget
        for parameter in (
            self.model.text.parameters() if self.model.text is not None else ()
        ):
            parameter.requires_grad_(self._tuned[parameter] and not frozen)
        rise = config.warmup * len(self.plan)
        # A numpy number in the optimiser's state could not be read back from a checkpoint.
        factor = float(
            min(
                (number + 1) / max(rise, 1),
                0.5 + 0.5 * np.cos(np.pi * number / len(self.plan)),
            )
        )
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        mine = chosen[fabric.global_rank :: fabric.world_size]
        # As many parts in every process, and none empty: a process that waits for another's
        # part waits forever.
        parts = np.array_split(
            mine, min(config.accumulate, len(chosen) // fabric.world_size)
        )
        self.wrapped.train()
        self.optimizer.zero_grad()
        sums = {"loss": 0.0, "candidates": 0.0, "catalogue": 0.0, "retrieved": 0.0}
        for part in parts:
            with fabric.no_backward_sync(self.wrapped, enabled=part is not parts[-1]):
                inputs = (
                    fold.snapshot,
                    fold.queries.take(part),
                    fold.embeddings,
                    self.source,
                    generator,
                    language,
                )
                found = self.wrapped(lambda step, inputs=inputs: step(*inputs))
                # The processes' gradients are averaged, so shares are of a process' even part
                # of the batch.
                share = len(part) * fabric.world_size / len(chosen)
                loss = (
                    found.catalogue
                    if language
                    else found.total(config.catalogue_weight)
                ) * share
                fabric.backward(loss)
            for name, value in (("loss", loss / share), *found._asdict().items()):
                sums[name] += float(value.detach()) * share
        norm = fabric.clip_gradients(
            self.wrapped, self.optimizer, max_norm=config.clip, error_if_nonfinite=False
        )
        assert norm is not None
        # In half precision the scaler looks for its scale: it passes over such a step and
        # lowers the scale.
        if not torch.isfinite(norm) and config.precision != "16-mixed":
            raise FloatingPointError(
                f"the gradient is not finite at step {number}; lower training.lr or the precision"
            )
        self.optimizer.step()
        if fabric.world_size > 1:
            means = (
                cast(Tensor, fabric.all_reduce(torch.tensor(v), reduce_op="mean"))
                for v in sums.values()
            )
            sums = dict(zip(sums, map(float, means), strict=True))
        return sums

    def texts(self, progress: bool = False) -> Tensor | None:
        """(U, D) all texts' vectors by the weights as they are, None where words are not used; no gradient."""
        if self.source is not None and (
            self._encoded is None or self._encoded[0] != self.done
        ):
            self._encoded = (self.done, self.source.encode_all(progress))
        return self._encoded[1] if self._encoded is not None else None

    @torch.no_grad()
    def refresh(self, texts: bool) -> None:
        """Compute the banks anew: the texts' vectors if asked to, and from them the items'."""
        vectors = self.texts() if texts else None
        for fold in self.folds:
            if vectors is not None:
                fold.embeddings.text = vectors
            if not self.step_module.whole:
                fold.embeddings = self.model.encode(
                    fold.snapshot, fold.embeddings.text if self.source else None
                )

    def _judge(self) -> float:
        """Validate on the first process and keep the weights if they are the best so far.

        What is found while the language half is tuned alone stops nothing and is not kept: the
        rest is untrained then.
        """
        value = 0.0
        if self.fabric.is_global_zero:
            value = self.validate(
                self.model, self.model.encode(self.serving, self.texts())
            )
        value = float(self.fabric.broadcast(value))
        if self.done <= self.text_steps < len(self.plan):
            return value
        if value > self.best:
            self.best, self.worse, self.best_state = value, 0, self._state()
        else:
            self.worse += 1
        return value

    def _state(self) -> dict[str, Tensor]:
        """A copy of all that training changes: tuned parameters and buffers; BERT's frozen layers are left out."""
        fixed = {
            n
            for n, p in self.model.named_parameters()
            if not self._tuned[p] and not n.startswith("head.")
        }
        return {
            k: v.detach().clone()
            for k, v in self.model.state_dict().items()
            if k not in fixed
        }

    def _warm(self, progress: bool = False) -> None:
        """Let the head learn the counts; every process does the same."""
        if self.model.head is not None:
            folds = [(fold.snapshot.features, fold.every) for fold in self.folds]
            config, each = self.config, self.model.config.candidates_per_path
            pretrain_head(
                self.model.head,
                folds,
                each,
                config.pretrain_head,
                self.seed,
                config.weight_decay,
                progress,
            )

    def _settle(self, progress: bool) -> None:
        """Let the head learn what vectors add, now that they stay; every process does the same."""
        model, config = self.model, self.config
        if model.head is None or not model.config.vectors:
            return
        if config.finetune_head.epochs:
            folds = [
                (
                    f.snapshot,
                    model.encode(f.snapshot, self.texts()),
                    f.settling or f.queries,
                )
                for f in self.folds
            ]
            finetune_head(
                model,
                folds,
                config.finetune_head,
                self.seed,
                config.weight_decay,
                progress,
            )
        if self.held_out is not None:
            fit_shrinkage(
                model,
                self.serving,
                model.encode(self.serving, self.texts()),
                self.held_out,
                progress=progress,
            )

    def _save(self) -> None:
        """Write everything that a killed run needs to go on exactly; whole or not at all."""
        if not self.fabric.is_global_zero:
            return
        state = {
            "plan": len(self.plan),
            "done": self.done,
            "best": self.best,
            "worse": self.worse,
            "history": self.history,
            "model": self._state(),
            "best_state": self.best_state,
            "optimizer": self.optimizer.state_dict(),
            "banks": [
                (
                    f.embeddings.text,
                    tuple(f.embeddings.items),
                    tuple(f.embeddings.users),
                )
                for f in self.folds
            ],
        }
        part = self.folder / f"{CHECKPOINT}.part"
        with part.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.folder / CHECKPOINT)

    def resume(self) -> bool:
        """Go back to the last checkpoint; False where there is none.

        Raises:
            ValueError: The checkpoint is of another plan: the data or the recipe changed.
        """
        path = self.folder / CHECKPOINT
        if not path.exists():
            return False
        state = torch.load(path, map_location=self.fabric.device, weights_only=True)
        if state["plan"] != len(self.plan):
            raise InputError(
                f"{path} is of {state['plan']} steps, this training of {len(self.plan)}: the data changed"
            )
        self.model.load_state_dict(state["model"], strict=False)
        self.optimizer.load_state_dict(state["optimizer"])
        for fold, (text, items, users) in zip(self.folds, state["banks"], strict=True):
            fold.embeddings = EmbeddingCache(text, Nodes(*items), Nodes(*users))
        self.done, self.best, self.worse = state["done"], state["best"], state["worse"]
        self.best_state, self.history = state["best_state"], state["history"]
        return True


def _groups(model: Hybrid, config: TrainingConfig) -> list[dict[str, Any]]:
    """Parameters by learning rate and weight decay."""
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = config.lr_text if name.startswith("text.model.") else config.lr
            decay = config.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": p, "lr": r, "base_lr": r, "weight_decay": d}
        for (r, d), p in groups.items()
    ]
