"""The context: whatever a query has (user, items, words) as one vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn

USER, ITEM, WORDS = range(3)


class ContextEncoder(nn.Module):
    """Attention pooling over a set of typed vectors.

        t_j = z_j + type_j;  a = softmax_j(u . tanh(W t_j + b));  c = normalise(sum_j a_j (z_j
        + V t_j))

    The order of the items does not matter. V and the types start at 0, so the first answer is
    the mean of what a query has: the untuned encoders' similarities hold from the first step.

    Shapes: vectors (M, D), kinds (M,), owners (M,) in 0..B-1; out (B, D), 0 for a query of
    nothing.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.kinds = nn.Embedding(3, width)
        self.key = nn.Linear(width, width)
        self.query = nn.Parameter(torch.zeros(width))
        self.kind_weight = nn.Parameter(torch.zeros(3))
        self.value = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.kinds.weight)
        nn.init.zeros_(self.value.weight)

    def forward(
        self, vectors: Tensor, kinds: Tensor, owners: Tensor, size: int
    ) -> Tensor:
        """Pool."""
        logit, value = self.parts(vectors, kinds)
        lowest = torch.full(
            (size,), -torch.inf, device=vectors.device, dtype=logit.dtype
        )
        weight = (
            logit - lowest.scatter_reduce(0, owners, logit.detach(), "amax")[owners]
        ).exp()
        total = torch.zeros(size, device=vectors.device, dtype=weight.dtype).index_add(
            0, owners, weight
        )
        share = (weight / total[owners])[:, None]
        message = share * value
        pooled = torch.zeros(
            size, vectors.shape[1], device=vectors.device, dtype=message.dtype
        )
        return nn.functional.normalize(pooled.index_add(0, owners, message), dim=1)

    def parts(self, vectors: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor]:
        """(M,) the logit of a, and (M, D) z + V t; neither depends on the other vectors."""
        typed = vectors + self.kinds(kinds)
        logit = torch.tanh(self.key(typed)) @ self.query + self.kind_weight[kinds]
        return logit, vectors + self.value(typed)
