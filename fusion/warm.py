"""The head learns the counts first: many cheap passes, before the dear ones that train vectors as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from fusion.ask import Asks
from fusion.evidence import Evidence
from fusion.head import EvidenceHead


@dataclass(frozen=True)
class WarmConfig:
    """How the head is trained on counts alone.

    A step of the joint training costs a pass of messages and of BERT, so there are few of them: enough for vectors,
    too few for the head. What it makes of counts does not hang on the vectors and is learnt beforehand; the joint
    training leaves it alone and learns what vectors add.

    Attributes:
        passes: Over the training asks; 0 does without.
        batch: Asks a step.
        lr: Highest rate; it rises over a tenth of the steps and falls along a cosine.
        limit: Most asks a fold, a seeded draw; their counts are kept in memory meanwhile. 0 takes all.
    """

    passes: int = 8
    batch: int = 128
    lr: float = 3e-3
    limit: int = 10_000

    def __post_init__(self) -> None:
        if self.passes < 0 or self.batch < 1 or self.lr <= 0 or self.limit < 0:
            raise ValueError(f"warm: passes and limit must not be negative, batch and lr above 0, not {self}")


def warm_head(
    head: EvidenceHead, folds: Sequence[tuple[Evidence, Asks]], each: int, config: WarmConfig, seed: int,
    weight_decay: float = 0.01, progress: bool = True,
) -> None:  # fmt: skip
    """Fit the head's scales and, in place, what it makes of counts to the folds' asks; that then stays as it is.

    The loss is that of the candidates: softmax over what the counts bring, where the target is among it.

    Args:
        head: The head.
        folds: Each with the counts of a graph from before its asks.
        each: Candidates a counted path brings.
        config: How.
        seed: Of the draw and the order.
        weight_decay: Of matrices.
        progress: Whether to draw a bar.
    """
    rng = np.random.default_rng(seed)
    parts = []
    bar = tqdm(total=len(folds), desc="counting candidates", unit="fold", leave=False, disable=not progress)
    for evidence, asks in folds:
        drawn = rng.permutation(len(asks))
        drawn = drawn[: config.limit] if config.limit else drawn
        parts += [_candidates(evidence, batch, each) for batch in asks.take(drawn).batches(config.batch)]
        bar.update()
    bar.close()
    parts = [part for part in parts if part[1].numel()]
    if not parts:
        return
    head.fit(torch.cat([phi[rows] for phi, rows, _ in parts[:: max(len(parts) // 32, 1)]]))
    steps = config.passes * len(parts)
    if not steps:
        return
    decayed = [p for p in head.net.parameters() if p.ndim > 1]
    plain = [p for p in head.net.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}], lr=config.lr
    )
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.lr, total_steps=steps, pct_start=0.1)
    torch.manual_seed(seed)
    training, tuned = head.training, decayed[0].requires_grad
    head.train()
    head.net.requires_grad_(True)
    bar = tqdm(total=steps, desc="head on counts", unit="step", leave=False, disable=not progress)
    for _ in range(config.passes):
        for number in rng.permutation(len(parts)):
            phi, real, right = parts[number]
            score = head.of_counts(phi).masked_fill(~real, -torch.inf)
            loss = -torch.where(right, score.log_softmax(1), 0).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            rates.step()
            bar.update()
    bar.close()
    head.train(training)
    head.net.requires_grad_(tuned)


def _candidates(evidence: Evidence, asks: Asks, each: int) -> tuple[Tensor, Tensor, Tensor]:
    """(B, C, F) counts, (B, C) which are candidates, (B, C) which are right; of the asks whose target is there."""
    rows, phi = evidence(asks, each)
    right = rows == torch.as_tensor(asks.targets.rows, device=rows.device)[:, None]
    found = right.any(1)
    return phi[found], (rows >= 0)[found], right[found]
