"""Paths through attributes: from items and users to the values, and between values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from kg.graph import Graph
from kg.metapaths.relations import is_wide
from kg.metapaths.sparse import Matrix, matrix_of, top
from kg.tables import FloatArray


@dataclass(frozen=True)
class AttributePaths:
    """Paths through one attribute relation with V values.

    Attributes:
        name: The relation's name.
        items: (I, V) which item has which value, 0 or 1.
        users: (U, V) how often the user took the value, decayed by age.
        together: (V, V) how much likelier two values are in one bundle than chance would have
            it, log(1 + lift).
    """

    name: str
    items: Matrix
    users: Matrix
    together: Matrix


def attribute_paths(
    graph: Graph, decay: FloatArray, groups: Matrix | None
) -> Iterator[AttributePaths]:
    """The paths through each relation from items to attributes, wide ones left out.

    Args:
        graph: The training graph with E events and I items.
        decay: (E,) how much each event counts.
        groups: (bundles, I) 0 or 1; None where there are no bundles.
    """
    events, items = graph.events, graph.size(graph.item)
    users = max(graph.size(graph.user) if graph.user else 0, 1)
    known = events.user >= 0
    pairs = (events.user[known], events.item[known])
    interactions = matrix_of(decay[known], pairs, (users, items))
    for (source, name, target), edge in graph.edges.items():
        if (
            source != graph.item
            or graph.schema.node(target).role != "attribute"
            or is_wide(graph, name)
        ):
            continue
        ends = (edge.source, edge.target)
        shape = (items, graph.size(target))
        values = matrix_of(np.ones(len(edge)), ends, shape).sign()
        by_user = interactions @ values
        if groups is None:
            together = sp.csr_matrix((values.shape[1],) * 2, dtype=np.float32)
        else:
            together = _lifts((groups @ values).sign().astype(np.float32))
        yield AttributePaths(
            name,
            values.astype(np.float32),
            by_user.tocsr().astype(np.float32),
            together,
        )


def _lifts(inside: Matrix) -> Matrix:
    """(V, V) log(1 + lift) of two values in one bundle, from (bundles, V) 0 or 1."""
    degree = np.maximum(np.asarray(inside.sum(0)).ravel(), 1)
    inverse = sp.diags((1 / degree).astype(np.float32))
    both = inside.T @ inside
    lifts = (inverse @ both @ inverse * inside.shape[0]).tocsr()
    lifts.setdiag(0)
    lifts.eliminate_zeros()
    return top(lifts.log1p(), 300)
