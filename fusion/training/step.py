"""One training step: what is encoded with gradient, and what comes from the embedding cache."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather

from encoders.text.source import TextSource
from fusion.model.hybrid import Hybrid
from fusion.model.inputs import encode_words, live_rows
from fusion.model.losses import Losses, losses
from fusion.model.nodes import EmbeddingCache, Nodes
from fusion.model.snapshot import GraphSnapshot
from fusion.query_batch import QueryBatch


class TrainingStep(nn.Module):
    """Queries to losses, with gradient to every part, at a price that can be paid.

    The vectors of all texts are cached. In a step the texts of the queries' targets, users and
    some of their items, and of a sample of other nodes, are encoded anew by BERT within a
    budget, with gradient; the rest are the embedding cache's.

    What the GNN and the gate make of them is computed for the whole graph (`whole`), or for
    sampled neighbourhoods of the nodes in the queries. Then the other items' vectors are the
    cache's, and so is the value, but not the gradient, of those in the queries: were targets
    fresh and other candidates stale, a model would learn to tell the two apart.

    Args:
        model: The model.
        whole: Whether to pass messages over the whole graph.
        text_budget: Most texts encoded with gradient a step; 0 none, -1 all that occur.
        context_texts: Most context items encoded with gradient a query; -1 all.
    """

    def __init__(
        self, model: Hybrid, whole: bool, text_budget: int, context_texts: int
    ) -> None:
        super().__init__()
        self.model, self.whole = model, whole
        self.text_budget, self.context_texts = text_budget, context_texts

    def forward(
        self,
        snapshot: GraphSnapshot,
        queries: QueryBatch,
        embeddings: EmbeddingCache,
        source: TextSource | None,
        generator: torch.Generator,
        text_only: bool,
    ) -> Losses:
        """Losses of B queries; the embedding cache's texts are brought up to date in passing.

        Args:
            snapshot: The graph before the queries.
            queries: With one target each.
            embeddings: The latest vectors of that graph.
            source: The texts, None where words are not used.
            generator: For sampling neighbours and texts.
            text_only: Train the text tower alone (the first of the two steps).
        """
        model, config = self.model, self.model.config
        items, users = embeddings.items, embeddings.users
        if config.vectors:
            alone = text_only or model.gnn is None
            # Without messages all nodes' vectors cost next to nothing, and the embedding
            # cache's are those of the whole model.
            every = self.whole or alone
            asked = live_rows(snapshot, queries, generator, self.context_texts)
            seeds = snapshot.all_rows if every else asked
            rows, edges = snapshot.all_rows if self.whole else asked, snapshot.edges
            if not every:
                sub = snapshot.sampler.sample(seeds, _on(snapshot.device, generator))
                rows, edges = sub.rows, sub.edges
            texts = self._texts(snapshot, asked, rows, embeddings, source, generator)
            graph = {} if alone else model.message(snapshot, rows, edges, texts)
            fresh = {}
            for kind in (snapshot.item, snapshot.user):
                if kind in seeds:
                    own = graph[kind][: len(seeds[kind])] if graph else None
                    fresh[kind] = model.nodes(snapshot, kind, seeds[kind], own, texts)
            if every:
                items, users = (
                    fresh[snapshot.item],
                    fresh.get(snapshot.user or "", users),
                )
            else:
                items = items.through(
                    *_gathered(seeds[snapshot.item], fresh[snapshot.item])
                )
                if snapshot.user in fresh:
                    users = users.through(
                        *_gathered(seeds[snapshot.user], fresh[snapshot.user])
                    )
        scores = model.score(
            snapshot, queries, items, users, self._words(queries, snapshot.device)
        )
        targets = torch.as_tensor(queries.targets.rows, device=snapshot.device)
        return losses(scores, targets, config.vectors)

    def _texts(
        self,
        snapshot: GraphSnapshot,
        seeds: dict[str, Tensor],
        rows: dict[str, Tensor],
        embeddings: EmbeddingCache,
        source: TextSource | None,
        generator: torch.Generator,
    ) -> Tensor | None:
        """(U, D) all texts' vectors, some of them with gradient."""
        if source is None:
            return None
        own = torch.unique(
            torch.cat(
                [snapshot.distinct[kind][chosen] for kind, chosen in seeds.items()]
            )
        )
        near = torch.unique(
            torch.cat(
                [snapshot.distinct[kind][chosen] for kind, chosen in rows.items()]
            )
        )
        near = near[~torch.isin(near, own)]
        own, near = own[own >= 0].cpu(), near[near >= 0].cpu()
        if self.text_budget >= 0:
            own = own[torch.randperm(len(own), generator=generator)[: self.text_budget]]
            near = near[
                torch.randperm(len(near), generator=generator)[
                    : self.text_budget - len(own)
                ]
            ]
        live = torch.cat([own, near]).to(snapshot.device)
        # Without a text of its own a process still takes part in the gathering, or the others
        # would wait for it.
        vectors = (
            source.encode(live).to(embeddings.text.dtype)
            if len(live)
            else embeddings.text[:0]
        )
        texts = embeddings.text.index_copy(0, live, vectors)
        rows_all, (vectors_all,) = _gather(live, (vectors.detach(),))
        embeddings.text = embeddings.text.index_copy(0, rows_all, vectors_all)
        return texts

    def _words(self, queries: QueryBatch, device: torch.device) -> Tensor:
        return encode_words(self.model, queries, device)


