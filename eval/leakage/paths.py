"""Paths of one or two edges from the queries to items: how well each alone finds the targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from fusion.query_batch import QueryBatch
from kg.graph import Graph
from kg.tables import IntArray

TOP = 10

# Nodes kept half-way for a query, those with the fewest edges first: hubs give nothing away.
_HUBS = 300


@dataclass(frozen=True)
class Reach:
    """What one path of one or two edges brings from the queries to their targets.

    Attributes:
        path: The edge types' names, one or two, in the order walked.
        start: "user" or "items": what of the query it starts from.
        task: Whose queries.
        queries: How many have such a start.
        recall: Recall@10 of ranking by the path alone; ties in random order.
        reached: Share of the queries whose target the path reaches at all.
        spread: Median share of the catalogue that it reaches.
    """

    path: tuple[str, ...]
    start: str
    task: str
    queries: int
    recall: float
    reached: float
    spread: float


def measured_paths(graph: Graph, task: str, queries: QueryBatch) -> list[Reach]:
    """Every way of one or two edges from the queries' users and items to items."""
    steps: list[tuple[str, str, str, Any]] = []
    for (source, name, target), edge in graph.edges.items():
        shape = (graph.size(source), graph.size(target))
        matrix = sp.csr_matrix(
            (np.ones(len(edge), np.float32), (edge.source, edge.target)), shape=shape
        ).sign()
        steps += [
            (source, name, target, matrix),
            (target, name, source, matrix.T.tocsr()),
        ]
    count = len(queries)

    def given_by(owners: IntArray, rows: IntArray, kind: str) -> Any:
        return sp.csr_matrix(
            (np.ones(len(rows), np.float32), (owners, rows)),
            shape=(count, graph.size(kind)),
        )

    starts = [
        (
            "items",
            graph.item,
            given_by(queries.context.owners, queries.context.rows, graph.item),
        )
    ]
    if graph.user is not None:
        known = np.flatnonzero(queries.users >= 0)
        starts.append(
            ("user", graph.user, given_by(known, queries.users[known], graph.user))
        )
    found: dict[tuple[str, tuple[str, ...]], Reach] = {}
    for start, kind, given in starts:
        which = np.flatnonzero(np.diff(given.indptr))
        if not len(which):
            continue
        given, some_asks = given[which], queries.take(which)
        for source, name, target, matrix in steps:
            if source != kind:
                continue
            first = given @ matrix
            ways: list[tuple[tuple[str, ...], Any]] = (
                [((name,), first)] if target == graph.item else []
            )
            half = None
            for middle, second, end, onward in steps:
                if middle == target and end == graph.item:
                    half = _specific(first, matrix) if half is None else half
                    ways.append(((name, second), half @ onward))
            for path, scores in ways:
                measured = _measure(path, start, task, scores, some_asks)
                # An edge type from items to items can be walked both ways under one name: the
                # stronger one counts.
                if (start, path) not in found or measured.recall > found[
                    start, path
                ].recall:
                    found[start, path] = measured
    return [*found.values()]


def _specific(first: Any, matrix: Any) -> Any:
    """Half-way nodes weighted by one over their degree, the most specific kept."""
    degree = np.maximum(np.asarray(matrix.sum(0)).ravel(), 1)
    weighted = (first @ sp.diags((1 / degree).astype(np.float32))).tocsr()
    rows = np.repeat(np.arange(weighted.shape[0]), np.diff(weighted.indptr))
    order = np.lexsort((-weighted.data, rows))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - weighted.indptr[rows]
    weighted.data[place >= _HUBS] = 0
    weighted.eliminate_zeros()
    return weighted


def _measure(
    path: tuple[str, ...], start: str, task: str, scores: Any, queries: QueryBatch
) -> Reach:
    items = scores.shape[1]
    step = max(1, (1 << 24) // items)
    hits, reached, spread = [], [], []
    for begin in range(0, len(queries), step):
        some = queries.take(np.arange(begin, min(begin + step, len(queries))))
        dense = np.asarray(scores[begin : begin + step].toarray(), np.float32)
        hits.append(hit_chances(dense, some))
        reached.append(
            dense[np.arange(len(some)), some.targets.rows[some.targets.offsets[:-1]]]
            > 0
        )
        spread.append(np.count_nonzero(dense > 0, axis=1) / items)
    recall, share = (
        float(np.mean(np.concatenate(values))) for values in (hits, reached)
    )
    return Reach(
        path,
        start,
        task,
        len(queries),
        recall,
        share,
        float(np.median(np.concatenate(spread))),
    )


def hit_chances(
    scores: npt.NDArray[np.float32], queries: QueryBatch
) -> npt.NDArray[np.float64]:
    """(B,) the chance that the first target is among the best ten; scores are changed.

    The mid-rank that metrics use would put each of nineteen tied items tenth, and call that a
    recall of one.
    """
    target = queries.targets.rows[queries.targets.offsets[:-1]]
    scores[queries.context.owners, queries.context.rows] = -1
    own = scores[np.arange(len(queries)), target][:, None]
    above, tied = (
        np.count_nonzero(scores > own, axis=1),
        np.count_nonzero(scores == own, axis=1),
    )
    chance: npt.NDArray[np.float64] = np.clip((TOP - above) / tied, 0, 1)
    return chance
