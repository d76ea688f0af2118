"""How a model is trained: the settings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from kg.errors import InputError


def _check_least(table: str, config: Any, least: dict[str, int]) -> None:
    """Refuse a value below its least."""
    for name, lowest in least.items():
        value = getattr(config, name)
        if value < lowest:
            raise _wrong(f"{table}.{name}", f"at least {lowest}", value)


def _check_rate(table: str, config: Any, name: str) -> None:
    """Refuse a learning rate that is no positive number."""
    value = getattr(config, name)
    if not 0 < value < math.inf:
        raise _wrong(f"{table}.{name}", "above 0 and finite", value)


def _wrong(field: str, wanted: str, value: float) -> InputError:
    return InputError(f"{field} must be {wanted}, not {value}", field=field)


@dataclass(frozen=True)
class HeadConfig:
    """How the head alone is trained, before the vectors and after them.

    A step of the joint training costs a pass of messages and of BERT, so there are few of
    them: enough for vectors, too few for the head. Passes over queries whose candidates are
    kept in memory cost next to nothing. A recipe sets `limit` alone, as `training.head_limit`.

    Attributes:
        batch: Queries a step.
        lr: Highest rate; it rises over a tenth of the steps and falls along a cosine.
        limit: Most queries a fold, a seeded draw; their candidates are kept in memory meanwhile.
            0 takes all.
        negatives: Wrong candidates kept a query, a seeded draw; 0 keeps all.
    """

    batch: int = 128
    lr: float = 3e-3
    limit: int = 10_000
    negatives: int = 100


@dataclass(frozen=True)
class TrainingConfig:
    """How the model is trained.

    Attributes:
        epochs: Passes over the training queries.
        text_epochs: Passes before those in which the text tower is tuned alone; above 0 is the
            two-step recipe, in which the texts' vectors then stay as they are.
        batch: Queries a step, over all processes.
        accumulate: Parts that a process takes its share of a batch in, to save memory.
        lr: Of everything but BERT; the rates rise over the first steps and fall along a cosine.
        lr_text: Of BERT.
        weight_decay: Of matrices; not of biases, norms and scales.
        patience: Validations without a better result before training stops.
        validations: How many, evenly over the steps.
        precision: "32-true", "bf16-mixed" or "16-mixed", as Lightning names them.
        text_budget: Texts encoded with gradient a step; 0 none, -1 all that occur.
        text_refreshes: How often all texts are encoded anew, evenly over the steps.
        head_limit: Most queries a fold that the head alone is trained on, a seeded draw; their
            candidates are kept in memory meanwhile. 0 takes all.
        pretrain_epochs: Passes before the joint training in which the head learns the counts.
        finetune_epochs: Passes after it in which the head learns what vectors add.
        finetune_share: Share of the queries that only the fine-tuning sees, so that it meets
            vectors as queries to come will: what vectors have learnt by heart looks better than
            it is. 0 fine-tunes on the queries of the joint training; one pass over many queries
            of people and words allows it, several passes over ids alone do not.
        shrinkage: Most validation queries a task that say how much is kept of what vectors add;
            0 keeps all, and so does a recipe of nothing but synthetic queries, which make the
            BM25 score look better than it is.
    """

    epochs: int = 1
    text_epochs: int = 0
    batch: int = 384
    accumulate: int = 1
    lr: float = 4e-3
    lr_text: float = 5e-5
    weight_decay: float = 0.01
    patience: int = 3
    validations: int = 2
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    text_budget: int = 32
    text_refreshes: int = 2
    head_limit: int = 10_000
    pretrain_epochs: int = 8
    finetune_epochs: int = 8
    finetune_share: float = 0.0
    shrinkage: int = 10_000

    def __post_init__(self) -> None:
        least = {"epochs": 0, "text_epochs": 0, "batch": 1, "accumulate": 1}
        least |= {"pretrain_epochs": 0, "finetune_epochs": 0}
        least |= {"patience": 1, "validations": 1, "text_budget": -1}
        least |= {"text_refreshes": 1, "head_limit": 0, "shrinkage": 0}
        _check_least("training", self, least)
        _check_rate("training", self, "lr")
        _check_rate("training", self, "lr_text")
        if not 0 <= self.finetune_share < 1:
            raise _wrong("training.finetune_share", "in 0..1", self.finetune_share)
