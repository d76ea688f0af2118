"""Fits the head alone: many cheap passes, before and after the dear ones that train vectors too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from fusion.training.config import HeadConfig
from kg.progress import tqdm

_SCALE_BATCHES = 32  # batches that the head's scales are fitted to, about
_WARMUP = 0.1  # share of the steps over which the rate rises

_Scorer = TypeVar("_Scorer")


class HeadBatch(NamedTuple):
    """A batch of queries whose target is among the candidates.

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
        cls, queries: QueryBatch, rows: Tensor, negatives: int, *tensors: Tensor
    ) -> HeadBatch:
        """The queries whose target is among their candidates, with so many wrong ones each.

        Args:
            queries: With one target each.
            rows: (B, C) candidate rows, -1 where there are fewer.
            negatives: Wrong candidates that are kept, a draw; 0 keeps all.
            tensors: (B, C, ...) each, of the same candidates.
        """
        targets = torch.as_tensor(queries.targets.rows, device=rows.device)
        right = rows == targets[:, None]
        has_target = right.any(1)
        whole = cls(
            (rows >= 0)[has_target],
            right[has_target],
            tuple(tensor[has_target] for tensor in tensors),
        )
        if not negatives or negatives + 1 >= rows.shape[1]:
            return whole
        return whole._drawn(negatives)

    def _drawn(self, negatives: int) -> HeadBatch:
        chance = torch.rand(self.real.shape, device=self.real.device)
        chance = chance.masked_fill(~self.real, -1).masked_fill(self.right, 2)
        columns = chance.topk(negatives + 1).indices

        def chosen(tensor: Tensor) -> Tensor:
            if tensor.ndim == 2:
                return tensor.gather(1, columns)
            wide = columns[..., None].expand(-1, -1, tensor.shape[2])
            return tensor.gather(1, wide)

        tensors = tuple(chosen(tensor) for tensor in self.tensors)
        return HeadBatch(chosen(self.real), chosen(self.right), tensors)


