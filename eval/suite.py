"""The table that every run ends with: the hybrid, its parts alone, and the baselines, on the same held-out queries."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from encoders.text.encoder import TextEncoder
from eval.baselines.boosted import BoostedRanker
from eval.baselines.counts import EASE, ItemKNN, Popularity, UserFrequency
from eval.baselines.text import TfIdf, UntunedEncoder
from eval.measure.protocol import Scorer, evaluate
from eval.measure.report import Report, make_report
from fusion.experiment import Recipe
from fusion.model.features import MetapathFeatures
from fusion.pipeline import Prepared, held_out
from fusion.query_batch import QueryBatch, join
from fusion.recommender import Recommender
from kg.errors import InputError
from kg.graph import Graph
from kg.tables import IntArray

log = logging.getLogger(__name__)
# What validation chooses from.
_NEIGHBOURS = (0, 100)
_TREES = (100, 200, 300, 400)


def judge(prepared: Prepared, recipe: Recipe, recommender: Recommender) -> float:
    """The recipe's metric on the validation asks of its first task."""
    queries = _first(
        held_out(
            prepared, recipe, prepared.split.valid, recipe.evaluation.validation_limit
        ),
        recipe,
    )
    metric = recipe.evaluation.metric
    k = int(metric.partition("@")[2] or 10)
    scores = evaluate(
        {"hybrid": recommender},
        queries,
        len(recommender.items),
        ks=(k,),
        progress=False,
    )
    return scores.means()["hybrid"][metric]


def _first(queries: Mapping[str, QueryBatch], recipe: Recipe) -> QueryBatch:
    name = next(iter(recipe.tasks))
    if name not in queries:
        raise InputError(
            f"the first task, {name!r}, finds no asks among the validation events"
        )
    return queries[name]


def first_queries(prepared: Prepared, recipe: Recipe) -> QueryBatch:
    """The validation queries that baselines are chosen on: those of the first task, 2,000 of them where all are meant."""
    return _first(
        held_out(
            prepared,
            recipe,
            prepared.split.valid,
            recipe.evaluation.validation_limit or 2000,
        ),
        recipe,
    )


Make = Callable[[Graph], Scorer]


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


def best(
    choices: Mapping[str, Make], valid: QueryBatch, prepared: Prepared, later: Prepared
) -> Scorer:
    """The one with the highest NDCG@10 on validation queries, made anew of what is tested where that is another graph."""
    if len(choices) == 1:
        return next(iter(choices.values()))(later.graph)
    highest = -1.0
    for name, make in choices.items():  # one after the other: two at most are in memory
        made = make(prepared.graph)
        means = evaluate(
            {name: made},
            valid,
            prepared.graph.size(prepared.graph.item),
            progress=False,
        ).means()
        if (value := means[name]["NDCG@10"]) > highest:
            highest, chosen, scorer = value, name, made
    log.info("chosen on validation: %s, %s", scorer.name, chosen)
    return Chosen(scorer if later is prepared else choices[chosen](later.graph), chosen)


def baselines(
    prepared: Prepared,
    recipe: Recipe,
    progress: bool = True,
    later: Prepared | None = None,
) -> dict[str, Scorer]:
    """Every baseline; what they have to choose is chosen on the validation queries.

    Args:
        prepared: The training graph.
        recipe: What they choose from.
        progress: Whether to draw bars.
        later: What they then count and are tested on, as fusion.pipeline.refit gives it;
            prepared where None.
    """
    later = later or prepared
    graph, texts = later.graph, later.split.train.texts(later.graph.item)
    valid = first_queries(prepared, recipe)
    found: dict[str, Scorer] = {}

    def chosen(choices: Mapping[str, Make]) -> Scorer:
        return best(choices, valid, prepared, later)

    if len(graph.events):  # where nobody took anything there is nothing to count
        found["popularity"] = Popularity(graph)
        if graph.user is not None:
            decays: list[float | None] = (
                [None] if np.isnan(graph.events.time).all() else [None, 4.0, 8.0, 16.0]
            )
            found["user frequency"] = chosen(
                {
                    f"decay {d}" if d else "no decay": partial(UserFrequency, decay=d)
                    for d in decays
                }
            )
        # Baskets and whole histories are two things to learn from.
        both = (
            (False, True)
            if graph.user is not None and (graph.events.bundle >= 0).any()
            else (False,)
        )
        of = {False: "", True: "histories, "}
        found["ItemKNN"] = chosen(
            {
                f"{of[h]}{n or 'all'} neighbours": partial(
                    ItemKNN, neighbours=n, history=h
                )
                for h in both
                for n in _NEIGHBOURS
            }
        )
        found["EASE"] = chosen(
            {
                f"{of[h]}penalty {p:g}": partial(EASE, penalty=p, history=h)
                for h in both
                for p in recipe.evaluation.ease
            }
        )
    if any(text.strip() for text in texts):
        found["TF-IDF"] = TfIdf(graph, texts)
        found["untuned encoder"] = untuned(later, recipe, texts, progress)
    if recipe.evaluation.boosted:
        found["boosted ranker"] = boosted(prepared, recipe, progress, later=later)
    return found


