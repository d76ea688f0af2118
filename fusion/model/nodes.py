"""Nodes: the vectors of items or users, and the cache of the latest ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Nodes(NamedTuple):
    """Vectors of N nodes of a type.

    Attributes:
        fused: (N, D) of length 1 or 0, like the next two.
        graph: (N, D)
        text: (N, D)
        share: (N,) the text weight, 0..1.
    """

    fused: Tensor
    graph: Tensor
    text: Tensor
    share: Tensor

    def through(self, rows: Tensor, live: Nodes) -> Nodes:
        """The same values; the gradient of some rows flows to `live` (straight-through)."""
        pairs = zip(self, live, strict=True)
        return Nodes(
            *(
                old.index_add(0, rows, (new - new.detach()).to(old.dtype))
                for old, new in pairs
            )
        )


@dataclass
class EmbeddingCache:
    """The latest vectors, without gradient.

    Attributes:
        text: (U, D) of the distinct texts.
        items: Of a snapshot's items.
        users: Of its users.
    """

    text: Tensor
    items: Nodes
    users: Nodes

    def to(self, device: torch.device | str) -> EmbeddingCache:
        """The same on a device."""
        sides = (
            Nodes(*(part.to(device) for part in side))
            for side in (self.items, self.users)
        )
        return EmbeddingCache(self.text.to(device), *sides)