def pretrain_head(
    head: FeatureHead,
    folds: Sequence[tuple[MetapathFeatures, QueryBatch]],
    candidates_per_path: int,
    config: HeadConfig,
    epochs: int,
    seed: int,
    weight_decay: float = 0.01,
    progress: bool = True,
) -> None:
    """Fit, in place, the head's scales and what it makes of the metapath features.

    The loss is that of the candidates: softmax over what the counts bring, where the target is
    among it.

    Args:
        head: The head.
        folds: Each with the counts of a graph from before its queries.
        candidates_per_path: Candidates a metapath count brings.
        config: How.
        epochs: Passes over the queries; 0 fits the scales alone.
        seed: Of the draws and the order.
        weight_decay: Of matrices.
        progress: Whether to draw a bar.
    """
    torch.manual_seed(seed)
    batches = []
    for features, queries in _drawn(
        folds, config, seed, "counting candidates", progress
    ):
        rows, x = features(queries, candidates_per_path)
        batches.append(HeadBatch.of(queries, rows, config.negatives, x))
    batches = [batch for batch in batches if len(batch.real)]
    if not batches:
        return
    some = batches[:: max(len(batches) // _SCALE_BATCHES, 1)]
    head.fit(torch.cat([batch.tensors[0][batch.real] for batch in some]))
    scaled = [
        batch._replace(tensors=(head.inputs(batch.tensors[0]),)) for batch in batches
    ]

    def score(batch: HeadBatch) -> Tensor:
        out: Tensor = head.net(*batch.tensors).squeeze(2)
        return out

    parameters = [*head.net.parameters()]
    _fit(
        parameters, head, scaled, score, config.lr, epochs, seed, weight_decay, progress
    )


def finetune_head(
    model: Hybrid,
    folds: Sequence[tuple[GraphSnapshot, EmbeddingCache, QueryBatch]],
    config: HeadConfig,
    epochs: int,
    seed: int,
    weight_decay: float = 0.01,
    progress: bool = True,
) -> None:
    """Fit, in place, what the head makes of similarities once the vectors are done.

    The loss is the same, over what counts and vectors bring.

    Args:
        model: With its vectors trained and its head pretrained.
        folds: Each a graph from before its queries, and its vectors.
        config: How.
        epochs: Passes over the queries; 0 fits the scales alone.
        seed: Of the draws and the order.
        weight_decay: Of matrices.
        progress: Whether to draw a bar.
    """
    head = model.head
    assert head is not None
    torch.manual_seed(seed)
    training = model.training
    model.eval()
    with torch.no_grad():
        batches = [*_finetune_batches(model, head, folds, config, seed, progress)]
    model.train(training)

    def score(batch: HeadBatch) -> Tensor:
        of_counts, fused, inputs = batch.tensors
        out: Tensor = of_counts + model.weight * fused + head.mix(inputs).squeeze(2)
        return out

    parameters = [*head.mix.parameters(), model.log_weight]
    _fit(
        parameters,
        head,
        batches,
        score,
        config.lr,
        epochs,
        seed,
        weight_decay,
        progress,
    )


def _finetune_batches(
    model: Hybrid,
    head: FeatureHead,
    folds: Sequence[tuple[GraphSnapshot, EmbeddingCache, QueryBatch]],
    config: HeadConfig,
    seed: int,
    progress: bool,
) -> Iterator[HeadBatch]:
    """Batches of what the counts say, the fused similarity, and the inputs of `mix`."""
    # All texts at once: many queries have the same.
    every = join([queries for _, _, queries in folds])
    vectors = encode_words(model, every, folds[0][0].device)
    words = dict(zip(every.texts, vectors, strict=True))
    pairs = [((snapshot, cache), queries) for snapshot, cache, queries in folds]
    for (snapshot, cache), queries in _drawn(
        pairs, config, seed, "finding candidates", progress
    ):
        of_texts = torch.stack([words[text] for text in queries.texts])
        found = model.candidates(snapshot, queries, cache.items, cache.users, of_texts)
        batch = HeadBatch.of(
            queries, found.rows, config.negatives, found.phi, found.similarities
        )
        if len(batch.real):
            x, similarities = batch.tensors
            inputs = head.inputs(x)
            tensors = (
                head.net(inputs).squeeze(2),
                similarities[..., 0],
                torch.cat([inputs, similarities], 2),
            )
            yield batch._replace(tensors=tensors)


def _drawn(
    folds: Sequence[tuple[_Scorer, QueryBatch]],
    config: HeadConfig,
    seed: int,
    description: str,
    progress: bool,
) -> Iterator[tuple[_Scorer, QueryBatch]]:
    """Each fold's drawn queries in batches, beside what scores them."""
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(len(queries)) for _, queries in folds]
    if config.limit:
        drawn = [rows[: config.limit] for rows in drawn]
    with tqdm(
        total=sum(map(len, drawn)),
        desc=description,
        unit="query",
        leave=False,
        disable=not progress,
    ) as bar:
        for (scorer, queries), rows in zip(folds, drawn, strict=True):
            for batch in queries.take(rows).batches(config.batch):
                yield scorer, batch
                bar.update(len(batch))


def _fit(
    parameters: list[nn.Parameter],
    head: FeatureHead,
    batches: list[HeadBatch],
    score: Callable[[HeadBatch], Tensor],
    lr: float,
    epochs: int,
    seed: int,
    weight_decay: float,
    progress: bool,
) -> None:
    """Train some parameters by AdamW on the softmax over the candidates."""
    steps = epochs * len(batches)
    if not steps:
        return
    matrices = [p for p in parameters if p.ndim > 1]
    others = [p for p in parameters if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=lr)
    rates = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=steps, pct_start=_WARMUP
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
        for _ in range(epochs):
            for number in rng.permutation(len(batches)):
                optimizer.zero_grad()
                _loss(batches[number], score).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                rates.step()
                bar.update()
    head.train(training)
    for parameter, was in zip(parameters, tuned, strict=True):
        parameter.requires_grad_(was)


def _loss(batch: HeadBatch, score: Callable[[HeadBatch], Tensor]) -> Tensor:
    scores = score(batch).masked_fill(~batch.real, -torch.inf)
    shares = scores.log_softmax(1)
    return -torch.where(batch.right, shares, 0).sum(1).mean()
