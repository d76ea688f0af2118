"""The network of SASRec: causal self-attention over a row of items."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class Attention(nn.Module):
    """(B, L) item rows, the latest last, to (B, L, D) contexts in the space of the items' vectors.

    Args:
        items: How many there are; a row equal to it is padding.
        width: Of the vectors (D).
        blocks: Of attention.
        length: The largest L.
        dropout: Share of inputs and of what each block adds.
    """

    def __init__(
        self, items: int, width: int, blocks: int, length: int, dropout: float
    ) -> None:
        super().__init__()
        self.items = nn.Embedding(items + 1, width, padding_idx=items)
        self.places = nn.Embedding(length, width)  # counted from the end
        for table in (self.items, self.places):
            nn.init.normal_(table.weight, std=width**-0.5)
        self.blocks = nn.ModuleList(_Block(width, dropout) for _ in range(blocks))
        self.dropout, self.norm = nn.Dropout(dropout), nn.LayerNorm(width)

    def forward(self, rows: Tensor) -> Tensor:
        """(B, L, D)."""
        real, size = rows.ne(self.items.num_embeddings - 1), rows.shape[1]
        places = self.places(torch.arange(size - 1, -1, -1, device=rows.device))
        x = self.dropout(self.items(rows) * self.items.embedding_dim**0.5 + places)
        earlier = torch.ones(size, size, dtype=torch.bool, device=rows.device).tril()
        itself = torch.eye(size, dtype=torch.bool, device=rows.device)
        allowed = (
            earlier & real[:, None, :]
        ) | itself  # padding looks at itself: a row of nothing would be NaN
        for block in self.blocks:
            x = block(x, allowed)
        context: Tensor = self.norm(x)
        return context


class _Block(nn.Module):
    """One head of attention and two dense layers, normalised before each, as in the paper."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.share = dropout
        self.dense = nn.Sequential(
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor, allowed: Tensor) -> Tensor:
        """(B, L, D) contexts to the same, where (B, L, L) bool allows."""
        query = self.before(x)
        heard = F.scaled_dot_product_attention(
            self.query(query),
            self.key(x),
            self.value(x),
            allowed,
            self.share if self.training else 0.0,
        )
        x = self.after(query + heard)
        after: Tensor = x + self.dense(x)
        return after
