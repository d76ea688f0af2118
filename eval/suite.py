"""The table that every run ends with: hybrid, parts and baselines on the same queries."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from encoders.text.encoder import TextEncoder
from eval.baselines.boosted import BoostedRanker
from eval.baselines.counts import EASE, ItemKNN, Popularity, UserFrequency
from eval.baselines.text import TfIdf, UntunedEncoder
from eval.measure.protocol import Scorer, evaluate
from eval.measure.report import Report, make_report
from eval.slices import slices_of
from fusion.experiment import Recipe
from fusion.model.features import MetapathFeatures
from fusion.preparation import KnownGraph, Prepared, held_out, validation_queries
from fusion.query_batch import QueryBatch, join
from kg.graph import Graph
from kg.tables import IntArray

log = logging.getLogger(__name__)
# What validation chooses from.
_NEIGHBOURS = (0, 100)
_TREES = (100, 200, 300, 400)
_DECAYS = (None, 4.0, 8.0, 16.0)
_VALIDATION = 2000  # queries that baselines are chosen on, where the recipe takes all

Make = Callable[[Graph], Scorer]
Features = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Chosen:
    """A scorer, and the setting that validation chose for it."""

    scorer: Scorer
    setting: str

    @property
    def name(self) -> str:
        """The scorer's."""
        return self.scorer.name

    def score(self, queries: QueryBatch) -> npt.NDArray[np.float32]:
        """(B, I) scores."""
        return self.scorer.score(queries)


def first_queries(
    prepared: Prepared,
    recipe: Recipe,
) -> QueryBatch:
    """The validation queries that baselines are chosen on: those of the first task."""
    limit = recipe.evaluation.validation_limit or _VALIDATION
    return validation_queries(prepared, recipe, limit)


def best(
    choices: Mapping[str, Make],
    valid: QueryBatch,
    prepared: Prepared,
) -> Scorer:
    """The one with the highest NDCG@10 on validation queries, made anew of the tested graph.

    A single choice is not measured.
    """
    serving = prepared.serving.graph
    if len(choices) == 1:
        return next(iter(choices.values()))(serving)
    items = prepared.graph.size(prepared.graph.item)
    highest = -1.0
    for name, make in choices.items():  # one after the other: two at most are in memory
        candidate = make(prepared.graph)
        scores = evaluate({name: candidate}, valid, items, progress=False)
        means = scores.means()[name]
        value = means["NDCG@10"]
        if value > highest:
            highest, chosen, scorer = value, name, candidate
    log.info("chosen on validation: %s, %s", scorer.name, chosen)
    if serving is not prepared.graph:
        scorer = choices[chosen](serving)
    return Chosen(scorer, chosen)


def baselines(
    prepared: Prepared,
    recipe: Recipe,
    progress: bool = True,
    trees: bool = True,
) -> dict[str, Scorer]:
    """Every baseline over the tested graph; settings are chosen on the validation queries.

    Args:
        prepared: Graphs and queries.
        recipe: That they were prepared by.
        progress: Whether to draw bars.
        trees: Whether the boosted ranker, which takes longest, is among them.
    """
    known = prepared.serving
    texts = known.split.train.texts(known.graph.item)
    scorers: dict[str, Scorer] = {}
    if len(known.graph.events):  # else there is nothing to count
        valid = first_queries(prepared, recipe)
        scorers["popularity"] = Popularity(known.graph)
        for name, choices in counted(known.graph, recipe).items():
            scorers[name] = best(choices, valid, prepared)
    if any(text.strip() for text in texts):
        scorers["TF-IDF"] = TfIdf(known.graph, texts)
        scorers["untuned encoder"] = untuned(known, recipe, texts, progress)
    if trees:
        scorers["boosted ranker"] = boosted(prepared, recipe, progress)
    return scorers


def counted(
    graph: Graph,
    recipe: Recipe,
) -> dict[str, dict[str, Make]]:
    """By baseline, the settings to choose from."""
    choices: dict[str, dict[str, Make]] = {}
    if graph.user is not None:
        dated = not np.isnan(graph.events.time).all()
        by_decay: dict[str, Make] = {}
        for decay in _DECAYS if dated else _DECAYS[:1]:
            name = f"decay {decay}" if decay else "no decay"
            by_decay[name] = partial(UserFrequency, decay=decay)
        choices["user frequency"] = by_decay
    # Baskets and whole histories are two things to learn from.
    both = graph.user is not None and (graph.events.bundle >= 0).any()
    histories = {"": False, "histories, ": True} if both else {"": False}
    knn: dict[str, Make] = {}
    ease: dict[str, Make] = {}
    for prefix, history in histories.items():
        for count in _NEIGHBOURS:
            name = f"{prefix}{count or 'all'} neighbours"
            knn[name] = partial(ItemKNN, neighbours=count, history=history)
        for penalty in recipe.evaluation.ease:
            name = f"{prefix}penalty {penalty:g}"
            ease[name] = partial(EASE, penalty=penalty, history=history)
    return {**choices, "ItemKNN": knn, "EASE": ease}


