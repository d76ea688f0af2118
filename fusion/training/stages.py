"""The head's own lessons: many cheap passes, before and after the dear ones that train vectors as well."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from fusion.model.features import MetapathFeatures
from fusion.model.head import FeatureHead
from fusion.model.hybrid import Hybrid
from fusion.model.inputs import encode_words
from fusion.model.nodes import EmbeddingCache
from fusion.model.snapshot import GraphSnapshot
from fusion.query_batch import QueryBatch, join
from kg.errors import InputError
from kg.progress import tqdm

_Scorer = TypeVar("_Scorer")


@dataclass(frozen=True)
class HeadConfig:
    """Passes in which the head alone is trained.

    A step of the joint training costs a pass of messages and of BERT, so there are few of
    them: enough for vectors, too few for the head. Passes over asks whose candidates are kept
    in memory cost next to nothing.

    Attributes:
        epochs: Over the training queries; 0 does without.
        batch: Queries a step.
        lr: Highest rate; it rises over a tenth of the steps and falls along a cosine.
        limit: Most queries a fold, a seeded draw; their candidates are kept in memory meanwhile.
            0 takes all.
        negatives: Wrong candidates kept a query, a seeded draw; 0 keeps all.
    """

    epochs: int = 8
    batch: int = 128
    lr: float = 3e-3
    limit: int = 10_000
    negatives: int = 100

    def __post_init__(self) -> None:
        if (
            min(self.epochs, self.limit, self.negatives) < 0
            or self.batch < 1
            or not 0 < self.lr < np.inf
        ):
            raise InputError(
                f"head: epochs, limit and negatives must be at least 0, batch and lr above 0, not {self}"
            )


class _Part(NamedTuple):
    """A batch whose targets are among the candidates.

    Attributes:
        real: (B, C) which are candidates.
        right: (B, C) which are right.
        tensors: What the score needs, (B, C, ...) each.
    """

    real: Tensor
    right: Tensor
    tensors: tuple[Tensor, ...]

    @classmethod
    def of(
        cls, queries: QueryBatch, rows: Tensor, wrong: int, *tensors: Tensor
    ) -> _Part:
        """Of B queries' candidates, those whose target is there, with so many wrong candidates; rows (B, C)."""
        right = (
            rows == torch.as_tensor(queries.targets.rows, device=rows.device)[:, None]
        )
        found = right.any(1)
        whole = cls(
            (rows >= 0)[found], right[found], tuple(part[found] for part in tensors)
        )
        if not wrong or wrong + 1 >= rows.shape[1]:
            return whole
        draw = (
            torch.rand(whole.real.shape, device=rows.device)
            .masked_fill(~whole.real, -1)
            .masked_fill(whole.right, 2)
        )
        few = draw.topk(wrong + 1).indices

        def kept(part: Tensor) -> Tensor:
            return part.gather(
                1,
                few if part.ndim == 2 else few[..., None].expand(-1, -1, part.shape[2]),
            )

        return cls(kept(whole.real), kept(whole.right), tuple(map(kept, whole.tensors)))


