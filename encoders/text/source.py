"""Vectors of a fixed set of texts, with what never changes under tuning computed once."""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor

from encoders.text.encoder import TextEncoder, encode_batches
from encoders.text.tokens import TokenTable
from encoders.text.tuning import splits
from kg.tables import IntArray

log = logging.getLogger(__name__)


class TextSource:
    """The vectors of a table's texts, as cheaply as the tuning allows.

    What lies under the tuned layers never changes, so it is computed once, on first use, and
    kept where it fits `cache_mb`: every token's state for "top:N", every text's pooled vector
    for "frozen". Results are the encoder's.

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
            and (frozen or (encoder.below > 0 and splits(encoder.model)))
        )
        self._kept: Tensor | None = None

    def share(self, other: TextSource) -> None:
        """Keep what another keeps of the same texts, by an encoder of the same config."""
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
            return torch.zeros(
                0, self.encoder.embedding_dim, device=self.encoder.device
            )
        self._keep()
        place = np.argsort(np.concatenate(parts))
        return torch.cat([self._encode(p) for p in parts])[
            torch.from_numpy(place[back]).to(self.encoder.device)
        ]

    def encode_all(self, progress: bool = False) -> Tensor:
        """(U, D) vectors of all distinct texts; no gradient."""
        self._keep(progress)
        return encode_batches(
            self.encoder, self.table, self._encode, self.encoder.embedding_dim, progress
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
        """Compute what is frozen once, where it is to be kept."""
        encoder = self.encoder
        if self._kept is not None:
            self._kept = self._kept.to(encoder.device)
        if not self.cached or self._kept is not None:
            return
        if encoder.config.tune == "frozen":
            self._kept = encoder.encode_table(self.table, progress, project=False)
            return
        states = self._lower_states(progress)
        few = np.arange(min(8, len(self.table)))
        with torch.no_grad():
            whole = self._encode(few)
            self._kept = states
            split = self._encode(few)
        if not torch.allclose(split, whole, atol=1e-3):
            log.warning(
                "%s cannot be split between layers; texts are encoded whole",
                type(encoder.model).__name__,
            )
            self.cached, self._kept = False, None

    def _lower_states(self, progress: bool) -> Tensor:
        """(all tokens, H) states that leave the frozen layers; no gradient."""
        encoder, table = self.encoder, self.table
        device = encoder.device
        states = torch.empty(len(table.ids), encoder.hidden, device=device)

        def fill(rows: IntArray) -> Tensor:
            ids, mask = (part.to(device) for part in table.batch(rows))
            places, real = (
                torch.from_numpy(part).to(device) for part in table.places(rows)
            )
            states[places[real]] = encoder.lower(ids, mask)[real].float()
            return torch.zeros(len(rows), 0, device=device)

        encode_batches(encoder, table, fill, 0, progress)
        return states
