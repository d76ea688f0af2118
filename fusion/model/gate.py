"""The gate: how much of a node's vector comes from the graph and how much from its words."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Gate(nn.Module):
    """Gated fusion of two vectors, with the degree as a third input.

        g = sigmoid(W [h_graph ; h_text ; log(1 + degree)] + b)
        z = normalise(g * h_graph + (1 - g) * h_text)

    Shapes: h_graph, h_text (N, D); degree, words (N,); z (N, D) of length 1; share (N,), the
    mean of 1 - g.

    A node without words takes the graph alone. In training either side is dropped now and
    then, so that each has learned to stand alone: an item without edges, or a node without
    words, still gets a good vector.

    After Arevalo et al. 2017, "Gated Multimodal Units for Information Fusion".

    Args:
        width: D.
        drop: Chance, per node and side, that a side is dropped in training.
    """

    def __init__(self, width: int, drop: float = 0.1) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * width + 1, width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.drop = drop

    def forward(
        self, graph: Tensor, text: Tensor, degree: Tensor, words: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Fuse; words says which nodes have any."""
        graph, text = (
            nn.functional.normalize(graph, dim=1),
            nn.functional.normalize(text, dim=1),
        )
        gate = torch.sigmoid(
            self.linear(torch.cat([graph, text, degree.log1p()[:, None]], 1))
        )
        if self.training and self.drop > 0:
            chance = torch.rand(len(gate), 1, device=gate.device)
            gate = gate.masked_fill(chance < self.drop, 1.0).masked_fill(
                chance > 1 - self.drop, 0.0
            )
        gate = gate.masked_fill(~words[:, None], 1.0)
        fused = nn.functional.normalize(gate * graph + (1 - gate) * text, dim=1)
        return fused, 1 - gate.mean(1)


class Concatenation(nn.Module):
    """The plain alternative: z = normalise(W [h_graph ; h_text]).

    The text weight is by the halves' norms.
    """

    def __init__(self, width: int, drop: float = 0.1) -> None:
        super().__init__()
        self.graph, self.text = (
            nn.Linear(width, width),
            nn.Linear(width, width, bias=False),
        )
        self.drop = drop

    def forward(
        self, graph: Tensor, text: Tensor, degree: Tensor, words: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As Gate."""
        left = self.graph(nn.functional.normalize(graph, dim=1))
        right = self.text(nn.functional.normalize(text, dim=1)) * words[:, None]
        if self.training and self.drop > 0:
            chance = torch.rand(len(left), 1, device=left.device)
            right = right.masked_fill(chance < self.drop, 0.0)
            left = left.masked_fill((chance > 1 - self.drop) & words[:, None], 0.0)
        share = right.norm(dim=1) / (left.norm(dim=1) + right.norm(dim=1)).clamp(
            min=1e-9
        )
        return nn.functional.normalize(left + right, dim=1), share


class Sum(Gate):
    """The plainest: z = normalise(h_graph + h_text), a gate that stays half open."""

    def __init__(self, width: int, drop: float = 0.1) -> None:
        super().__init__(width, drop)
        self.linear.requires_grad_(False)


FUSIONS: dict[str, type[Gate] | type[Concatenation]] = {
    "gate": Gate,
    "concatenation": Concatenation,
    "sum": Sum,
}
