"""m(phi): a small network over the metapath counts and the vectors' own scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FeatureHead(nn.Module):
    """m = net(x) + mix(x, similarities): what the features say, and what vectors make of it.

    Every count enters twice: as a standardised logarithm, and as its quantile among the
    positive values seen in training (0 where the count is 0), so that one scale of weights
    fits all of them. mix starts at 0, so that vectors begin as a correction to what `net` has
    learnt of the counts before them (fusion.training.stages).

    Shapes: phi (B, C, F) >= 0; similarities (B, C, S); out (B, C).

    Args:
        counts: F.
        similarities: S.
        hidden: Units a layer.
        dropout: In training.
    """

    QUANTILES = 32

    def __init__(
        self, counts: int, similarities: int, hidden: int = 64, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.bounds: Tensor
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("bounds", torch.zeros(counts, self.QUANTILES - 1))
        self.register_buffer("mean", torch.zeros(counts))
        self.register_buffer("scale", torch.ones(counts))
        self.net = _layers(2 * counts, hidden, dropout)
        self.mix = _layers(2 * counts + similarities, hidden, dropout)
        last = self.mix[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

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

    def forward(
        self, phi: Tensor, similarities: Tensor, share: Tensor | float = 1.0
    ) -> Tensor:
        """Both together, with a share (B, 1) of mix."""
        inputs = self.inputs(phi)
        out: Tensor = self.net(inputs).squeeze(2) + share * self.mix(
            torch.cat([inputs, similarities], 2)
        ).squeeze(2)
        return out

    def of_counts(self, phi: Tensor) -> Tensor:
        """What the counts alone say."""
        out: Tensor = self.net(self.inputs(phi)).squeeze(2)
        return out

    def inputs(self, phi: Tensor) -> Tensor:
        """(B, C, 2F) standardised logarithms, then quantiles."""
        flat = phi.flatten(0, 1).T.contiguous()
        quantile = (
            (torch.searchsorted(self.bounds, flat) + 1) * (flat > 0) / self.QUANTILES
        )
        logs = (phi.log1p() - self.mean) / self.scale
        return torch.cat([logs, quantile.T.reshape(phi.shape).to(logs.dtype)], 2)


def _layers(inputs: int, hidden: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, hidden),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, 1),
    )
