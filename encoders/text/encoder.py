"""Text to vectors: any Hugging Face encoder, masked-mean pooling and a linear map."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from encoders.text.pretrained import model_folder, open_model, quiet
from encoders.text.tokens import TokenTable
from encoders.text.tuning import layer_list, lower_part, upper_part, with_lora
from kg.errors import InputError
from kg.progress import tqdm
from kg.tables import IntArray

# Padded tokens a batch on an accelerator, 170 texts of 48 tokens: a bound of memory that long
# and short texts share. The CPU takes an eighth, which saves padding.
BATCH_TOKENS = 8192


@dataclass(frozen=True)
class TextConfig:
    """How texts are encoded.

    Attributes:
        model: "default" (the packaged MiniLM), a Hugging Face name, or a folder; safetensors
            weights only.
        tune: What is trained beside the projection: "full", "top:N" (the N top layers),
            "lora", or "frozen".
        max_tokens: Tokens kept of a text, special ones included.
        lora_rank: Rank of the low-rank updates.
        dropout: Inside the encoder's tuned layers, in training; 0 keeps chance out of a text's
            vector.
        cache_mb: Most memory for the output of the frozen layers, in MiB; what needs more is
            computed each time.
    """

    model: str = "default"
    tune: str = "top:2"
    max_tokens: int = 48
    lora_rank: int = 8
    dropout: float = 0.0
    cache_mb: int = 1024

    def __post_init__(self) -> None:
        kind, _, count = self.tune.partition(":")
        if self.tune not in {"full", "lora", "frozen"} and not (
            kind == "top" and count.isdecimal() and int(count)
        ):
            raise InputError(
                f'tune = {self.tune!r}: it is "full", "top:N" with N at least 1, "lora" '
                'or "frozen"',
                field="tune",
            )
        for name, least in (
            ("max_tokens", 3),
            ("lora_rank", 1),
            ("cache_mb", 0),
        ):
            if getattr(self, name) < least:
                raise InputError(
                    f"{name} = {getattr(self, name)}: it is at least {least}",
                    field=name,
                )
        if not 0 <= self.dropout < 1:
            raise InputError(
                f"dropout = {self.dropout}: it is at least 0 and below 1",
                field="dropout",
            )


class TextEncoder(nn.Module):
    """Token ids to vectors of D numbers.

    The projection starts with orthonormal rows or columns, so that untuned similarities
    roughly survive it.

    Args:
        config: How.
        embedding_dim: D.
        folder: Where the weights and tokenizer are, in place of config.model.

    Raises:
        InputError: There is no such model, it has no safetensors weights, or the config does
            not fit it.
    """

    def __init__(
        self, config: TextConfig, embedding_dim: int, folder: str | Path | None = None
    ) -> None:
        super().__init__()
        self.config, self.embedding_dim = config, embedding_dim
        where = Path(folder) if folder else model_folder(config.model)
        self.model, self.tokenizer = open_model(
            where, config.dropout, config.max_tokens
        )
        self.hidden: int = self.model.config.hidden_size  # H
        self.below = 0  # how many layers are frozen under all that is tuned
        self.quick: Callable[[Tensor, Tensor], Tensor] | None = (
            None  # forward where no gradient is needed
        )
        self.model.requires_grad_(config.tune == "full")
        if pooler := getattr(
            self.model, "pooler", None
        ):  # not used, but a saved folder is then whole
            pooler.requires_grad_(False)
        if config.tune == "lora":
            self.model = with_lora(self.model, config.lora_rank, config.dropout)
        elif config.tune.startswith("top:"):
            layers = layer_list(self.model)[1]
            self.below = len(layers) - int(config.tune[4:])
            if self.below < 0:
                raise InputError(
                    f"tune = {config.tune!r}: text model {where} has {len(layers)} layers",
                    field="tune",
                )
            layers[self.below :].requires_grad_(True)
        self.projection = nn.Linear(self.hidden, embedding_dim, bias=False)
        nn.init.orthogonal_(self.projection.weight)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Training mode for what is tuned; frozen parts stay without dropout."""
        super().train(mode)
        if self.config.tune == "frozen":
            self.model.eval()
        elif self.config.tune.startswith("top:"):
            self.model.eval()
            layer_list(self.model)[1][self.below :].train(mode)
        return self

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.projection.weight.device

    @property
    def budget(self) -> int:
        """Padded tokens a batch on this device."""
        if self.device.type == "cpu":
            return max(1, BATCH_TOKENS // 8)
        return BATCH_TOKENS

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, T) ids and mask to (B, D); a row depends on neither the others nor the padding."""
        if self.quick is not None and not torch.is_grad_enabled():
            return self.quick(input_ids, attention_mask)
        return self.project(self.pool(input_ids, attention_mask))

    def pool(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, T) ids and mask to (B, H), the mean of the last layer's states."""
        return _mean(
            self.model(
                input_ids=input_ids, attention_mask=attention_mask
            ).last_hidden_state,
            attention_mask,
        )

    def lower(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, T) ids and mask to (B, T, H), the states that leave the frozen layers."""
        part = lower_part(self.model, self.below)
        states: Tensor = part(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state
        return states

    def upper(self, states: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, T, H) states that left the frozen layers to (B, H), as `pool` gives them."""
        part = upper_part(self.model, self.below)
        return _mean(
            part(inputs_embeds=states, attention_mask=attention_mask).last_hidden_state,
            attention_mask,
        )

    def project(self, pooled: Tensor) -> Tensor:
        """(B, H) to (B, D)."""
        return self.projection(pooled)  # type: ignore[no-any-return]

    def table(self, texts: Sequence[str], progress: bool = False) -> TokenTable:
        """The texts' tokens as this encoder reads them."""
        return TokenTable.build(texts, self.tokenizer, self.config.max_tokens, progress)

    def encode_table(
        self, table: TokenTable, progress: bool = False, project: bool = True
    ) -> Tensor:
        """(U, D) vectors of the distinct texts, or (U, H) before the projection; no gradient."""
        encode_batch = self.forward if project else self.pool
        size = self.embedding_dim if project else self.hidden

        def encode(rows: IntArray) -> Tensor:
            ids, mask = table.batch(rows)
            return encode_batch(ids.to(self.device), mask.to(self.device))

        return encode_batches(self, table, encode, size, progress)

    def encode(self, texts: Sequence[str]) -> Tensor:
        """(N, D) vectors of texts, 0 for a blank one; no gradient."""
        table, blank = (
            self.table(texts),
            torch.zeros(1, self.embedding_dim, device=self.device),
        )
        return torch.cat([self.encode_table(table), blank])[
            torch.from_numpy(table.index).to(self.device)
        ]

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a folder that this class and transformers open; low-rank updates are merged."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with quiet():
            model = (
                copy.deepcopy(self.model).merge_and_unload()
                if self.config.tune == "lora"
                else self.model
            )
            model.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)
        save_file(
            {"weight": self.projection.weight.detach().cpu().contiguous()},
            folder / "projection.safetensors",
        )
        settings = json.dumps(
            asdict(self.config) | {"embedding_dim": self.embedding_dim}, indent=2
        )
        (folder / "text_config.json").write_text(settings + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """Open what save_pretrained wrote; needs no network.

        Raises:
            InputError: The folder is missing or is not one of those.
        """
        try:
            settings = json.loads(
                (Path(folder) / "text_config.json").read_text(encoding="utf-8")
            )
            weight = load_file(Path(folder) / "projection.safetensors")["weight"]
            embedding_dim = settings.pop("embedding_dim")
        except (OSError, KeyError, AttributeError, ValueError) as error:
            raise InputError(
                f"{folder} is no folder of a saved text encoder: {error}"
            ) from error
        if unknown := set(settings) - {f.name for f in fields(TextConfig)}:
            raise InputError(
                f"{folder}/text_config.json: unknown key {', '.join(sorted(unknown))}"
            )
        encoder = cls(TextConfig(**settings), embedding_dim, folder)
        if weight.shape != encoder.projection.weight.shape:
            raise InputError(
                f"{folder}: a projection of {tuple(weight.shape)} does not fit its model "
                "and embedding_dim"
            )
        with torch.no_grad():
            encoder.projection.weight.copy_(weight)
        return encoder


def _mean(states: Tensor, mask: Tensor) -> Tensor:
    weight = mask.unsqueeze(-1).to(states.dtype)
    return (states * weight).sum(1) / weight.sum(1).clamp(min=1)


@torch.no_grad()
def encode_batches(
    encoder: TextEncoder,
    table: TokenTable,
    encode: Callable[[IntArray], Tensor],
    size: int,
    progress: bool,
) -> Tensor:
    """(U, size) what `encode` gives of a table's texts, batch by batch; no gradient, no dropout."""
    out = torch.zeros(len(table), size, device=encoder.device)
    training = encoder.training
    encoder.eval()
    try:
        with tqdm(total=len(table), desc="encoding texts", disable=not progress) as bar:
            for rows in table.buckets(np.arange(len(table)), encoder.budget):
                place = torch.from_numpy(rows).to(encoder.device)
                out[place] = encode(rows).to(out.dtype)
                bar.update(len(rows))
    finally:
        encoder.train(training)
    return out
