"""What of a Hugging Face encoder is tuned: low-rank updates, and the parts of its layers."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from encoders.text.pretrained import quiet
from kg.errors import InputError


def with_lora(model: Any, rank: int, dropout: float) -> Any:
    """The model with low-rank updates on the attention's query and value (arXiv 2106.09685)."""
    from peft import LoraConfig, get_peft_model

    try:
        with quiet():
            return get_peft_model(model, LoraConfig(r=rank, lora_dropout=dropout))
    except ValueError as error:
        raise InputError(
            f'tune = "lora": peft does not know this family of models: {error}',
            field="tune",
        ) from error


def layer_list(model: Any) -> tuple[str, nn.ModuleList]:
    """The model's layers and their name in it."""
    count = model.config.num_hidden_layers
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return name, module
    raise InputError(
        f'tune = "top:N": {type(model).__name__} has no list of {count} layers; '
        'use "full" or "frozen"',
        field="tune",
    )


def splits(model: Any) -> bool:
    """Whether the model is embeddings, layers and at most a norm: nothing else has weights."""
    plain = {"embeddings", "pooler", layer_list(model)[0].split(".")[0]}
    rest = [
        m
        for name, m in model.named_children()
        if name not in plain and not isinstance(m, nn.LayerNorm)
    ]
    return hasattr(model, "embeddings") and not any(
        True for m in rest for _ in m.parameters()
    )


def lower_part(model: Any, count: int) -> Any:
    """The model up to its first `count` layers; weights are shared with the whole one."""
    part = _with_layers(model, slice(0, count))
    for name, child in model.named_children():
        if isinstance(
            child, nn.LayerNorm
        ):  # some families close with a norm of their own
            setattr(part, name, nn.Identity())
    return part


def upper_part(model: Any, count: int) -> Any:
    """The model after its first `count` layers; weights are shared with the whole one.

    It is called with the states of those layers as inputs_embeds.
    """
    part = _with_layers(model, slice(count, None))
    part.embeddings = _Given()
    return part


class _Given(nn.Module):
    """Stands in for the embeddings: gives back the states it is given."""

    def forward(self, *args: Tensor | None, **kwargs: Tensor | None) -> Tensor:
        return next(
            v
            for v in (*args, *kwargs.values())
            if isinstance(v, Tensor) and v.is_floating_point()
        )


def _with_layers(model: Any, which: slice) -> Any:
    twin = part = _twin(model)
    path, layers = layer_list(model)
    *above, last = path.split(".")
    for name in above:
        setattr(part, name, _twin(getattr(part, name)))
        part = getattr(part, name)
    setattr(part, last, layers[which])
    return twin


def _twin(module: nn.Module) -> nn.Module:
    twin = copy.copy(module)
    twin._modules = dict(module._modules)
    return twin
