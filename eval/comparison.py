"""What a trained model is held against: two baselines at once, or all of them and its own parts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lightning.fabric import Fabric

from eval.baselines.counts import Popularity
from eval.baselines.text import LexicalMatch
from eval.measure.protocol import Scorer, evaluate
from eval.measure.report import Report, make_report
from eval.parts import train_parts
from eval.suite import baselines, best, boosted, counted, first_queries, measure
from fusion.experiment import Recipe
from fusion.preparation import Prepared, held_out
from fusion.query_batch import QueryBatch
from fusion.recommender import Recommender

COMPARISON = "comparison"  # .json and .md, in a run's folder but not of its manifest


def name_of(recipe: Recipe) -> str:
    """What the tables call the trained model."""
    whole = recipe.fusion.graph and recipe.fusion.text
    return "hybrid" if whole else "model"


def short_reports(
    recommender: Recommender,
    prepared: Prepared,
    recipe: Recipe,
    work: Path,
    fabric: Fabric,
    bars: bool,
) -> dict[str, Report]:
    """By task: the model, the boosted ranker over the same counts, and one cheap baseline.

    The cheap one is BM25 where people ask in words, else how often the user took each item.
    The arguments are those of `full_reports`.
    """
    if not fabric.is_global_zero:
        return {}
    config = recipe.evaluation
    known = prepared.serving
    items = known.graph.size(known.graph.item)
    ours: dict[str, Scorer] = {name_of(recipe): recommender}
    trees: dict[str, Scorer] = {}
    if config.baselines:
        trees["boosted ranker"] = boosted(prepared, recipe, bars)
    reports = {}
    tasks = held_out(known, recipe, known.split.test, config.limit)
    for task, queries in tasks.items():
        cheap = cheapest(prepared, recipe, queries) if config.baselines else {}
        scorers = {**ours, **cheap, **trees}
        scores = evaluate(scorers, queries, items, progress=bars)
        title = f"{task}, test"
        reports[task] = make_report(title, scores, draws=config.draws, seed=recipe.seed)
    return reports


def cheapest(
    prepared: Prepared, recipe: Recipe, queries: QueryBatch
) -> dict[str, Scorer]:
    """The baseline of a few lines that is strongest for such queries, by its name in the tables."""
    known = prepared.serving
    graph = known.graph
    if any(queries.texts):
        texts = known.split.train.texts(graph.item)
        return {"BM25": LexicalMatch(graph, texts)}
    if not len(graph.events):
        return {}
    if graph.user is None:
        return {"popularity": Popularity(graph)}
    choices = counted(graph, recipe)["user frequency"]
    valid = first_queries(prepared, recipe)
    return {"user frequency": best(choices, valid, prepared)}


def full_reports(
    recommender: Recommender,
    prepared: Prepared,
    recipe: Recipe,
    work: Path,
    fabric: Fabric,
    bars: bool,
) -> dict[str, Report]:
    """By task: the model, its parts trained alone, every baseline; warm and cold targets apart.

    Args:
        recommender: Trained on `prepared`, over the graph that is served.
        prepared: Graphs and queries.
        recipe: That it was trained by.
        work: A folder for the parts' checkpoints.
        fabric: Where the parts are trained; every process of it must call.
        bars: Whether to draw progress bars.
    """
    parts = train_parts(prepared, recipe, work, fabric, bars)
    if not fabric.is_global_zero:
        return {}
    scorers: dict[str, Scorer] = {name_of(recipe): recommender, **parts}
    if recipe.evaluation.baselines:
        scorers |= baselines(prepared, recipe, bars)
    return measure(prepared, recipe, scorers, bars)


def to_markdown(run: str, reports: Mapping[str, Report]) -> str:
    """A page of tables."""
    tables = [report.to_markdown() for report in reports.values()]
    return "\n\n".join([f"# {run}, compared", *tables]) + "\n"
