"""Text to vectors: any Hugging Face encoder, masked-mean pooling, a linear map, tuned as much as a setting says."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from encoders.text import tuning as pretrained
from encoders.text.tokens import TokenTable
from kg.errors import InputError
from kg.progress import tqdm
from kg.tables import IntArray

log = logging.getLogger(__name__)


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
        batch_tokens: Padded tokens a batch on an accelerator; the CPU takes an eighth, which
            saves padding.
        cache_mb: Most memory for the output of the frozen layers, in MiB; what needs more is
            computed each time.
    """

    model: str = "default"
    tune: str = "top:2"
    max_tokens: int = 48
    lora_rank: int = 8
    dropout: float = 0.0
    batch_tokens: int = 8192
    cache_mb: int = 1024

    def __post_init__(self) -> None:
        kind, _, count = self.tune.partition(":")
        if self.tune not in {"full", "lora", "frozen"} and not (
            kind == "top" and count.isdecimal() and int(count)
        ):
            raise InputError(
                f'tune = {self.tune!r}: it is "full", "top:N" with N at least 1, "lora" or "frozen"'
            )
        for name, least in (
            ("max_tokens", 3),
            ("lora_rank", 1),
            ("batch_tokens", 1),
            ("cache_mb", 0),
        ):
            if getattr(self, name) < least:
                raise InputError(
                    f"{name} = {getattr(self, name)}: it is at least {least}"
                )
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout = {self.dropout}: it is at least 0 and below 1")


