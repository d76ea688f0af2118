"""Nodes: the vectors of items or users, and the cache of the latest ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Nodes(NamedTuple):
    """Vectors of N nodes of a type: (N, D) fused, graph and text, all of length 1 or 0, and (N,) text weight."""

    fused: Tensor
    graph: Tensor
    text: Tensor
    share: Tensor

    def through(self, rows: Tensor, live: Nodes) -> Nodes:
        """The same values; the gradient of some rows flows to live (a straight-through estimate)."""
        pairs = zip(self, live, strict=True)
        return Nodes(
            *(
                old.index_add(0, rows, (new - new.detach()).to(old.dtype))
                for old, new in pairs
            )
        )


@dataclass
class EmbeddingCache:
    """The latest vectors, without gradient: of the distinct texts (U, D), and of a world's items and users."""

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