def untuned(
    prepared: Prepared, recipe: Recipe, texts: list[str], progress: bool = True
) -> UntunedEncoder:
    """The recipe's encoder as it was downloaded."""
    encoder = TextEncoder(
        replace(recipe.text, tune="frozen"), recipe.fusion.embedding_dim
    )

    def encode(words: list[str]) -> npt.NDArray[np.float32]:
        table = encoder.table(words)
        distinct = encoder.encode_table(
            table, progress and len(words) > 1000, project=False
        ).numpy()
        blank = np.zeros((1, encoder.hidden), np.float32)
        array: npt.NDArray[np.float32] = np.concatenate([distinct, blank])[table.index]
        return array

    return UntunedEncoder(
        prepared.graph, encode(texts), lambda words: encode(list(words))
    )


def boosted(
    prepared: Prepared,
    recipe: Recipe,
    progress: bool = True,
    kind: type[BoostedRanker] = BoostedRanker,
    later: Prepared | None = None,
) -> BoostedRanker:
    """The rival: trees over the same metapath counts and candidates, of all of the folds' asks.

    How many trees is chosen on validation.
    """
    each = recipe.fusion.candidates_per_path

    def candidates(
        features: MetapathFeatures, queries: QueryBatch
    ) -> tuple[IntArray, npt.NDArray[np.float32]]:
        rows, phi = features(queries, each)
        return rows.numpy(), phi.numpy()

    texts = prepared.texts.of_type(prepared.graph.item)
    folds = [
        (MetapathFeatures(counts, texts=texts), queries)
        for _, counts, queries in prepared.folds
        if len(queries)
    ]
    bounds = np.cumsum([0, *(len(queries) for _, queries in folds)])
    # An query's fold is told by its number, which rides along as its group.
    every = join([queries for _, queries in folds])
    every = replace(every, groups=np.arange(len(every)))

    def training(queries: QueryBatch) -> tuple[IntArray, npt.NDArray[np.float32]]:
        parts = []
        fold = np.searchsorted(bounds, queries.groups, side="right") - 1
        for number, (features, _) in enumerate(folds):
            which = np.flatnonzero(fold == number)
            if len(which):
                parts.append((which, *candidates(features, queries.take(which))))
        width = max(rows.shape[1] for _, rows, _ in parts)
        rows_all = np.full((len(queries), width), -1, np.int64)
        phi_all = np.zeros((len(queries), width, parts[0][2].shape[2]), np.float32)
        for which, rows, phi in parts:
            rows_all[which, : rows.shape[1]], phi_all[which, : rows.shape[1]] = (
                rows,
                phi,
            )
        return rows_all, phi_all

    ranker = kind(
        training,
        prepared.graph.size(prepared.graph.item),
        trees=max(_TREES),
        seed=recipe.seed,
    )
    ranker.fit(every, progress)
    ranker.candidates = partial(
        candidates, MetapathFeatures(prepared.counts, texts=texts)
    )
    ranker.keep(_TREES, first_queries(prepared, recipe))
    log.info("chosen on validation: %s, %d trees", ranker.name, ranker.kept)
    if later is not None and later is not prepared:
        ranker.candidates = partial(
            candidates, MetapathFeatures(later.counts, texts=texts)
        )
    return ranker


def measure(
    prepared: Prepared,
    recipe: Recipe,
    scorers: Mapping[str, Scorer],
    progress: bool = True,
) -> dict[str, Report]:
    """Each task's test queries, by every scorer, the first against the others; warm and cold targets apart."""
    config, reports = recipe.evaluation, {}
    for task, queries in held_out(
        prepared, recipe, prepared.split.test, config.limit
    ).items():
        scores = evaluate(
            scorers,
            queries,
            prepared.graph.size(prepared.graph.item),
            progress=progress,
        )
        slices = slices_of(prepared, queries)
        reports[task] = make_report(
            f"{task}, test", scores, slices, draws=config.draws, seed=recipe.seed
        )
    return reports


def slices_of(
    prepared: Prepared, queries: QueryBatch, cross: str = ""
) -> dict[str, npt.NDArray[np.bool_]]:
    """By name, (B,) which queries: warm and cold targets, and those whose target crosses over.

    Args:
        prepared: Whose training events tell what is cold.
        asks: B asks with targets; the first target of each is looked at.
        cross: A relation from items to attributes. A query crosses over where the target has
            values of it and shares none with any context item, of which one at least has a
            value, too; "" leaves these out.

    Raises:
        ValueError: The graph has no such relation.
    """
    target = queries.targets.rows[queries.targets.offsets[:-1]]
    cold = prepared.split.cold[target]
    found = {"warm": ~cold, "cold": cold}
    if cross:
        graph = prepared.graph
        edges = [
            e
            for (source, name, _), e in graph.edges.items()
            if source == graph.item and name == cross
        ]
        if not edges:
            raise InputError(
                f"there is no relation {cross!r} from {graph.item} to an attribute"
            )
        shape = (graph.size(graph.item), int(edges[0].target.max(initial=0)) + 1)
        values = sp.csr_array(
            (np.ones(len(edges[0])), (edges[0].source, edges[0].target)), shape=shape
        )
        ones, hand = np.ones(len(queries.context.rows)), queries.context
        held = (
            sp.csr_array(
                (ones, hand.rows, hand.offsets), shape=(len(queries), shape[0])
            )
            @ values
        )
        own = values[target]
        shared = np.asarray(held.multiply(own).sum(1)).ravel()
        known = (np.asarray(own.sum(1)).ravel() > 0) & (
            np.asarray(held.sum(1)).ravel() > 0
        )
        found["cross-category"] = known & (shared == 0)
    return found