def untuned(
    known: KnownGraph,
    recipe: Recipe,
    texts: list[str],
    progress: bool = True,
) -> UntunedEncoder:
    """The recipe's encoder as it was downloaded."""
    config = replace(recipe.text, tune="frozen")
    encoder = TextEncoder(config, recipe.fusion.embedding_dim)

    def encode(words: list[str]) -> Features:
        table = encoder.table(words)
        bar = progress and len(words) > 1000
        distinct = encoder.encode_table(table, bar, project=False).numpy()
        blank = np.zeros((1, encoder.hidden), np.float32)
        with_blank = np.concatenate([distinct, blank])
        vectors: Features = with_blank[table.index]
        return vectors

    vectors = encode(texts)
    return UntunedEncoder(known.graph, vectors, lambda words: encode(list(words)))


def boosted(
    prepared: Prepared,
    recipe: Recipe,
    progress: bool = True,
    kind: type[BoostedRanker] = BoostedRanker,
) -> BoostedRanker:
    """Trees over the hybrid's own metapath features and candidates, of all of the folds' queries.

    How many trees is chosen on validation.
    """
    texts = prepared.texts.of_type(prepared.graph.item)
    each = recipe.fusion.candidates_per_path
    folds = [
        (MetapathFeatures(counts, texts=texts), queries)
        for _, counts, queries in prepared.folds
        if len(queries)
    ]
    # A query's fold is told by its number, which rides along as its group.
    every = join([queries for _, queries in folds])
    every = replace(every, groups=np.arange(len(every)))
    items = prepared.graph.size(prepared.graph.item)
    training = partial(_fold_candidates, folds, each)
    ranker = kind(training, items, trees=max(_TREES), seed=recipe.seed)
    ranker.fit(every, progress)
    validation = MetapathFeatures(prepared.counts, texts=texts)
    ranker.candidates = partial(_candidates, validation, each)
    ranker.keep(_TREES, first_queries(prepared, recipe))
    log.info("chosen on validation: %s, %d trees", ranker.name, ranker.kept)
    serving = MetapathFeatures(prepared.serving.counts, texts=texts)
    ranker.candidates = partial(_candidates, serving, each)
    return ranker


def _candidates(
    features: MetapathFeatures,
    each: int,
    queries: QueryBatch,
) -> tuple[IntArray, Features]:
    """(B, C) candidate rows and (B, C, F) their features."""
    rows, x = features(queries, each)
    return rows.numpy(), x.numpy()


def _fold_candidates(
    folds: list[tuple[MetapathFeatures, QueryBatch]],
    each: int,
    queries: QueryBatch,
) -> tuple[IntArray, Features]:
    """The same of training queries, each from its own fold's counts; padded with -1."""
    sizes = [len(queries) for _, queries in folds]
    bounds = np.cumsum([0, *sizes])
    fold = np.searchsorted(bounds, queries.groups, side="right") - 1
    parts = []
    for number, (features, _) in enumerate(folds):
        which = np.flatnonzero(fold == number)
        if len(which):
            own = queries.take(which)
            rows, x = _candidates(features, each, own)
            parts.append((which, rows, x))
    widest = max(rows.shape[1] for _, rows, _ in parts)
    wide = parts[0][2].shape[2]
    shape = (len(queries), widest)
    all_rows = np.full(shape, -1, np.int64)
    all_x = np.zeros((*shape, wide), np.float32)
    for which, rows, x in parts:
        count = rows.shape[1]
        all_rows[which, :count] = rows
        all_x[which, :count] = x
    return all_rows, all_x


def measure(
    prepared: Prepared,
    recipe: Recipe,
    scorers: Mapping[str, Scorer],
    progress: bool = True,
) -> dict[str, Report]:
    """Each task's test queries, by every scorer, the first against the others; cold ones apart."""
    known = prepared.serving
    config = recipe.evaluation
    items = known.graph.size(known.graph.item)
    reports = {}
    tasks = held_out(known, recipe, known.split.test, config.limit)
    for task, queries in tasks.items():
        reports[task] = make_report(
            f"{task}, test",
            evaluate(scorers, queries, items, progress=progress),
            slices_of(known, queries),
            draws=config.draws,
            seed=recipe.seed,
        )
    return reports
