"""Explanations measured: are the paths there, do they carry the score, and how long does one take?"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from eval.bench.explanation_tables import SLICES
from eval.measure.bootstrap import mean_interval
from fusion.experiment import Recipe
from fusion.explain.attribution import choose
from fusion.explain.cases import Case, ExplanationTarget
from fusion.explain.explainer import Explainer
from fusion.explain.explanation import Explanation
from fusion.query import Constraints, Query
from fusion.query_batch import QueryBatch
from fusion.ranking.ranker import Ranker
from fusion.tasks.folds import held_events
from kg import config as recipes
from kg.counterfactual.edits import Cut
from kg.pathfinding.search import NodePath
from kg.progress import tqdm
from kg.tables import FloatArray

BETA = 0.3  # how much the latest interaction, or the most popular entity, counts in LIR and SEP
TOP = 10
PATHS = 3


@dataclass
class _Found:
    """What was measured, a value an explanation."""

    groups: list[int] = field(default_factory=list)
    covered: list[tuple[bool, bool]] = field(
        default_factory=list
    )  # (the item was taken in training, has a path)
    valid: list[bool] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)
    seconds: dict[str, list[tuple[float, float]]] = field(
        default_factory=lambda: {"paths": [], "support": []}
    )
    pairs: list[tuple[float, float]] = field(
        default_factory=list
    )  # (gradient's guess, by occlusion)

    def add(self, **values: float) -> None:
        for name, value in values.items():
            self.values.setdefault(name, []).append(value)


def measure(
    explainer: Explainer,
    queries: QueryBatch,
    count: int,
    sufficient: int,
    seed: int = 0,
    progress: bool = True,
) -> dict[str, Any]:
    """Explain items of answers to some queries: are their paths there, do they carry the score, how long does one take.

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
    recommender, found, known = explainer.recommender, _Found(), _Known(explainer)
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
            _judge(explainer, known, query, made, found, rng, b < sufficient)
            found.groups.append(int(drawn.groups[b]))
    return _summary(found, len(drawn))


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


def _judge(
    explainer: Explainer,
    known: _Known,
    query: Query,
    made: Explanation,
    found: _Found,
    rng: np.random.Generator,
    whole: bool,
) -> None:
    """Take the best and the blind path out, and for each a random one; and all but the paths."""
    occlusion, segmenter = explainer.occlusion, explainer.segmenter
    row = explainer.recommender.items.row(made.item.id)
    spot = occlusion.spot(query, row)
    walks = explainer.pool(spot, explainer.matches(spot), 10)
    supports, chosen, _ = choose(occlusion, segmenter, spot, walks, PATHS)
    same = [_others(explainer, spot, walk) for walk in (chosen[0], walks[0])]
    cuts: list[Cut] = [segmenter.cut(chosen[0]), segmenter.cut(walks[0])]
    cuts += [
        segmenter.cut(others[int(rng.integers(len(others)))])
        for others in same
        if others
    ]
    base, *scores = occlusion.scores(spot, [Case(), *map(Case, cuts)]).tolist()
    lost = [base - score for score in scores]
    fell = [spot.rank(spot.served - part) - spot.rank(spot.served) for part in lost]
    found.add(
        lost_best=lost[0], fell_best=fell[0], lost_blind=lost[1], fell_blind=fell[1]
    )
    rest = iter(zip(lost[2:], fell[2:], strict=True))
    for name, others in zip(("best", "blind"), same, strict=True):
        part, places = next(rest) if others else (np.nan, np.nan)
        alike = (
            float(others[0].steps == (chosen if name == "best" else walks)[0].steps)
            if others
            else np.nan
        )
        found.add(
            **{
                f"lost_like_{name}": part,
                f"fell_like_{name}": places,
                f"alike_{name}": alike,
            }
        )
    found.pairs += [(support.estimate, support.lost) for support in supports.values()]
    found.add(
        carried=float(max(s.lost for s in supports.values()) >= 0.01),
        text_weight=made.text_weight,
    )
    found.add(
        **known.qualities(made, spot),
        **{f"without {part}": lost for part, lost in made.parts.items()},
    )
    if whole:
        found.add(**_sufficiency(explainer, spot, chosen))


