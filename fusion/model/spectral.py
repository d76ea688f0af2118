"""Spectral start: learned node vectors begin where the graph's own structure puts them."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.utils.extmath import randomized_svd
from torch import Tensor

from kg.graph import Graph


def spectral_vectors(
    graph: Graph,
    width: int,
    seed: int,
) -> dict[str, Tensor]:
    """By node type, (N, D) vectors of length 1, or 0 for a node that nothing is known of.

    The items' are the right singular vectors of the normalised (users and bundles) x items
    matrix, scaled by their singular values: D_r^-1/2 R D_c^-1/2 = U S V (Shen et al. 2021,
    "How Powerful is Graph Convolution for Recommendation?", equation 9). Users and attribute
    values are the means of their items.

    Args:
        graph: One that holds none of the events that will be asked about.
        width: D.
        seed: Of the randomised decomposition.
    """
    events, items = graph.events, graph.size(graph.item)
    parts = []
    for rows in (events.user, events.bundle):
        known = rows >= 0
        if known.any():
            size = int(rows.max()) + 1
            parts.append(_pairs(rows, events.item, (size, items)).sign())
    vectors = {graph.item: np.zeros((items, width), np.float32)}
    if parts and min(items, sum(p.shape[0] for p in parts)) > 1:
        matrix = sp.vstack(parts).tocsr()
        matrix = _inverse_root(matrix.sum(1)) @ matrix @ _inverse_root(matrix.sum(0))
        rank = min(width, items - 1, matrix.shape[0] - 1)
        _, values, right = randomized_svd(matrix, rank, n_iter=3, random_state=seed)
        vectors[graph.item][:, :rank] = right.T * values
    if graph.user is not None:
        vectors[graph.user] = _means(
            events.user, events.item, vectors[graph.item], graph.size(graph.user)
        )
    for (source, _, target), edge in graph.edges.items():
        if source == graph.item and graph.schema.node(target).role == "attribute":
            means = _means(
                edge.target, edge.source, vectors[graph.item], graph.size(target)
            )
            vectors[target] = vectors[target] + means if target in vectors else means
    return {
        kind: torch.nn.functional.normalize(torch.as_tensor(v), dim=1)
        for kind, v in vectors.items()
    }


def _inverse_root(sums: np.ndarray) -> sp.dia_matrix:
    counts = np.asarray(sums).ravel()
    roots = np.sqrt(np.maximum(counts, 1))
    return sp.diags((1 / roots).astype(np.float32))


def _means(
    owner: np.ndarray,
    item: np.ndarray,
    vectors: np.ndarray,
    size: int,
) -> np.ndarray:
    """(size, D) the sums of the vectors of each owner's items."""
    pairs = _pairs(owner, item, (size, len(vectors)))
    return np.asarray(pairs @ vectors, np.float32)


def _pairs(
    owner: np.ndarray,
    item: np.ndarray,
    shape: tuple[int, int],
) -> sp.csr_matrix:
    """How often each owner, -1 for none, meets each item."""
    known = owner >= 0
    ones = np.ones(known.sum(), np.float32)
    ends = (owner[known], item[known])
    return sp.csr_matrix((ones, ends), shape)
