"""What B queries' scores are made of: their vectors, candidates, similarities and features."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fusion.model.nodes import Nodes

FEW = 8  # a product with a gathered row is so many times dearer than with one in place


class QueryVectors(NamedTuple):
    """What is known of B queries as vectors, all (B, D), of length 1 or 0.

    Attributes:
        fused: The query's vector: user, context items and words together.
        text: Its plain mean in the space of texts.
        graph: Its plain mean in the space of the graph.
        words: Of its words alone, not normalised; 0 where it has none.
    """

    fused: Tensor
    text: Tensor
    graph: Tensor
    words: Tensor


class Candidates(NamedTuple):
    """What B queries' scores are made of.

    Attributes:
        rows: (B, C) candidate rows, -1 where there are fewer; ascending.
        vector: (B, I) the vector part for the whole catalogue; what is no answer is -inf.
        phi: (B, C, F) the counts.
        similarities: (B, C, 3) fused, text and graph.
    """

    rows: Tensor
    vector: Tensor
    phi: Tensor
    similarities: Tensor


class Scores(NamedTuple):
    """As Candidates, and (B, C) the score, -inf where there is no candidate."""

    rows: Tensor
    score: Tensor
    vector: Tensor
    phi: Tensor
    similarities: Tensor


def similarities(
    query: QueryVectors, items: Nodes, rows: Tensor, cosine: Tensor | None = None
) -> Tensor:
    """(B, C, 3) fused, text and graph similarities of queries and item rows (B, C).

    Args:
        query: Of B queries.
        items: The vectors of I items.
        rows: Of these.
        cosine: (B, I) the fused similarity to every item, where that is known already.
    """
    few = FEW * rows.numel() < len(items.fused)

    def near(asked: Tensor, known: Tensor) -> Tensor:
        # Of few queries over a large catalogue only what is looked at is multiplied.
        if few:
            return (known[rows] @ asked[:, :, None]).squeeze(2)
        return (asked @ known.T).gather(1, rows)

    if cosine is None:
        fused = near(query.fused, items.fused)
    else:
        fused = cosine.gather(1, rows)
    text, graph = near(query.text, items.text), near(query.graph, items.graph)
    return torch.stack([fused, text, graph], 2)
