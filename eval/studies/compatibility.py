"""Held-out bundles judged, filled in and ranked; what diversity and complements bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.metrics import roc_auc_score

from eval.measure.protocol import Scorer, Scores
from eval.studies.bundles import Bench, Held
from fusion.bundles.complete import complete
from fusion.bundles.mmr import likeness
from fusion.bundles.rank import rank_bundles
from fusion.bundles.set_scorer import SetScorer
from fusion.query import Query
from fusion.ranking.values import BoolArray
from kg.tables import FloatArray, IntArray

CHOICES = 4  # in fill in the blank
SHUFFLES = 3  # false outfits for each real one
DIVERSITY = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7)
COMPLEMENTS = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0)


def matched(
    bench: Bench, rng: np.random.Generator, row: int, taken: Sequence[int] | IntArray
) -> int:
    """Another item of the category, cold if this one is, else warm; -1 for none."""
    new = ~bench.recommender.snapshot.seen_items.cpu().numpy()
    like = (
        (bench.codes == bench.codes[row]) & (new == new[row]) & (bench.codes[row] >= 0)
    )
    same = np.setdiff1d(np.flatnonzero(like), [row, *taken])
    return int(rng.choice(same)) if len(same) else -1


def outfits(bench: Bench, bundles: Sequence[Held]) -> tuple[Scores, dict[str, float]]:
    """Real bundles against such whose items are all exchanged for others of their category.

    Returns:
        By way of judging, for each bundle the share of its SHUFFLES false outfits that it
        beats, ties counting half; and the AUC of all real against all false outfits.
    """
    rng = np.random.default_rng(bench.seed)
    values: dict[str, list[float]] = {}
    flat: dict[str, list[float]] = {}
    told, groups = [], []
    popular = np.log1p(
        np.bincount(
            bench.recommender.snapshot.graph.events.item, minlength=len(bench.codes)
        )
    )
    vectors = bench.recommender.embeddings.items.fused.cpu().numpy()
    for one in bench.bar(bundles, "judge"):
        sets = [one.items]
        for _ in range(SHUFFLES):
            false = list[int]()
            for row in one.items.tolist():
                other = matched(bench, rng, row, [*one.items, *false])
                false.append(row if other < 0 else other)
            if len(np.setdiff1d(false, one.items)) == len(one.items):
                sets.append(np.array(false))
        if len(sets) == 1:
            continue
        found = {
            "judge": np.array(
                [
                    bench.recommender.compatibility(bench.ids(s)).combination.score
                    for s in sets
                ]
            )
        }
        found |= {
            name: np.array([coherence(bench, scorer, s) for s in sets])
            for name, scorer in bench.baselines.items()
        }
        found["vectors alone"] = np.array([likeness(vectors[s]) for s in sets])
        found["popularity"] = np.array([popular[s].mean() for s in sets])
        for name, score in found.items():
            values.setdefault(name, []).append(
                float(np.mean((score[0] > score[1:]) + 0.5 * (score[0] == score[1:])))
            )
            flat.setdefault(name, []).extend(score)
        told += [1, *[0] * (len(sets) - 1)]
        groups.append(one.group)
    return _scores(groups, {n: {"Beats": v} for n, v in values.items()}), {
        name: float(roc_auc_score(told, score)) for name, score in flat.items()
    }


def coherence(bench: Bench, scorer: Scorer, rows: IntArray) -> float:
    """The mean of a baseline's scores of each item given the rest."""
    queries = bench.recommender.queries(
        [Query(items=bench.ids(rows[rows != row])) for row in rows]
    )
    scores = scorer.score(queries)
    return float(np.mean(scores[np.arange(len(rows)), rows]))


def blanks(bench: Bench, bundles: Sequence[Held]) -> Scores:
    """Fill in the blank: which of CHOICES items of one category stood in the bundle?"""
    rng = np.random.default_rng(bench.seed)
    values: dict[str, list[float]] = {}
    groups = []
    popular = np.bincount(
        bench.recommender.snapshot.graph.events.item, minlength=len(bench.codes)
    )
    for one in bench.bar(bundles, "blanks"):
        target = int(rng.choice(one.items))
        choices, rest = [target], one.items[one.items != target]
        for _ in range(CHOICES - 1):
            choices.append(matched(bench, rng, target, [*one.items, *choices]))
        if min(choices) < 0:
            continue
        pool = SetScorer(bench.recommender, np.array([*choices, *rest]))
        given = pool.score([range(CHOICES, CHOICES + len(rest))])[0, :CHOICES]
        queries = bench.recommender.queries([Query(items=bench.ids(rest))])
        found = {"hybrid": given}
        found |= {
            name: scorer.score(queries)[0, choices].astype(np.float64)
            for name, scorer in bench.baselines.items()
        }
        found |= {
            "popularity": popular[choices].astype(float),
            "random": np.zeros(CHOICES),
        }
        for name, score in found.items():
            tied = np.flatnonzero(score == score.max())
            values.setdefault(name, []).append(float(0 in tied) / len(tied))
        groups.append(one.group)
    return _scores(groups, {n: {"Accuracy": v} for n, v in values.items()})