def _others(
    explainer: Explainer, spot: ExplanationTarget, walk: NodePath
) -> list[NodePath]:
    """Other paths of a path's kind; where there are none, of its length from its source's type."""
    sources = [*explainer.sources(spot), *explainer.matches(spot)]
    every = explainer.search.find(sources, walk.nodes[-1], len(walk.steps), each=50)
    every = [
        w for w in every if len(w.steps) == len(walk.steps) and w.nodes != walk.nodes
    ]
    same = [w for w in every if w.steps == walk.steps]
    return same or [w for w in every if w.nodes[0][0] == walk.nodes[0][0]]


def _sufficiency(
    explainer: Explainer, spot: ExplanationTarget, walks: Sequence[NodePath]
) -> dict[str, float]:
    """What is left of the score where the graph has the paths' edges alone, of what the whole graph adds to it."""
    graph, kept = explainer.graph, [explainer.segmenter.cut(walk) for walk in walks]
    nothing = {key[1]: np.arange(len(edge)) for key, edge in graph.edges.items()}
    only = dict(nothing)
    for key in graph.edges:
        rows = [cut[key[1]] for cut in kept if key[1] in cut]
        rows += [
            np.array([row])
            for w in walks
            for (n, _), row in zip(w.steps, w.edges, strict=True)
            if n == key[1]
        ]
        if rows:
            only[key[1]] = np.setdiff1d(nothing[key[1]], np.concatenate(rows))
    owners = explainer.segmenter.owners(only)
    base, left, none = explainer.occlusion.scores(
        spot, [Case(), Case(owners), Case(nothing)]
    ).tolist()
    return {"whole": base - none, "left": left - none}


class _Known:
    """What the training graph says, looked up without the search's own arrays."""

    def __init__(self, explainer: Explainer) -> None:
        self.explainer = explainer
        tables = explainer.recommender.tables.edges
        self.edges = {
            name: set(
                zip(t["source"].to_pylist(), t["target"].to_pylist(), strict=True)
            )
            for name, t in tables.items()
        }

    def valid(self, made: Explanation) -> list[bool]:
        """A path, whether each of its edges is in the training tables and no node stands twice."""
        found = []
        for path in made.paths:
            nodes = [(node.type, node.id) for node in path.nodes]
            pairs = zip(path.edges, path.nodes, path.nodes[1:], strict=False)
            there = all(
                ((b.id, a.id) if edge.back else (a.id, b.id))
                in self.edges[edge.relation]
                for edge, a, b in pairs
            )
            ends = nodes[-1] == (made.item.type, made.item.id)
            found.append(there and ends and len(set(nodes)) == len(nodes) <= 5)
        return found

    def qualities(self, made: Explanation, spot: ExplanationTarget) -> dict[str, float]:
        """LIR, SEP and ETD as in Balloccu et al. 2022, and how unlike the paths' inner nodes are."""
        graph = self.explainer.graph
        recent, popular = [], []
        times = graph.events.time[
            self.explainer.occlusion.recount.of_users(
                np.array([max(spot.place.user, 0)])
            )
        ]
        for path in made.paths:
            dated = [edge.time for edge in path.edges if edge.time is not None]
            if (
                spot.place.user >= 0
                and path.nodes[0].type == graph.user
                and dated
                and not np.isnan(times).all()
            ):
                recent.append(_smoothed(times, dated[0]))
            named = [
                n
                for n in path.nodes[1:-1]
                if n.type not in self.explainer.segmenter.blank
            ]
            if named:
                shared = named[-1]
                degrees = self.explainer.search.degree[shared.type].astype(float)
                popular.append(
                    _smoothed(
                        degrees,
                        float(degrees[graph.vocabs[shared.type].row(shared.id)]),
                    )
                )
        inner = [
            {
                (n.type, n.id)
                for n in p.nodes[1:-1]
                if n.type not in self.explainer.segmenter.blank
            }
            for p in made.paths
        ]
        apart = [
            1 - len(a & b) / len(a | b) if a | b else 0.0
            for n, a in enumerate(inner)
            for b in inner[n + 1 :]
        ]
        kinds = len({path.kind for path in made.paths})
        return {
            "LIR": float(np.mean(recent)) if recent else np.nan,
            "SEP": float(np.mean(popular)) if popular else np.nan,
            "ETD": kinds / len(made.paths),
            "unlike": float(np.mean(apart)) if apart else np.nan,
        }


