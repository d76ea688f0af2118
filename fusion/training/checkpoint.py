"""Checkpoints: written whole or not at all, and read without running what a file says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kg.errors import InputError

CHECKPOINT = "checkpoint.pt"


def write_checkpoint(state: dict[str, Any], folder: Path) -> None:
    """Put the state where the last one was."""
    part = folder / f"{CHECKPOINT}.part"
    with part.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / CHECKPOINT)


def read_checkpoint(
    folder: Path, steps: int, device: torch.device
) -> dict[str, Any] | None:
    """The last state; None where there is none.

    Raises:
        InputError: It is of a training of another number of steps.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    if state["plan"] != steps:
        raise InputError(
            f"{path} is of {state['plan']} steps, this training of {steps}: the data changed"
        )
    return state


def tuned_weights(
    model: nn.Module, tuned: Mapping[nn.Parameter, bool]
) -> dict[str, Tensor]:
    """A copy of all that training changes; BERT's frozen layers are left out.

    Args:
        model: The hybrid.
        tuned: By parameter, whether the training may change it.
    """
    fixed = {
        name
        for name, parameter in model.named_parameters()
        if not tuned[parameter] and not name.startswith("head.")
    }
    return {
        name: value.detach().clone()
        for name, value in model.state_dict().items()
        if name not in fixed
    }
