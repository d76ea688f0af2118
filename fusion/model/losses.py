"""Losses: softmax over the candidates of a query, and over the catalogue."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fusion.model.scores import Scores


class Losses(NamedTuple):
    """Means over the B queries of a batch.

    Attributes:
        candidates: -log softmax of the target's score among the candidates. A query whose
            target retrieval missed
            counts 0: adding the target by hand would teach that no features mean yes.
        catalogue: -log softmax of the target's vector score among all items that can be an answer.
        retrieved: Share of the queries whose target is a candidate.
    """

    candidates: Tensor
    catalogue: Tensor
    retrieved: Tensor

    def total(self, catalogue_weight: float) -> Tensor:
        """What is minimised."""
        return self.candidates + catalogue_weight * self.catalogue


def losses(scores: Scores, targets: Tensor, vectors: bool) -> Losses:
    """Both losses, the catalogue's 0 without vectors; targets (B,) item rows, one a query."""
    found = scores.rows == targets[:, None]
    hit = found.any(1)
    log_share = scores.score.log_softmax(1)
    candidates = -torch.where(found, log_share, 0).sum(1).mean()
    catalogue = (
        torch.nn.functional.cross_entropy(scores.vector, targets)
        if vectors
        else torch.zeros_like(candidates)
    )
    return Losses(candidates, catalogue, hit.float().mean())
