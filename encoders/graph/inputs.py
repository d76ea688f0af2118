"""What a node brings to the GNN: its text, a learned vector of its own, and its type's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


class NodeInputs(nn.Module):
    """What a node brings to the GNN: its text, its own learned vector, and its type's.

    Args:
        embedding_dim: D.
        node_types: The node types.
        learned: By type, how many nodes have a vector of their own: those that are known in
            training.
    """

    def __init__(
        self, embedding_dim: int, node_types: Sequence[str], learned: Mapping[str, int]
    ) -> None:
        super().__init__()
        self.node_types = tuple(node_types)
        self.kinds = nn.Embedding(len(node_types), embedding_dim)
        self.nodes = nn.ModuleDict(
            {
                f"of {t}": nn.Embedding(count, embedding_dim)
                for t, count in learned.items()
                if count
            }
        )
        for weight in self.parameters():
            nn.init.normal_(weight, std=0.02)

    def forward(
        self,
        node_type: str,
        rows: Tensor,
        text: Tensor | None = None,
        has_text: Tensor | None = None,
        keep: Tensor | None = None,
    ) -> Tensor:
        """(n,) rows of a type and their (n, D) texts to (n, D).

        has_text (n,) says which rows have a text; all where None.

        A row that was not known in training has no vector of its own, nor has one that keep
        (n,) leaves out.
        """
        vectors = self.kinds.weight[self.node_types.index(node_type)].expand(
            len(rows), -1
        )
        if f"of {node_type}" in self.nodes:
            own = self.nodes.get_parameter(f"of {node_type}.weight")
            known = rows < len(own)
            known = known if keep is None else known & keep
            vectors = (
                vectors
                + nn.functional.embedding(rows.where(known, 0), own) * known[:, None]
            )
        if text is not None:
            vectors = vectors + (
                text if has_text is None else torch.where(has_text[:, None], text, 0.0)
            )
        return vectors
