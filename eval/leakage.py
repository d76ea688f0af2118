"""Audit: does an edge type of the training graph give the held-out items away?

The exact checks of `fusion.tasks.leaks` refuse held-out events in the training graph. This
looks for copies of them in other
clothes, which only numbers betray: a `user_item` edge that is the union of the user's bundles
completes held-out bundles with a recall@10 of 0.99, and no rule about identifiers sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from fusion.experiment import Splitter, Task
from fusion.query_batch import QueryBatch
from fusion.tasks.folds import held_events
from kg.graph import Events, Graph
from kg.split.grouped import GroupedSplit
from kg.split.held import Split
from kg.split.last import LeaveLast
from kg.tables import IntArray, Tables

TOP = 10
HIGH = 0.6  # recall@10 of one edge type alone that honest data hardly reach
AHEAD = 3.0  # times the best of all that does not use the edge type
ALL, FEW = 0.9, 0.02  # nearly all targets within so small a share of the catalogue
TWINS = 0.25  # share of the held-out bundles that stand in training item by item
LEAST = 20  # queries that a share of them says anything about
_HUBS = 300  # nodes kept half-way for a query, those with the fewest edges first: a hub gives nothing away


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


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes:
        leaks: One sentence a fault, with the remedy; empty where the graph is clean.
        notes: Facts that are no fault in themselves.
        paths: Every path measured, the strongest first.
    """

    leaks: tuple[str, ...]
    notes: tuple[str, ...]
    paths: tuple[Reach, ...]

    def line(self) -> str:
        """In one line."""
        if self.leaks:
            return "LEAK: " + " ".join(self.leaks)
        best = (
            f"; the strongest edges alone, {_named(self.paths[0])}"
            if self.paths
            else ""
        )
        return f"no edge gives the held-out items away{best}"


def audit(
    split: Split,
    graph: Graph,
    tasks: Mapping[str, Task],
    seed: int = 0,
    limit: int = 500,
) -> Audit:
    """Measure what each edge type alone tells about the validation queries.

    An edge type is flagged where a path over it has a recall@10 above 0.6, and either that is
    3 times what the best path without it reaches (popularity included), or it reaches nine of
    ten targets within 2 % of the catalogue.

    Args:
        split: What is held out; its test events are looked at for copies only.
        graph: Of its training tables.
        tasks: How held-out events become queries.
        seed: Of the draws.
        limit: Most queries a task.
    """
    events = held_events(graph, split.valid.events)
    leaks: dict[str, None] = {}
    notes, paths = [], []
    for name, task in tasks.items():
        queries = task.held_out(graph, events, seed)
        if len(queries) > limit:
            queries = queries.take(
                np.sort(
                    np.random.default_rng(seed).choice(
                        len(queries), limit, replace=False
                    )
                )
            )
        if not len(queries):
            continue
        found = list(_paths(graph, name, queries))
        popularity = np.bincount(
            graph.events.item, minlength=graph.size(graph.item)
        ).astype(np.float32)
        base = float(np.mean(_hits(np.tile(popularity, (len(queries), 1)), queries)))
        leaks |= dict.fromkeys(_suspects(found, base))
        paths += found
        notes += _notes(split, graph, name, queries)
    for what, held in (("validation", split.valid), ("test", split.test)):
        twins, total = _twins(graph, held_events(graph, held.events))
        if total:
            notes.append(
                f"{twins:,} of {total:,} {what} bundles have exactly the items of a training bundle"
            )
        if total >= LEAST and twins > TWINS * total:
            leaks[
                f"{notes[-1]}: leave the copies out of one or the other, or group the split by what they share."
            ] = None
    again, total = _again(graph, events)
    if total:
        notes.append(
            f"{again:,} of {total:,} validation pairs of user and item stand in training, too"
        )
    return Audit(
        tuple(leaks), tuple(notes), tuple(sorted(paths, key=lambda p: -p.recall))
    )


