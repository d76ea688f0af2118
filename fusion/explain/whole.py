"""Whole passes: a graph neural network run anew without masked edges, a pass a case."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from fusion.explain.lookup import left_over
from fusion.explain.masks import Masked
from fusion.model.hybrid import Hybrid
from fusion.model.snapshot import GraphSnapshot
from kg.events import EdgeKey

Vectors = dict[str, Tensor]  # by type


@torch.no_grad()
def whole_passes(
    model: Hybrid,
    snapshot: GraphSnapshot,
    texts: Tensor | None,
    masked: Masked,
    cases: int,
    wanted: Mapping[str, Tensor],
) -> Vectors:
    """(V, n, D) by type: the vectors of the wanted rows in each of V cases."""
    found: dict[str, list[Tensor]] = {kind: [] for kind in wanted}
    for case in range(cases):
        edges = _edges_left(snapshot, masked, case)
        out = model.message(
            snapshot,
            snapshot.all_rows,
            edges,
            texts,
        )
        for kind, rows in wanted.items():
            found[kind].append(out[kind][rows])
    return {kind: torch.stack(vectors) for kind, vectors in found.items()}


def _edges_left(
    snapshot: GraphSnapshot,
    masked: Masked,
    case: int,
) -> dict[EdgeKey, Tensor]:
    edges = dict(snapshot.edges)
    for key, cases_of in masked.case.items():
        own = (cases_of == case) & (masked.weight[key] > 0.5)
        if not own.any():
            continue
        width = snapshot.sizes[key[0]]
        gone = masked.target[key][own] * width + masked.source[key][own]
        keys = edges[key][1] * width + edges[key][0]
        edges[key] = edges[key][:, left_over(keys, gone)]
    return edges