def pretrain_head(
    head: FeatureHead,
    folds: Sequence[tuple[MetapathFeatures, QueryBatch]],
    each: int,
    config: HeadConfig,
    seed: int,
    weight_decay: float = 0.01,
    progress: bool = True,
) -> None:
    """Fit the head's scales and, in place, what it makes of counts to the folds' asks; that then stays as it is.

    The loss is that of the candidates: softmax over what the counts bring, where the target is
    among it.

    Args:
        head: The head.
        folds: Each with the counts of a graph from before its queries.
        each: Candidates a metapath count brings.
        config: How.
        seed: Of the draws and the order.
        weight_decay: Of matrices.
        progress: Whether to draw a bar.
    """
    torch.manual_seed(seed)
    parts = []
    for features, batch in _drawn(folds, config, seed, "counting candidates", progress):
        rows, phi = features(batch, each)
        parts.append(_Part.of(batch, rows, config.negatives, phi))
    parts = [part for part in parts if len(part.real)]
    if not parts:
        return
    head.fit(
        torch.cat(
            [part.tensors[0][part.real] for part in parts[:: max(len(parts) // 32, 1)]]
        )
    )
    parts = [part._replace(tensors=(head.inputs(part.tensors[0]),)) for part in parts]
    _learn(
        [*head.net.parameters()],
        head,
        parts,
        lambda part: head.net(*part.tensors).squeeze(2),
        config,
        seed,
        weight_decay,
        progress,
    )


def finetune_head(
    model: Hybrid,
    folds: Sequence[tuple[GraphSnapshot, EmbeddingCache, QueryBatch]],
    config: HeadConfig,
    seed: int,
    weight_decay: float = 0.01,
    progress: bool = True,
) -> None:
    """Fit, in place, what the head makes of similarities once the vectors are done.

    The loss is the same, over what counts and vectors bring.

    Args:
        model: With its vectors trained and its head warmed.
        folds: Each a world from before its queries, and its vectors.
        config: How.
        seed: Of the draws and the order.
        weight_decay: Of matrices.
        progress: Whether to draw a bar.
    """
    head = model.head
    assert head is not None
    torch.manual_seed(seed)
    parts, training = [], model.training
    model.eval()
    with torch.no_grad():
        every = join(
            [queries for _, _, queries in folds]
        )  # all at once: many ask by the same words
        words = dict(
            zip(
                every.texts, encode_words(model, every, folds[0][0].device), strict=True
            )
        )
        pairs = [
            ((snapshot, embeddings), queries) for snapshot, embeddings, queries in folds
        ]
        for (snapshot, embeddings), batch in _drawn(
            pairs, config, seed, "finding candidates", progress
        ):
            spoken = torch.stack([words[text] for text in batch.texts])
            found = model.candidates(
                snapshot, batch, embeddings.items, embeddings.users, spoken
            )
            part = _Part.of(
                batch, found.rows, config.negatives, found.phi, found.similarities
            )
            if len(part.real):
                inputs, similarities = head.inputs(part.tensors[0]), part.tensors[1]
                tensors = (
                    head.net(inputs).squeeze(2),
                    similarities[..., 0],
                    torch.cat([inputs, similarities], 2),
                )
                parts.append(part._replace(tensors=tensors))
    model.train(training)

    def score_of(part: _Part) -> Tensor:
        counted, fused, every = part.tensors
        out: Tensor = counted + model.weight * fused + head.mix(every).squeeze(2)
        return out

    _learn(
        [*head.mix.parameters(), model.log_weight],
        head,
        parts,
        score_of,
        config,
        seed,
        weight_decay,
        progress,
    )


def _drawn(
    folds: Sequence[tuple[_Scorer, QueryBatch]],
    config: HeadConfig,
    seed: int,
    what: str,
    progress: bool,
) -> Iterator[tuple[_Scorer, QueryBatch]]:
    """Each fold's drawn queries in batches, beside what scores them."""
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(len(queries)) for _, queries in folds]
    drawn = [rows[: config.limit] if config.limit else rows for rows in drawn]
    with tqdm(
        total=sum(map(len, drawn)),
        desc=what,
        unit="ask",
        leave=False,
        disable=not progress,
    ) as bar:
        for (scorer, queries), rows in zip(folds, drawn, strict=True):
            for batch in queries.take(rows).batches(config.batch):
                yield scorer, batch
                bar.update(len(batch))


def _learn(
    parameters: list[nn.Parameter],
    head: FeatureHead,
    parts: list[_Part],
    score: Callable[[_Part], Tensor],
    config: HeadConfig,
    seed: int,
    weight_decay: float,
    progress: bool,
) -> None:
    steps = config.epochs * len(parts)
    if not steps:
        return
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=config.lr)
    rates = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.lr, total_steps=steps, pct_start=0.1
    )
    training, tuned = head.training, [p.requires_grad for p in parameters]
    head.train()
    for parameter in parameters:
        parameter.requires_grad_(True)
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    with tqdm(
        total=steps,
        desc="training the head",
        unit="step",
        leave=False,
        disable=not progress,
    ) as bar:
        for _ in range(config.epochs):
            for number in rng.permutation(len(parts)):
                part = parts[number]
                shares = score(part).masked_fill(~part.real, -torch.inf).log_softmax(1)
                loss = -torch.where(part.right, shares, 0).sum(1).mean()
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                rates.step()
                bar.update()
    head.train(training)
    for parameter, was in zip(parameters, tuned, strict=True):
        parameter.requires_grad_(was)
