"""What queries bring to the model: their words' vectors, and the nodes to train."""

from __future__ import annotations

import torch
from torch import Tensor

from encoders.text.source import TextSource
from fusion.model.hybrid import Hybrid
from fusion.model.snapshot import GraphSnapshot
from fusion.query_batch import QueryBatch


def live_rows(
    snapshot: GraphSnapshot, queries: QueryBatch, generator: torch.Generator, hand: int
) -> dict[str, Tensor]:
    """By type, the nodes to encode with gradient, each once.

    They are targets, users, and up to `hand` context items a query, all where it is below 0.
    """
    lengths = torch.as_tensor(queries.context.lengths)
    rows = torch.as_tensor(queries.context.rows)
    if hand >= 0:
        starts = torch.as_tensor(queries.context.offsets[:-1])
        pick = (
            torch.rand(len(queries), hand, generator=generator) * lengths[:, None]
        ).long() + starts[:, None]
        rows = rows[pick[lengths > 0].flatten()]
    seeds = {
        snapshot.item: torch.unique(
            torch.cat([torch.as_tensor(queries.targets.rows), rows])
        ).to(snapshot.device)
    }
    users = torch.as_tensor(queries.users)
    if snapshot.user:
        seeds[snapshot.user] = torch.unique(users[users >= 0]).to(snapshot.device)
    return seeds


def encode_words(model: Hybrid, queries: QueryBatch, device: torch.device) -> Tensor:
    """(B, D) vectors of the queries' words, 0 where there are none."""
    words = torch.zeros(len(queries), model.config.embedding_dim, device=device)
    spoken = [b for b, text in enumerate(queries.texts) if text.strip()]
    if model.text is None or not spoken:
        return words
    table = model.text.table(
        [queries.texts[b] for b in spoken]
    )  # equal words are encoded once
    # In batches of like length: one long text among many short ones would pad them all.
    vectors = (
        TextSource(model.text, table, keep=False)
        .encode(torch.arange(len(table)))
        .to(words.dtype)
    )
    own = vectors[torch.as_tensor(table.index, device=device)]
    return words.index_copy(0, torch.as_tensor(spoken, device=device), own)
