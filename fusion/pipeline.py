"""From tables and a recipe to a trained recommender: the steps, each once."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from lightning.fabric import Fabric

from encoders.text.encoder import TextConfig, TextEncoder
from encoders.text.source import TextSource
from fusion.experiment import Recipe, Task
from fusion.model.config import FusionConfig
from fusion.model.features import MetapathFeatures
from fusion.model.hybrid import Hybrid
from fusion.model.nodes import EmbeddingCache
from fusion.model.snapshot import GraphSnapshot, NodeTexts
from fusion.model.spectral import spectral_vectors
from fusion.query_batch import QueryBatch, join
from fusion.recommender import Recommender
from fusion.runs.artifacts import make_model
from fusion.tasks.folds import Fold, held_events, make_folds
from fusion.tasks.leaks import check_fold, check_held
from fusion.training.trainer import Trainer, TrainingFold
from kg.errors import DataError
from kg.graph import Events, Graph, build_graph
from kg.metapaths.count import PathCounts, count_paths
from kg.progress import tqdm
from kg.split.time import Held, Split

log = logging.getLogger(__name__)
Judge = Callable[[Recommender], float]


class Part(TypedDict):
    """Which sides of the hybrid a part of it uses; as in FusionConfig."""

    text: bool
    graph: bool
    paths: bool
    bm25: bool


@dataclass(frozen=True)
class Prepared:
    """All that training needs and that does not change while the model does.

    Attributes:
        split: The training tables and what is held out.
        graph: Of the training tables.
        counts: Its metapath counts.
        folds: (graph, counts, asks) of each fold.
        earliest: The fold whose graph holds nothing that any training query is about; None where
            there is no such.
        texts: What there is to read.
        sources: By encoder, what lies under its tuned layers, for all models that read these texts.
    """

    split: Split
    graph: Graph
    counts: PathCounts
    folds: list[tuple[Graph, PathCounts, QueryBatch]]
    texts: NodeTexts
    earliest: Graph | None = None
    sources: dict[TextConfig, TextSource] = field(default_factory=dict, repr=False)


def prepare(split: Split, recipe: Recipe, progress: bool = True) -> Prepared:
    """Count the paths of every fold's graph and draw the training queries.

    Raises:
        DataError: The tasks find nothing to ask in the training events, what is asked stands
            in the graph that it is asked of, or a fold's graph lacks a kind of path that the
            whole has.
    """
    graph = build_graph(split.train)
    for held in (split.valid, split.test):
        check_held(graph, held.events)
    folds = (
        make_folds(graph, recipe.folds, recipe.seed)
        if len(graph.events)
        else [catalogue_fold(graph, split)]
    )
    made, found = [], Counter[str]()
    with tqdm(
        total=len(folds) + 1, desc="counting paths", unit="graph", disable=not progress
    ) as bar:
        for number, fold in enumerate(folds):
            drawn = {
                n: t.training(fold.graph, fold.asked, recipe.seed + number)
                for n, t in recipe.tasks.items()
            }
            found.update({name: len(some) for name, some in drawn.items()})
            queries = join(list(drawn.values()))
            counts = count_paths(fold.graph, recipe.paths)
            check_fold(fold, counts)
            if (queries.targets.lengths != 1).any():
                raise DataError(
                    "a training ask must have one target; a task gave another number"
                )
            made.append((fold.graph, counts, queries))
            bar.update()
        counts = count_paths(graph, recipe.paths)
        bar.update()
    for number, (_, part, _) in enumerate(made):
        lost = [
            *(counts.user_item.keys() - part.user_item),
            *(counts.item_item.keys() - part.item_item),
        ]
        if lost:
            raise DataError(
                f"folds: the graph of fold {number + 1} has no {lost[0]} path; lower folds.count or length"
            )
    if not found.total():
        raise DataError(
            f"the tasks {', '.join(recipe.tasks)} find nothing to ask in the training events"
        )
    for name, task in recipe.tasks.items():
        if not found[name]:
            log.warning(
                "warning: the task %s finds nothing to ask in training and is left out%s",
                name,
                _needs(task),
            )
    if not any(len(queries.context.rows) for _, _, queries in made):
        remedy = (
            "; BasketCompletion has such asks, and NextItem with history"
            if len(graph.events)
            else ""
        )
        log.warning(
            "warning: no training ask has items at hand, so what is answered to some is a guess%s",
            remedy,
        )
    earliest = next((fold.graph for fold in folds if fold.earliest), None)
    return Prepared(split, graph, counts, made, NodeTexts.of(split.train), earliest)


def _needs(task: Task) -> str:
    """What a task says it cannot do without, to be said where it asks nothing."""
    needs = getattr(task, "needs", "")
    return f"; {type(task).__name__} needs {needs}" if needs else ""


def refit(prepared: Prepared, recipe: Recipe) -> Prepared:
    """What is served and tested, once all is chosen: the graph with the validation events, where the split says so.

    Raises:
        DataError: The graph holds what the test asks about.
    """
    later = prepared.split.later
    if later is None:
        return prepared
    graph = build_graph(later.train)
    check_held(graph, later.test.events)
    return replace(
        prepared, split=later, graph=graph, counts=count_paths(graph, recipe.paths)
    )


def catalogue_fold(graph: Graph, split: Split) -> Fold:
    """Of a graph without events: the whole of it, and an event of nobody for each item that is not held out."""
    held = [
        graph.vocabs[graph.item].rows(part.events["item"])
        for part in (split.valid, split.test)
    ]
    items = np.setdiff1d(np.arange(graph.size(graph.item)), np.concatenate(held))
    nobody = np.full(len(items), -1)
    return Fold(graph, Events(nobody, nobody, items, np.full(len(items), np.nan)))


def held_out(
    prepared: Prepared, recipe: Recipe, held: Held, limit: int
) -> dict[str, QueryBatch]:
    """By task, the asks about held-out events; at most `limit` a task, a seeded draw, 0 for all."""
    graph, found = prepared.graph, {}
    events = held_events(graph, held.events)
    for name, task in recipe.tasks.items():
        queries = task.held_out(graph, events, recipe.seed)
        if limit and limit < len(queries):
            queries = queries.take(
                np.sort(
                    np.random.default_rng(recipe.seed).choice(
                        len(queries), limit, replace=False
                    )
                )
            )
        if len(queries):
            found[name] = queries
    return found


def build_model(prepared: Prepared, recipe: Recipe) -> tuple[Hybrid, TextSource | None]:
    """An untrained model and its texts; the same weights by seed."""
    torch.manual_seed(recipe.seed)
    text = (
        TextEncoder(recipe.text, recipe.fusion.embedding_dim)
        if recipe.fusion.text
        else None
    )
    item_texts = (
        prepared.texts.of_type(prepared.graph.item) if recipe.fusion.uses_bm25 else None
    )
    paths = len(MetapathFeatures(prepared.counts, texts=item_texts).names)
    model = make_model(recipe, text, prepared.split.train, prepared.counts, paths)
    if (
        model.inputs is not None
        and recipe.fusion.spectral
        and prepared.earliest is not None
    ):
        for kind, vectors in spectral_vectors(
            prepared.earliest, recipe.fusion.embedding_dim, recipe.seed
        ).items():
            if len(vectors):
                model.inputs.nodes.get_parameter(f"of {kind}.weight").data.copy_(
                    vectors
                )
    if text is None:
        return model, None
    source = TextSource(text, text.table(prepared.texts.texts))
    source.share(prepared.sources.setdefault(recipe.text, source))
    return model, source


def make_trainer(
    prepared: Prepared,
    recipe: Recipe,
    judge: Judge,
    folder: Path,
    fabric: Fabric,
    progress: bool = True,
) -> Trainer:
    """Put together what fit needs."""
    model, source = build_model(prepared, recipe)
    model.to(fabric.device)
    config = recipe.fusion
    folds = []
    texts = source.encode_all(progress) if source is not None else None
    for graph, counts, queries in prepared.folds:
        if len(queries):
            snapshot = GraphSnapshot(
                graph,
                counts,
                prepared.texts,
                config,
                fabric.device,
            )
            queries, settling = _set_aside(queries, recipe)
            folds.append(
                TrainingFold(snapshot, queries, model.encode(snapshot, texts), settling)
            )
    serving = make_snapshot(prepared, config, fabric.device)

    def validate(trained: Hybrid, embeddings: EmbeddingCache) -> float:
        value = judge(
            Recommender(
                trained, serving, embeddings, prepared.split.train, prepared.counts
            )
        )
        trained.train()
        return value

    shrunk = recipe.training.shrinkage and recipe.fusion.vectors and recipe.fusion.paths
    asked = (
        held_out(prepared, recipe, prepared.split.valid, recipe.training.shrinkage)
        if shrunk
        else {}
    )
    real = [
        queries
        for name, queries in asked.items()
        if not getattr(recipe.tasks[name], "synthetic", False)
    ]
    kept = join(real) if real else None
    return Trainer(
        model,
        source,
        folds,
        serving,
        validate,
        recipe.training,
        folder,
        recipe.seed,
        fabric,
        texts,
        kept,
    )


def _set_aside(
    queries: QueryBatch, recipe: Recipe
) -> tuple[QueryBatch, QueryBatch | None]:
    """The asks of the joint training, and those that only the settling sees."""
    training = recipe.training
    count = round(training.finetune_share * len(queries))
    if not (
        recipe.fusion.vectors
        and recipe.fusion.paths
        and training.finetune_head.epochs
        and count
    ):
        return queries, None
    order = np.random.default_rng(recipe.seed).permutation(len(queries))
    return queries.take(np.sort(order[count:])), queries.take(np.sort(order[:count]))


def finish(trainer: Trainer, prepared: Prepared) -> Recommender:
    """The trained model over a whole graph: that of the training, or what `refit` gives."""
    snapshot = trainer.serving
    if snapshot.graph is not prepared.graph:
        snapshot = make_snapshot(
            prepared, trainer.model.config, snapshot.device, snapshot.seen_items
        )
    embeddings = trainer.model.encode(snapshot, trainer.texts())
    return Recommender(
        trainer.model, snapshot, embeddings, prepared.split.train, prepared.counts
    )


def make_snapshot(
    prepared: Prepared,
    config: FusionConfig,
    device: torch.device,
    seen: torch.Tensor | None = None,
) -> GraphSnapshot:
    """The whole graph, ready for a model; seen as in GraphSnapshot."""
    return GraphSnapshot(
        prepared.graph,
        prepared.counts,
        prepared.texts,
        config,
        device,
        seen,
    )


def train_part(
    prepared: Prepared,
    recipe: Recipe,
    part: Part,
    judge: Judge,
    folder: Path,
    fabric: Fabric,
    progress: bool = True,
    later: Prepared | None = None,
) -> Recommender:
    """Train a part alone, by the same asks and schedule: part says which sides it uses, later what it then serves."""
    alone = replace(recipe, fusion=replace(recipe.fusion, **part))
    trainer = make_trainer(prepared, alone, judge, folder, fabric, progress)
    trainer.fit(progress)
    return finish(trainer, later or prepared)
