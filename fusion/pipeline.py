"""From prepared graphs and a recipe to a trained recommender: the steps, each once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from lightning.fabric import Fabric

from encoders.text.encoder import TextEncoder
from encoders.text.source import TextSource
from fusion.experiment import Recipe
from fusion.model.build import make_model
from fusion.model.config import FusionConfig
from fusion.model.features import MetapathFeatures
from fusion.model.hybrid import Hybrid
from fusion.model.snapshot import GraphSnapshot
from fusion.model.spectral import spectral_vectors
from fusion.preparation import KnownGraph, Prepared, held_out, validation_queries
from fusion.query_batch import QueryBatch, join
from fusion.recommender import Recommender
from fusion.training.state import TrainingFold, TrainingState
from fusion.training.trainer import Trainer
from fusion.training.validation import ValidationMetric


class Trained(NamedTuple):
    """What a training gives.

    Attributes:
        recommender: Over the graph that is served.
        history: One row a validation: step, metric and the training losses since the one before.
    """

    recommender: Recommender
    history: list[dict[str, float]]


def train(
    prepared: Prepared,
    recipe: Recipe,
    folder: Path,
    fabric: Fabric,
    progress: bool = True,
    resume: bool = False,
    on_start: Callable[[Trainer], None] | None = None,
) -> Trained:
    """Train the recipe's model, to serve `prepared.serving`.

    Args:
        prepared: Graphs and queries.
        recipe: How.
        folder: Where checkpoints and TensorBoard logs go.
        fabric: Device, precision and processes.
        progress: Whether to draw bars.
        resume: Go on from the folder's checkpoint, where there is one.
        on_start: Called before the first step; `trainer.state.done` steps were taken before.

    Raises:
        InputError: The first task finds no validation queries, or a batch is too small for the
            processes.
        FloatingPointError: A gradient is not finite.
    """
    trainer = make_trainer(prepared, recipe, folder, fabric, progress)
    if resume:
        trainer.resume()
    if on_start is not None:
        on_start(trainer)
    history = trainer.fit(progress)
    return Trained(finish(trainer, prepared), history)


def make_trainer(
    prepared: Prepared,
    recipe: Recipe,
    folder: Path,
    fabric: Fabric,
    progress: bool = True,
) -> Trainer:
    """Put together what a training needs; nothing is trained yet."""
    model, source = build_model(prepared, recipe)
    model.to(fabric.device)
    texts = source.encode_all(progress) if source is not None else None
    folds = []
    for graph, counts, queries in prepared.folds:
        if len(queries):
            fold = KnownGraph(prepared.split, graph, counts, prepared.texts)
            snapshot = make_snapshot(fold, recipe.fusion, fabric.device)
            joint, finetune = _set_aside(queries, recipe)
            embeddings = model.encode(snapshot, texts)
            folds.append(TrainingFold(snapshot, joint, embeddings, finetune))
    serving = make_snapshot(prepared, recipe.fusion, fabric.device)
    evaluation = recipe.evaluation
    validate = ValidationMetric(
        evaluation.metric,
        validation_queries(prepared, recipe, evaluation.validation_limit),
        serving,
        prepared.split.train,
        prepared.counts,
    )
    state = TrainingState(
        model, source, folds, serving, recipe.training, recipe.seed, fabric, texts
    )
    return Trainer(state, validate, folder, _shrinkage_queries(prepared, recipe))


def build_model(prepared: Prepared, recipe: Recipe) -> tuple[Hybrid, TextSource | None]:
    """An untrained model and its texts; the same weights by seed."""
    torch.manual_seed(recipe.seed)
    config, graph = recipe.fusion, prepared.graph
    text = TextEncoder(recipe.text, config.embedding_dim) if config.text else None
    item_texts = prepared.texts.of_type(graph.item) if config.uses_bm25 else None
    features = len(MetapathFeatures(prepared.counts, texts=item_texts).names)
    model = make_model(config, recipe.gnn, text, graph, prepared.counts, features)
    _start_spectral(model, prepared, recipe)
    if text is None:
        return model, None
    source = TextSource(text, text.table(prepared.texts.texts))
    source.share(prepared.sources.setdefault(recipe.text, source))
    return model, source


def _start_spectral(model: Hybrid, prepared: Prepared, recipe: Recipe) -> None:
    """Start the learned vectors from a decomposition of a graph that no training query is about.

    Random vectors leave the graph half below plain item neighbours after as many steps.
    """
    if model.inputs is None or prepared.earliest is None:
        return
    spectral = spectral_vectors(
        prepared.earliest, recipe.fusion.embedding_dim, recipe.seed
    )
    for kind, vectors in spectral.items():
        if len(vectors):
            weight = model.inputs.nodes.get_parameter(f"of {kind}.weight")
            weight.data.copy_(vectors)


def _set_aside(
    queries: QueryBatch, recipe: Recipe
) -> tuple[QueryBatch, QueryBatch | None]:
    """The queries of the joint training, and those that only the head's fine-tuning sees."""
    training, fusion = recipe.training, recipe.fusion
    count = round(training.finetune_share * len(queries))
    finetuned = fusion.vectors and fusion.paths and training.finetune_epochs
    if not (finetuned and count):
        return queries, None
    order = np.random.default_rng(recipe.seed).permutation(len(queries))
    joint, finetune = np.sort(order[count:]), np.sort(order[:count])
    return queries.take(joint), queries.take(finetune)


def _shrinkage_queries(prepared: Prepared, recipe: Recipe) -> QueryBatch | None:
    """Validation queries of all tasks but synthetic ones; None where nothing is to be shrunk."""
    limit, fusion = recipe.training.shrinkage, recipe.fusion
    if not (limit and fusion.vectors and fusion.paths):
        return None
    real = [
        queries
        for name, queries in held_out(
            prepared, recipe, prepared.split.valid, limit
        ).items()
        if not getattr(recipe.tasks[name], "synthetic", False)
    ]
    return join(real) if real else None


def finish(trainer: Trainer, prepared: Prepared) -> Recommender:
    """The trained model over the graph that is served."""
    state, known = trainer.state, prepared.serving
    model, snapshot = state.model, state.serving
    if snapshot.graph is not known.graph:
        snapshot = make_snapshot(
            known, model.config, snapshot.device, snapshot.seen_items
        )
    embeddings = state.encode(snapshot)
    return Recommender(model, snapshot, embeddings, known.split.train, known.counts)


def make_snapshot(
    known: KnownGraph,
    config: FusionConfig,
    device: torch.device,
    seen: torch.Tensor | None = None,
) -> GraphSnapshot:
    """A graph, ready for a model; seen as in GraphSnapshot."""
    return GraphSnapshot(
        known.graph,
        known.counts,
        known.texts,
        config,
        device,
        seen,
    )
