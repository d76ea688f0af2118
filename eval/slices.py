"""Slices: which test queries stand apart in a table."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from fusion.preparation import KnownGraph
from fusion.query_batch import QueryBatch
from kg.errors import InputError
from kg.graph import Graph
from kg.tables import IntArray

Slices = dict[str, npt.NDArray[np.bool_]]


def slices_of(known: KnownGraph, queries: QueryBatch, cross: str = "") -> Slices:
    """By name, (B,) which queries: warm and cold targets, and those whose target crosses over.

    Args:
        known: Whose training events tell what is cold.
        queries: B queries with targets; the first target of each is looked at.
        cross: A relation from items to attributes. A query crosses over where the target has
            values of it and shares none with any context item, of which one at least has a
            value, too; "" leaves these out.

    Raises:
        InputError: The graph has no such relation.
    """
    target = queries.targets.rows[queries.targets.offsets[:-1]]
    cold = known.split.cold[target]
    slices = {"warm": ~cold, "cold": cold}
    if cross:
        slices["cross-category"] = _crosses(known.graph, queries, target, cross)
    return slices


def _crosses(
    graph: Graph, queries: QueryBatch, target: IntArray, relation: str
) -> npt.NDArray[np.bool_]:
    values = _values(graph, relation)
    context = queries.context
    shape = (len(queries), values.shape[0])
    ones = np.ones(len(context.rows))
    contains = sp.csr_array((ones, context.rows, context.offsets), shape=shape)
    of_context, of_target = contains @ values, values[target]
    shared = np.asarray(of_target.multiply(of_context).sum(1)).ravel()
    target_has = np.asarray(of_target.sum(1)).ravel() > 0
    context_has = np.asarray(of_context.sum(1)).ravel() > 0
    crosses: npt.NDArray[np.bool_] = target_has & context_has & (shared == 0)
    return crosses


def _values(graph: Graph, relation: str) -> sp.csr_array:
    """(I, V) which item has which value of the relation."""
    edges = [
        edge
        for (source, name, _), edge in graph.edges.items()
        if source == graph.item and name == relation
    ]
    if not edges:
        raise InputError(
            f"there is no relation {relation!r} from {graph.item} to an attribute"
        )
    edge = edges[0]
    shape = (graph.size(graph.item), int(edge.target.max(initial=0)) + 1)
    return sp.csr_array((np.ones(len(edge)), (edge.source, edge.target)), shape=shape)
