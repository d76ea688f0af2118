"""m(phi): a small network over the counted paths and the vectors' own scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class EvidenceHead(nn.Module):
    """Scores (ask, candidate) pairs from F counts and S similarities.

    Every count enters twice: as a standardised logarithm, and as its quantile among the positive values seen in
    training (0 where the count is 0), so that one scale of weights fits all of them.

    Shapes: phi (B, C, F) >= 0; similarities (B, C, S); out (B, C).

    Args:
        counts: F.
        similarities: S.
        hidden: Units a layer.
        dropout: In training.
    """

    QUANTILES = 32

    def __init__(self, counts: int, similarities: int, hidden: int = 64, dropout: float = 0.0) -> None:
        super().__init__()
        self.similarities = similarities
        self.bounds: Tensor
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("bounds", torch.zeros(counts, self.QUANTILES - 1))
        self.register_buffer("mean", torch.zeros(counts))
        self.register_buffer("scale", torch.ones(counts))
        first = nn.Linear(2 * counts + similarities, hidden)
        self.net = nn.Sequential(
            first,
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, 1),
        )
        # The similarities come in from nothing, so that vectors start as a correction to what the counts say.
        with torch.no_grad():
            first.weight[:, 2 * counts :] = 0

    @torch.no_grad()
    def fit(self, phi: Tensor) -> None:
        """Set the scales from (N, F) training values."""
        logs = phi.log1p()
        self.mean.copy_(logs.mean(0))
        self.scale.copy_(logs.std(0, correction=0).clamp(min=1e-3))
        steps = torch.linspace(0, 1, self.QUANTILES + 1, device=phi.device)[1:-1]
        for column in range(phi.shape[1]):
            positive = phi[:, column][phi[:, column] > 0][:1_000_000]
            if len(positive):
                self.bounds[column] = torch.quantile(positive, steps)

    def forward(self, phi: Tensor, similarities: Tensor) -> Tensor:
        """Score."""
        flat = phi.flatten(0, 1).T.contiguous()
        quantile = (torch.searchsorted(self.bounds, flat) + 1) * (flat > 0) / self.QUANTILES
        logs = (phi.log1p() - self.mean) / self.scale
        inputs = torch.cat([logs, quantile.T.reshape(phi.shape).to(logs.dtype), similarities], 2)
        out: Tensor = self.net(inputs).squeeze(2)
        return out