def _smoothed(values: FloatArray, at: float) -> float:
    """Where a value stands among all, 0..1, by the exponentially weighted moving average of the values in order."""
    ordered = np.unique(values[~np.isnan(values)])
    average, found = np.empty(len(ordered)), ordered[0]
    for n, value in enumerate(ordered):
        found = value if n == 0 else (1 - BETA) * found + BETA * value
        average[n] = found
    spread = average[-1] - average[0]
    place = np.searchsorted(ordered, at).clip(max=len(ordered) - 1)
    return float((average[place] - average[0]) / spread) if spread else 1.0


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(began: tuple[float, float]) -> tuple[float, float]:
    wall, processor = _clocks()
    return wall - began[0], processor - began[1]


def _summary(found: _Found, queries: int) -> dict[str, Any]:
    groups = np.array(found.groups, np.int64)
    values = {name: np.array(v) for name, v in found.values.items()}
    covered = np.array(found.covered, bool).reshape(-1, 2)

    def told(v: FloatArray) -> dict[str, float | None]:
        there = ~np.isnan(v)
        if not there.any():
            return {"mean": None, "of": 0}
        interval = mean_interval(v[there], groups[: len(v)][there])
        alone = np.isnan(interval.low)
        ends = (None, None) if alone else (interval.low, interval.high)
        return {
            "mean": interval.mean,
            "low": ends[0],
            "high": ends[1],
            "of": int(there.sum()),
        }

    report: dict[str, Any] = {
        "queries": queries,
        "validity": float(np.mean(found.valid)) if found.valid else None,
        "paths": len(found.valid),
        "coverage": {
            name: {
                "share": float(covered[which, 1].mean()) if which.any() else None,
                "of": int(which.sum()),
            }
            for name, which in (
                ("all", np.ones(len(covered), bool)),
                ("interacted before", covered[:, 0]),
                ("new", ~covered[:, 0]),
            )
        },
        "seconds": {
            name: {
                f"p{p}{clock}": float(np.percentile(np.array(s)[:, at], p))
                for at, clock in enumerate(("", " of processor time"))
                for p in (50, 95)
            }
            | {"of": len(s)}
            for name, s in found.seconds.items()
        },
    }
    if not len(groups):
        return report
    for name in ("best", "blind"):
        lost, fell = values[f"lost_{name}"], values[f"fell_{name}"]
        report[f"deletion, {name} path"] = {
            "score lost": told(lost),
            "places lost": told(fell),
        }
        for part, alike in zip(SLICES, (1, 0), strict=True):
            mine = np.where(values[f"alike_{name}"] == alike, 0.0, np.nan)
            random, places = (
                values[f"lost_like_{name}"] + mine,
                values[f"fell_like_{name}"] + mine,
            )
            report[f"deletion, {name} path"][part] = {
                "score lost": told(lost + mine),
                "places lost": told(fell + mine),
                "random, score lost": told(random),
                "random, places lost": told(places),
                "difference, score": told(lost - random),
                "difference, places": told(fell - places),
            }
    report |= {
        name: told(values[name])
        for name in ("carried", "text_weight", "LIR", "SEP", "ETD", "unlike")
    }
    report["parts"] = {
        n.removeprefix("without "): told(v)
        for n, v in values.items()
        if n.startswith("without ")
    }
    if "whole" in values and values["whole"].sum():
        report["sufficiency"] = {
            "left": float(values["left"].sum() / values["whole"].sum()),
            "of": len(values["whole"]),
            "score the graph adds": float(values["whole"].mean()),
            "score the paths add": float(values["left"].mean()),
        }
    guess, lost = np.array(found.pairs).T
    order = np.argsort(np.argsort([guess, lost], axis=1), axis=1)
    report["estimate"] = {
        "rank correlation": float(np.corrcoef(order[0], order[1])[0, 1]),
        "of": len(guess),
    }
    return report


def held_asks(
    recommender: Ranker, run: Path, which: str = "test"
) -> dict[str, QueryBatch]:
    """By task of its recipe, the queries about what the run held out for the test, or with "valid" for validation."""
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