class StepWrapper(nn.Module):
    """What Fabric wraps.

    A function passes it untouched, where dataclasses among the inputs would be copied.
    """

    def __init__(self, step: TrainingStep) -> None:
        super().__init__()
        self.step = step

    def forward(self, call: Callable[[TrainingStep], Losses]) -> Losses:
        """What the function makes of the step."""
        return call(self.step)


def _on(device: torch.device, generator: torch.Generator) -> torch.Generator:
    """The generator itself on the CPU, one that hangs on it elsewhere."""
    if device.type == "cpu":
        return generator
    return torch.Generator(device).manual_seed(
        int(torch.randint(2**31, (1,), generator=generator))
    )


def _gathered(rows: Tensor, nodes: Nodes) -> tuple[Tensor, Nodes]:
    rows, parts = _gather(rows, tuple(nodes))
    return rows, Nodes(*parts)


def _gather(
    rows: Tensor, parts: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The live rows of all processes, with gradient: each scores against the whole batch.

    A row that two processes computed is kept once, the first process' copy.
    """
    if (
        not (dist.is_available() and dist.is_initialized())
        or dist.get_world_size() == 1
    ):
        return rows, parts
    sizes = [
        torch.zeros(1, dtype=torch.long, device=rows.device)
        for _ in range(dist.get_world_size())
    ]
    dist.all_gather(sizes, torch.tensor([len(rows)], device=rows.device))
    most = int(max(sizes))

    def whole(part: Tensor) -> Tensor:
        padded = torch.cat([part, part.new_zeros(most - len(part), *part.shape[1:])])
        every = all_gather(padded) if part.requires_grad else _plain_gather(padded)  # type: ignore[no-untyped-call]
        return torch.cat(
            [piece[: int(size)] for piece, size in zip(every, sizes, strict=True)]
        )

    rows = whole(rows)
    distinct, back = torch.unique(rows, return_inverse=True)
    place = torch.arange(len(rows), device=rows.device).flip(0)
    first = torch.empty_like(distinct).scatter_(0, back.flip(0), place)
    return distinct, tuple(whole(part)[first] for part in parts)


def _plain_gather(part: Tensor) -> list[Tensor]:
    out = [torch.zeros_like(part) for _ in range(dist.get_world_size())]
    dist.all_gather(out, part.contiguous())
    return out
