"""All that training needs and that does not change meanwhile: graphs, their counts, and queries."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from encoders.text.encoder import TextConfig
from encoders.text.source import TextSource
from fusion.experiment import Recipe, Task
from fusion.model.snapshot import NodeTexts
from fusion.query_batch import QueryBatch, join
from fusion.tasks.folds import Fold, held_events, make_folds
from fusion.tasks.leaks import check_fold, check_held
from kg.errors import DataError, InputError
from kg.events import Events
from kg.graph import Graph, build_graph
from kg.metapaths.count import PathCounts, count_paths
from kg.progress import tqdm
from kg.split.held import Held, Split

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KnownGraph:
    """A graph that queries are asked of, and what is held out of it.

    Attributes:
        split: Its tables and what is held out.
        graph: Of these tables.
        counts: Its metapath counts.
        texts: What there is to read.
    """

    split: Split
    graph: Graph
    counts: PathCounts
    texts: NodeTexts


@dataclass(frozen=True)
class Prepared(KnownGraph):
    """What is trained and validated on, and what is served and tested.

    Attributes:
        folds: (graph, counts, queries) of each fold.
        serving: What is served and tested once all is chosen: the graph with the validation
            events where the split says so, the same graph elsewhere.
        earliest: The fold whose graph holds nothing that any training query is about; None where
            there is no such.
        sources: By encoder, what lies under its tuned layers, for all models that read these texts.
    """

    folds: list[tuple[Graph, PathCounts, QueryBatch]]
    serving: KnownGraph
    earliest: Graph | None = None
    sources: dict[TextConfig, TextSource] = field(default_factory=dict, repr=False)


def prepare(split: Split, recipe: Recipe, progress: bool = True) -> Prepared:
    """Count the paths of every graph and draw the training queries.

    Raises:
        DataError: The tasks find nothing to ask in the training events, what is asked stands
            in the graph that it is asked of, or a fold's graph lacks a kind of path that the
            whole has.
    """
    graph = build_graph(split.train)
    for held in (split.valid, split.test):
        check_held(graph, held.events)
    if len(graph.events):
        folds = make_folds(graph, recipe.folds, recipe.seed)
    else:
        folds = [catalogue_fold(graph, split)]
    drawn = Counter[str]()
    prepared = []
    total = len(folds) + (1 if split.later is None else 2)
    with tqdm(
        total=total, desc="counting paths", unit="graph", disable=not progress
    ) as bar:
        for number, fold in enumerate(folds):
            queries = _training_queries(fold, recipe, recipe.seed + number, drawn)
            counts = count_paths(fold.graph, recipe.paths)
            check_fold(fold, counts)
            prepared.append((fold.graph, counts, queries))
            bar.update()
        counts = count_paths(graph, recipe.paths)
        bar.update()
        known = KnownGraph(split, graph, counts, NodeTexts.of(split.train))
        serving = _refitted(known, recipe)
        bar.update(total - bar.n)
    _check_paths(counts, [fold_counts for _, fold_counts, _ in prepared])
    _report_tasks(recipe, drawn)
    _warn_of_no_context(graph, [queries for *_, queries in prepared])
    earliest = next((fold.graph for fold in folds if fold.earliest), None)
    return Prepared(split, graph, counts, known.texts, prepared, serving, earliest)


def _training_queries(
    fold: Fold, recipe: Recipe, seed: int, drawn: Counter[str]
) -> QueryBatch:
    """A fold's queries of all tasks; how many each gave is added to `drawn`."""
    parts = []
    for name, task in recipe.tasks.items():
        queries = task.training(fold.graph, fold.asked, seed)
        drawn[name] += len(queries)
        parts.append(queries)
    joined = join(parts)
    if (joined.targets.lengths != 1).any():
        raise DataError(
            "a training query must have one target; a task gave another number"
        )
    return joined


def _refitted(known: KnownGraph, recipe: Recipe) -> KnownGraph:
    """What is served and tested: with the validation events, where the split says so.

    Raises:
        DataError: The graph holds what the test asks about.
    """
    later = known.split.later
    if later is None:
        return known
    graph = build_graph(later.train)
    check_held(graph, later.test.events)
    return KnownGraph(later, graph, count_paths(graph, recipe.paths), known.texts)


def _check_paths(whole: PathCounts, folds: list[PathCounts]) -> None:
    """Refuse folds whose graphs lack a kind of path: a model's features must mean the same."""
    for number, counts in enumerate(folds):
        lost = [
            *(whole.user_item.keys() - counts.user_item),
            *(whole.item_item.keys() - counts.item_item),
        ]
        if lost:
            raise DataError(
                f"folds: the graph of fold {number + 1} has no {lost[0]} path; "
                "lower folds.count or length"
            )


def _report_tasks(recipe: Recipe, drawn: Counter[str]) -> None:
    """Refuse a training without a query, and warn of each task that gave none."""
    if not drawn.total():
        raise DataError(
            f"the tasks {', '.join(recipe.tasks)} find nothing to ask in the training events"
        )
    for name, task in recipe.tasks.items():
        if not drawn[name]:
            log.warning(
                "warning: the task %s finds nothing to ask in training and is left out%s",
                name,
                _needs(task),
            )


def _needs(task: Task) -> str:
    """What a task says it cannot do without, for where it asks nothing."""
    needs = getattr(task, "needs", "")
    return f"; {type(task).__name__} needs {needs}" if needs else ""


def _warn_of_no_context(graph: Graph, queries: list[QueryBatch]) -> None:
    if any(len(batch.context.rows) for batch in queries):
        return
    remedy = "; BasketCompletion has such queries, and NextItem with history"
    log.warning(
        "warning: no training query has context items, so what is answered to some is a guess%s",
        remedy if len(graph.events) else "",
    )


def catalogue_fold(graph: Graph, split: Split) -> Fold:
    """Of a graph without events: all of it, and an event of no user for each item not held out."""
    items = graph.vocabs[graph.item]
    held = [items.rows(part.events["item"]) for part in (split.valid, split.test)]
    rows = np.setdiff1d(np.arange(graph.size(graph.item)), np.concatenate(held))
    nobody = np.full(len(rows), -1)
    return Fold(graph, Events(nobody, nobody, rows, np.full(len(rows), np.nan)))


def held_out(
    known: KnownGraph, recipe: Recipe, held: Held, limit: int
) -> dict[str, QueryBatch]:
    """By task, queries about held-out events; at most `limit` each, a seeded draw, 0 for all."""
    events = held_events(known.graph, held.events)
    by_task = {}
    for name, task in recipe.tasks.items():
        queries = task.held_out(known.graph, events, recipe.seed)
        if limit and limit < len(queries):
            rng = np.random.default_rng(recipe.seed)
            chosen = rng.choice(len(queries), limit, replace=False)
            queries = queries.take(np.sort(chosen))
        if len(queries):
            by_task[name] = queries
    return by_task


def validation_queries(known: KnownGraph, recipe: Recipe, limit: int) -> QueryBatch:
    """The validation queries of the first task, at most `limit`, 0 for all: what is chosen on.

    Raises:
        InputError: The first task finds nothing to ask among the validation events.
    """
    name = next(iter(recipe.tasks))
    by_task = held_out(known, recipe, known.split.valid, limit)
    if name not in by_task:
        raise InputError(
            f"the first task, {name!r}, finds no queries among the validation events",
            field="tasks",
        )
    return by_task[name]