def ranked(bench: Bench, bundles: Sequence[Held]) -> Scores:
    """Each held-out bundle among all of them, for its words where it has any, else its owner."""
    given = {str(n): bench.ids(one.items) for n, one in enumerate(bundles)}
    values: dict[str, dict[str, list[float]]] = {}
    for n, one in enumerate(bench.bar(bundles, "rank")):
        query = Query(text=one.words) if one.words else Query(bench.user(one))
        found = {
            "hybrid": [
                b.id
                for b in rank_bundles(
                    bench.recommender, given, query.user, query.text, k=len(given)
                )
            ]
        }
        queries = bench.recommender.queries([query])
        for name, scorer in bench.baselines.items():
            score = scorer.score(queries)[0].astype(np.float64)
            mean = np.array([score[other.items].mean() for other in bundles])
            found[name] = [str(b) for b in np.argsort(-mean, kind="stable")]
        for name, order in found.items():
            place = order.index(str(n))
            row = values.setdefault(name, {"MRR": [], "Recall@10": []})
            row["MRR"].append(1 / (place + 1))
            row["Recall@10"].append(float(place < 10))
    return _scores([one.group for one in bundles], values)


def diversity(bench: Bench, bundles: Sequence[Held], k: int = 10) -> Scores:
    """What unlike items cost: one item of each bundle is looked for in the others' answer.

    Returns:
        For each diversity: whether the answer has the item, the mean distance of the answer's
        pairs (1 less the cosine), and how many categories it has.
    """
    rng = np.random.default_rng(bench.seed)
    vectors = bench.recommender.embeddings.items.fused.cpu().numpy()
    values: dict[str, dict[str, list[float]]] = {}
    for one in bench.bar(bundles, "diversity"):
        target = int(rng.choice(one.items))
        query = Query(bench.user(one), bench.ids(one.items[one.items != target]), k=k)
        for value in DIVERSITY:
            best, _ = complete(bench.recommender, query, diversity=value)
            kinds = np.unique(bench.codes[best])
            row = values.setdefault(
                f"diversity {value:g}", {"HR": [], "Distance": [], "Categories": []}
            )
            row["HR"].append(float(target in best))
            row["Distance"].append(1 - likeness(vectors[best]))
            row["Categories"].append(float((kinds >= 0).sum()))
    return _scores([one.group for one in bundles], values)


def complements(
    bench: Bench, bundles: Sequence[Held], k: int = 10
) -> tuple[Scores, BoolArray]:
    """What complements bring: one item left out of each bundle, looked for as in diversity.

    Returns:
        For each strength: whether the answer has the item, and the share of the answer that is
        of another category than all context items; and (B,) whether the item itself is.
    """
    rng = np.random.default_rng(bench.seed)
    values: dict[str, dict[str, list[float]]] = {}
    cross = []
    for one in bench.bar(bundles, "complements"):
        target = int(rng.choice(one.items))
        hand = one.items[one.items != target]
        kinds, query = bench.codes[hand], Query(bench.user(one), bench.ids(hand), k=k)
        cross.append(bench.codes[target] not in kinds)
        for value in COMPLEMENTS:
            best, _ = complete(bench.recommender, query, complements=value)
            row = values.setdefault(
                f"complements {value:g}", {"HR": [], "Other categories": []}
            )
            row["HR"].append(float(target in best))
            row["Other categories"].append(
                float(np.isin(bench.codes[best], kinds, invert=True).mean())
            )
    return _scores([one.group for one in bundles], values), np.array(cross)


def _scores(
    groups: Sequence[int], values: Mapping[str, Mapping[str, Sequence[float]]]
) -> Scores:
    arrays: dict[str, dict[str, FloatArray]] = {
        n: {m: np.array(v) for m, v in r.items()} for n, r in values.items()
    }
    return Scores(np.array(groups), arrays, dict.fromkeys(arrays, 0.0))
