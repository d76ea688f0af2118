"""The baselines of a benchmark: the suite's, and others that fit the data."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from eval.baselines.extra import MissingExtraError
from eval.baselines.histories import Histories
from eval.baselines.lambdarank import LightGBMRanker
from eval.baselines.lightgcn import LightGCN
from eval.baselines.neighbours import UserKNN
from eval.baselines.packaged import (
    ALS,
    BM25,
    BPR,
)
from eval.baselines.sasrec import SASRec
from eval.baselines.sequential import DecayedItemKNN, Transitions
from eval.baselines.text import LexicalMatch, RankFusion, ScoreFusion, UntunedEncoder
from eval.measure.protocol import Scorer
from eval.suite import Make, baselines, best, boosted, first_queries
from fusion.experiment import Recipe
from fusion.preparation import Prepared
from kg.errors import InputError
from kg.graph import Graph

BASELINES = (
    "UserKNN",
    "ItemKNN, decay",
    "transitions",
    "BM25",
    "ALS",
    "BPR",
    "LightGBM ranker",
    "LightGCN",
    "SASRec",
)
# What validation chooses from.
_USERS = (50, 200)
_DECAYS = (0.5, 0.7, 0.9)
_FACTORS = (32, 128)
_ALPHAS = (1.0, 40.0)
_SHARES = (0.5, 0.8, 0.9)  # of vectors beside BM25
Found = tuple[dict[str, Scorer], dict[str, str]]


def all_baselines(
    prepared: Prepared,
    recipe: Recipe,
    names: Sequence[str] = BASELINES,
    quick: bool = False,
    progress: bool = True,
) -> Found:
    """The suite's baselines and the others; by name, and by name why one was left out.

    Without any event, only what reads words has something to say; there the
    hybrid's own BM25 score stands beside it.
    """
    found: dict[str, Scorer] = baselines(prepared, recipe, progress)
    texts = prepared.split.train.texts(prepared.graph.item)
    if not len(prepared.graph.events):
        found[LexicalMatch.name] = LexicalMatch(prepared.graph, texts)
    more, left_out = further_baselines(prepared, recipe, names, quick, progress)
    found |= more
    words, vectors = found.get(BM25.name), found.get(UntunedEncoder.name)
    if words and isinstance(vectors, UntunedEncoder):
        found[RankFusion.name] = RankFusion(words, vectors)
        choices: dict[str, Make] = {
            f"share {share:g}": partial(_weighted, texts, vectors, share)
            for share in _SHARES
        }
        found[ScoreFusion.name] = best(
            choices, first_queries(prepared, recipe), prepared
        )
    return found, left_out


def _weighted(
    texts: Sequence[str], vectors: UntunedEncoder, share: float, graph: Graph
) -> ScoreFusion:
    return ScoreFusion(
        BM25(graph, texts).matches,
        UntunedEncoder(graph, vectors.vectors, vectors.encode),
        share,
    )


def further_baselines(
    prepared: Prepared,
    recipe: Recipe,
    names: Sequence[str] = BASELINES,
    quick: bool = False,
    progress: bool = True,
) -> Found:
    """The baselines that fit, chosen on the validation queries of the first task.

    Args:
        prepared: The training graph and the folds' queries.
        recipe: Its seed, its candidates, and how much of validation is looked at.
        names: Which of BASELINES.
        quick: Train the neural baselines for one epoch only.
        progress: Whether to draw bars.

    Returns:
        Scorers by name; and by name why a baseline was left out.

    Raises:
        ValueError: There is no such baseline.
    """
    if unknown := set(names) - set(BASELINES):
        raise InputError(
            f"there is no baseline {min(unknown)!r}; there are {', '.join(BASELINES)}"
        )
    found: dict[str, Scorer] = {}
    left_out = {}
    for name in names:
        why = _unfit(prepared, name)
        try:
            if not why and name == "LightGBM ranker":
                found[name] = boosted(prepared, recipe, progress, LightGBMRanker)
            elif not why:
                choices = _choices(prepared, recipe, name, quick, progress)
                found[name] = best(choices, first_queries(prepared, recipe), prepared)
        except (MissingExtraError, MemoryError) as error:
            why = str(error) or "out of memory"
        if why:
            left_out[name] = why
    return found, left_out


def _unfit(prepared: Prepared, name: str) -> str:
    events = prepared.graph.events
    if name == "BM25":
        return (
            ""
            if any(
                text.strip() for text in prepared.split.train.texts(prepared.graph.item)
            )
            else "no words"
        )
    if name == "LightGBM ranker":
        return ""
    if not len(events):
        return "no events"
    if not (events.user >= 0).any():
        return "no users"
    if name not in {"ItemKNN, decay", "transitions", "SASRec"}:
        return ""
    histories = Histories(prepared.graph)
    return "" if histories.age.any() else "no user interacted at two times"


def _choices(
    prepared: Prepared, recipe: Recipe, name: str, quick: bool, progress: bool
) -> dict[str, Make]:
    seed, texts = recipe.seed, prepared.split.train.texts(prepared.graph.item)
    epochs: dict[str, Any] = {"epochs": 1} if quick else {}
    several: dict[str, dict[str, Make]] = {
        "UserKNN": {f"{n} neighbours": partial(UserKNN, neighbours=n) for n in _USERS},
        "ItemKNN, decay": {
            f"decay {d}": partial(DecayedItemKNN, decay=d) for d in _DECAYS
        },
        "transitions": {f"decay {d}": partial(Transitions, decay=d) for d in _DECAYS},
        "ALS": {
            f"{f} factors, alpha {a:g}": partial(ALS, factors=f, alpha=a, seed=seed)
            for f in _FACTORS
            for a in _ALPHAS
        },
    }
    single: dict[str, Make] = {
        "BM25": partial(BM25, texts=texts),
        "BPR": partial(BPR, seed=seed),
        "LightGCN": partial(LightGCN, seed=seed, progress=progress, **epochs),
        "SASRec": partial(SASRec, seed=seed, progress=progress, **epochs),
    }
    return several.get(name) or {"": single[name]}