class TextEncoder(nn.Module):
    """Token ids to vectors of width D.

    The projection starts with orthonormal rows or columns, so that untuned similarities
    roughly survive it.

    Args:
        config: How.
        width: D.
        folder: Where the weights and tokenizer are, in place of config.model.

    Raises:
        InputError: There is no such model, it has no safetensors weights, or the config does
            not fit it.
    """

    def __init__(
        self, config: TextConfig, width: int, folder: str | Path | None = None
    ) -> None:
        super().__init__()
        self.config, self.width = config, width
        where = Path(folder) if folder else pretrained.model_folder(config.model)
        self.model, self.tokenizer = pretrained.open_model(
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
            self.model = pretrained.with_lora(
                self.model, config.lora_rank, config.dropout
            )
        elif config.tune.startswith("top:"):
            layers = pretrained.layer_list(self.model)[1]
            self.below = len(layers) - int(config.tune[4:])
            if self.below < 0:
                raise InputError(
                    f"tune = {config.tune!r}: text model {where} has {len(layers)} layers"
                )
            layers[self.below :].requires_grad_(True)
        self.projection = nn.Linear(self.hidden, width, bias=False)
        nn.init.orthogonal_(self.projection.weight)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Training mode for what is tuned; frozen parts stay without dropout."""
        super().train(mode)
        if self.config.tune == "frozen":
            self.model.eval()
        elif self.config.tune.startswith("top:"):
            self.model.eval()
            pretrained.layer_list(self.model)[1][self.below :].train(mode)
        return self

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.projection.weight.device

    @property
    def budget(self) -> int:
        """Padded tokens a batch on this device."""
        return (
            self.config.batch_tokens
            if self.device.type != "cpu"
            else max(1, self.config.batch_tokens // 8)
        )

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, T) ids and mask to (B, D); a row depends on neither the others nor the padding."""
        if self.quick is not None and not torch.is_grad_enabled():
            return self.quick(input_ids, attention_mask)
        return self.project(self.pool(input_ids, attention_mask))

    def pool(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, T) ids and mask to (B, H), the mean of the last layer's states, before the projection."""
        return _mean(
            self.model(
                input_ids=input_ids, attention_mask=attention_mask
            ).last_hidden_state,
            attention_mask,
        )

    def lower(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, T) ids and mask to (B, T, H), the states that leave the frozen layers."""
        part = pretrained.lower_part(self.model, self.below)
        states: Tensor = part(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state
        return states

    def upper(self, states: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, T, H) states that left the frozen layers to (B, H), as `pool` gives them."""
        part = pretrained.upper_part(self.model, self.below)
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
        one, width = (self.forward, self.width) if project else (self.pool, self.hidden)

        def encode(rows: IntArray) -> Tensor:
            ids, mask = table.batch(rows)
            return one(ids.to(self.device), mask.to(self.device))

        return _encode_all(self, table, encode, width, progress)

    def encode(self, texts: Sequence[str]) -> Tensor:
        """(N, D) vectors of texts, 0 for a blank one; no gradient."""
        table, blank = self.table(texts), torch.zeros(1, self.width, device=self.device)
        return torch.cat([self.encode_table(table), blank])[
            torch.from_numpy(table.index).to(self.device)
        ]

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a folder that both this class and transformers can open; low-rank updates are merged."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with pretrained.quiet():
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
        settings = json.dumps(asdict(self.config) | {"width": self.width}, indent=2)
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
            width = settings.pop("width")
        except (OSError, KeyError, AttributeError, ValueError) as error:
            raise InputError(
                f"{folder} is no folder of a saved text encoder: {error}"
            ) from error
        if unknown := set(settings) - {f.name for f in fields(TextConfig)}:
            raise InputError(
                f"{folder}/text_config.json: unknown key {', '.join(sorted(unknown))}"
            )
        encoder = cls(TextConfig(**settings), width, folder)
        if weight.shape != encoder.projection.weight.shape:
            raise InputError(
                f"{folder}: a projection of {tuple(weight.shape)} does not fit its model and width"
            )
        with torch.no_grad():
            encoder.projection.weight.copy_(weight)
        return encoder


class TextSource:
    """The vectors of a table's texts, as cheaply as the tuning allows.

    What lies under the tuned layers never changes, so it is computed once, on first use, and
    kept where it fits
    `cache_mb`: every token's state for "top:N", every text's pooled vector for "frozen".
    Results are the encoder's.

    Args:
        encoder: Whose vectors; moving it to another device moves what is kept.
        table: U distinct texts.
        keep: Whether to keep anything; not worth it for texts that are read once.
    """

    def __init__(
        self, encoder: TextEncoder, table: TokenTable, keep: bool = True
    ) -> None:
        self.encoder, self.table = encoder, table
        frozen = encoder.config.tune == "frozen"
        rows = len(table) if frozen else len(table.ids)
        self.cached = (
            keep
            and rows * encoder.hidden * 4 <= encoder.config.cache_mb * 2**20
            and len(table) > 0
            and (frozen or (encoder.below > 0 and pretrained.splits(encoder.model)))
        )
        self._kept: Tensor | None = None

    def share(self, other: TextSource) -> None:
        """Keep what another keeps of the same texts, whose encoder has the same config: neither changes it."""
        if other is not self and other._kept is not None and self.cached:
            self._kept = other._kept

    def encode(self, distinct: Tensor | IntArray) -> Tensor:
        """(B,) distinct texts, repeats allowed, to (B, D), with gradient to what is tuned."""
        rows = np.asarray(
            distinct.cpu() if isinstance(distinct, Tensor) else distinct, np.int64
        )
        once, back = np.unique(rows, return_inverse=True)
        parts = list(self.table.buckets(once, self.encoder.budget))
        if not parts:
            return torch.zeros(0, self.encoder.width, device=self.encoder.device)
        self._keep()
        place = np.argsort(np.concatenate(parts))
        return torch.cat([self._encode(p) for p in parts])[
            torch.from_numpy(place[back]).to(self.encoder.device)
        ]

    def encode_all(self, progress: bool = False) -> Tensor:
        """(U, D) vectors of all distinct texts; no gradient."""
        self._keep(progress)
        return _encode_all(
            self.encoder, self.table, self._encode, self.encoder.width, progress
        )

    def _encode(self, rows: IntArray) -> Tensor:
        encoder, device = self.encoder, self.encoder.device
        if self._kept is None:
            ids, mask = self.table.batch(rows)
            vectors: Tensor = encoder(ids.to(device), mask.to(device))
            return vectors
        if encoder.config.tune == "frozen":
            return encoder.project(self._kept[torch.from_numpy(rows).to(device)])
        places, real = (
            torch.from_numpy(part).to(device) for part in self.table.places(rows)
        )
        return encoder.project(encoder.upper(self._kept[places], real.long()))

    @torch.inference_mode(False)
    def _keep(self, progress: bool = False) -> None:
        encoder, table, device = self.encoder, self.table, self.encoder.device
        if self._kept is not None:
            self._kept = self._kept.to(device)
        if not self.cached or self._kept is not None:
            return
        if encoder.config.tune == "frozen":
            self._kept = encoder.encode_table(table, progress, project=False)
            return
        kept = torch.empty(len(table.ids), encoder.hidden, device=device)

        def fill(rows: IntArray) -> Tensor:
            ids, mask = (part.to(device) for part in table.batch(rows))
            places, real = (
                torch.from_numpy(part).to(device) for part in table.places(rows)
            )
            kept[places[real]] = encoder.lower(ids, mask)[real].float()
            return torch.zeros(len(rows), 0, device=device)

        _encode_all(encoder, table, fill, 0, progress)
        few = np.arange(min(8, len(table)))
        with torch.no_grad():
            plain, self._kept = self._encode(few), kept
            if not torch.allclose(self._encode(few), plain, atol=1e-3):
                log.warning(
                    "%s cannot be split between layers; texts are encoded whole",
                    type(encoder.model).__name__,
                )
                self.cached, self._kept = False, None


def _mean(states: Tensor, mask: Tensor) -> Tensor:
    weight = mask.unsqueeze(-1).to(states.dtype)
    return (states * weight).sum(1) / weight.sum(1).clamp(min=1)


@torch.no_grad()
def _encode_all(
    encoder: TextEncoder,
    table: TokenTable,
    one: Callable[[IntArray], Tensor],
    width: int,
    progress: bool,
) -> Tensor:
    out = torch.zeros(len(table), width, device=encoder.device)
    training = encoder.training
    encoder.eval()
    try:
        with tqdm(total=len(table), desc="encoding texts", disable=not progress) as bar:
            for rows in table.buckets(np.arange(len(table)), encoder.budget):
                out[torch.from_numpy(rows).to(encoder.device)] = one(rows).to(out.dtype)
                bar.update(len(rows))
    finally:
        encoder.train(training)
    return out


__all__ = ["TextConfig", "TextEncoder", "InputError", "TextSource"]
