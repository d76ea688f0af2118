"""What the optimiser changes, and at which rates."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from fusion.model.hybrid import Hybrid
from fusion.training.config import TrainingConfig

_WARMUP = 0.05  # share of the steps over which the rates rise


def parameter_groups(model: Hybrid, config: TrainingConfig) -> list[dict[str, Any]]:
    """Parameters by learning rate and weight decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = config.lr_text if name.startswith("text.model.") else config.lr
            decay = config.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def warmup_cosine(optimizer: torch.optim.Optimizer, steps: int) -> LambdaLR:
    """Rates that rise over a share of the steps and fall along a cosine (arXiv 1608.03983)."""
    rise = max(_WARMUP * steps, 1)

    def factor(step: int) -> float:
        cosine = 0.5 + 0.5 * np.cos(np.pi * step / max(steps, 1))
        # A numpy number in the optimiser's state could not be read back from a checkpoint.
        return float(min((step + 1) / rise, cosine))

    return LambdaLR(optimizer, factor)