def usual(tables: Tables) -> tuple[Splitter, dict[str, Task]]:
    """A split and tasks for a graph that comes without a recipe: the last of each user, else bundles at random."""
    from fusion.tasks.basket_completion import BasketCompletion
    from fusion.tasks.next_item import NextItem
    from kg.graph import build_graph

    events = build_graph(tables).events
    bundles = bool((events.bundle >= 0).any())
    timed = len(events) and not np.isnan(events.time).any() and (events.user >= 0).all()
    tasks: dict[str, Task] = (
        {"bundles": BasketCompletion(min_items=2)}
        if bundles
        else {"next": NextItem(exclude_seen=False)}
    )
    return LeaveLast() if timed else GroupedSplit(
        0.1, 0.1, group="bundle" if bundles else "user"
    ), tasks


def _paths(graph: Graph, task: str, queries: QueryBatch) -> list[Reach]:
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
    """Half-way nodes weighted by one over their degree, the most specific kept: a walk that hubs do not swallow."""
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
        hits.append(_hits(dense, some))
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


def _hits(
    scores: npt.NDArray[np.float32], queries: QueryBatch
) -> npt.NDArray[np.float64]:
    """(B,) the chance that the first target is among the best ten, its ties in random order; scores are changed.

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


def _suspects(paths: list[Reach], base: float) -> list[str]:
    """The edge types to drop: single edges are blamed before pairs, which are blamed only where no single one is."""
    said, blamed = [], set[str]()
    for path in sorted(paths, key=lambda p: (len(set(p.path)), len(p.path), -p.recall)):
        if blamed & set(path.path) or path.recall <= HIGH or path.queries < LEAST:
            continue
        elsewhere = max(
            [base, *(p.recall for p in paths if not set(p.path) & set(path.path))]
        )
        tiny = path.reached >= ALL and path.spread <= FEW
        if path.recall > AHEAD * elsewhere or tiny:
            blamed |= set(path.path)
            why = (
                f"it reaches {path.reached:.0%} of the targets and {path.spread:.2%} of the catalogue"
                if tiny
                else f"all that does not use it at most {elsewhere:.2f}"
            )
            drop = " or ".join(repr(name) for name in dict.fromkeys(path.path))
            said.append(
                f"{_named(path)}, {why}: drop {drop}, or rebuild it without what is held out."
            )
    return said


def _named(path: Reach) -> str:
    return f"{path.task}: {' + '.join(path.path)} from the {path.start} has recall@{TOP} {path.recall:.2f}"


def _notes(split: Split, graph: Graph, task: str, queries: QueryBatch) -> list[str]:
    target = queries.targets.rows[queries.targets.offsets[:-1]]
    notes = [
        f"{task}: {split.cold[target].mean():.1%} of {len(queries):,} targets are in no training event"
    ]
    worded = np.flatnonzero([bool(text.strip()) for text in queries.texts])
    if len(worded):
        texts = split.train.texts(graph.item)
        inside = sum(
            queries.texts[n].strip().lower() in texts[target[n]].lower() for n in worded
        )
        notes.append(
            f"{task}: the query stands word by word in the target's text in {inside:,} of {len(worded):,} queries"
        )
    return notes


def _twins(graph: Graph, held: Events) -> tuple[int, int]:
    """How many held-out bundles have the item set of a training bundle, and how many there are; two items at least."""
    known = set(_sets(graph.events))
    ours = _sets(held)
    return sum(items in known for items in ours), len(ours)


def _sets(events: Events) -> list[bytes]:
    inside = events.bundle >= 0
    bundle, item = np.unique(
        np.stack([events.bundle[inside], events.item[inside]]), axis=1
    )
    _, starts = np.unique(bundle, return_index=True)
    return [part.tobytes() for part in np.split(item, starts[1:]) if len(part) > 1]


def _again(graph: Graph, held: Events) -> tuple[int, int]:
    """How many distinct held-out (user, item) pairs are training pairs, and how many there are."""
    pairs = _pairs(held, graph.size(graph.item))
    return len(
        np.intersect1d(pairs, _pairs(graph.events, graph.size(graph.item)))
    ), len(pairs)


def _pairs(events: Events, items: int) -> IntArray:
    known = events.user >= 0
    return np.unique(events.user[known] * items + events.item[known])
