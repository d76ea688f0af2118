"""Explanations measured: do paths exist, do they carry the score, how long do they take?"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from eval.studies.explanation_deletion import PATHS, delete_paths
from eval.studies.explanation_qualities import TrainingFacts
from eval.studies.explanation_summary import Measurements, summary
from fusion.experiment import Recipe
from fusion.explain.explainer import Explainer
from fusion.query import Constraints, Query
from fusion.query_batch import QueryBatch
from fusion.ranking.ranker import Ranker
from fusion.tasks.folds import held_events
from kg import config as recipes
from kg.progress import tqdm

TOP = 10


def measure(
    explainer: Explainer,
    queries: QueryBatch,
    count: int,
    sufficient: int,
    seed: int = 0,
    progress: bool = True,
) -> dict[str, Any]:
    """Explain items of answers: do paths exist, do they carry the score, how long do they take.

    What is measured, and how fairly, is told by eval.bench.explanation_tables.PROTOCOL.
    "places lost" are ranks.

    Args:
        explainer: Of whose answers.
        queries: Held out.
        count: How many are drawn; of each answer's first ten, one is explained with support,
            all without.
        sufficient: Of how many of these sufficiency is measured, which takes a pass over the
            whole graph each.
        seed: Of the draws.
        progress: Whether to draw a bar.
    """
    rng = np.random.default_rng(seed)
    drawn = queries.take(
        np.sort(rng.choice(len(queries), min(count, len(queries)), replace=False))
    )
    recommender, found, known = (
        explainer.recommender,
        Measurements(),
        TrainingFacts(explainer),
    )
    for b in tqdm(range(len(drawn)), desc="explanations", disable=not progress):
        query = named(recommender, drawn, b)
        answer = recommender.answer(query)
        for item in answer:
            began = _clocks()
            made = explainer.explain(query, item.id, PATHS, support=False)
            found.seconds["paths"].append(_since(began))
            row = recommender.items.row(item.id)
            found.covered.append(
                (bool(recommender.snapshot.seen_items[row]), bool(made.paths))
            )
            found.valid += known.valid(made)
        item = answer[int(rng.integers(len(answer)))]
        began = _clocks()
        made = explainer.explain(query, item.id, PATHS)
        found.seconds["support"].append(_since(began))
        found.valid += known.valid(made)
        if made.paths:
            delete_paths(explainer, known, query, made, found, rng, b < sufficient)
            found.groups.append(int(drawn.groups[b]))
    return summary(found, len(drawn))


def warmed(recommender: Ranker) -> tuple[Explainer, float]:
    """What explaining needs, and the seconds that it takes to make it."""
    started = time.perf_counter()
    explainer = Explainer(recommender)
    explainer.explain(Query(), recommender.answer(Query())[0].id)
    return explainer, time.perf_counter() - started


def named(recommender: Ranker, queries: QueryBatch, b: int) -> Query:
    """One query by ids; where a task masks anything, it is what the user has."""
    graph, user = recommender.snapshot.graph, int(queries.users[b])
    who = graph.vocabs[graph.user].key(user) if graph.user and user >= 0 else None
    hand = tuple(recommender.items.key(int(row)) for row in queries.context[b])
    return Query(
        who,
        hand,
        queries.texts[b] or None,
        TOP,
        Constraints(exclude_seen=queries.exclude is not None),
    )


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(began: tuple[float, float]) -> tuple[float, float]:
    wall, processor = _clocks()
    return wall - began[0], processor - began[1]


def held_queries(
    recommender: Ranker, run: Path, which: str = "test"
) -> dict[str, QueryBatch]:
    """By task, the queries about what the run held out for "test" or "valid"."""
    recipe = recipes.build(
        Recipe,
        json.loads((run / "recipe.json").read_text(encoding="utf-8")),
        "recipe.json",
    )
    graph = recommender.snapshot.graph
    events = held_events(graph, pq.read_table(run / "held_out" / f"{which}.parquet"))
    every = {
        name: task.held_out(graph, events, recipe.seed)
        for name, task in recipe.tasks.items()
    }
    return {name: queries for name, queries in every.items() if len(queries)}
