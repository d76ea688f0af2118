"""Whole held-out bundles, built anew from their intent or one item, beside baselines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from eval.baselines.counts import ItemKNN
from eval.baselines.text import TfIdf
from eval.measure.protocol import Scorer, Scores
from fusion.bundles.plan import Plan, Slot
from fusion.query import Query
from fusion.recommender import Recommender
from fusion.tasks.folds import held_events
from kg.errors import DataError
from kg.progress import tqdm
from kg.tables import FloatArray, IntArray

LARGEST = 8  # items of a bundle that is asked for; larger ones are left out
LEAST = 4  # items a category must have for its items to stand in for each other


@dataclass(frozen=True)
class Held:
    """A held-out bundle.

    Attributes:
        items: Rows, ascending.
        user: Its owner's row, -1 where nobody is known.
        words: What people called it, "" for nothing.
        group: Bundles of one group stand together in the bootstrap.
    """

    items: IntArray
    user: int
    words: str
    group: int


def held_bundles(
    recommender: Recommender, file: Path, limit: int, seed: int
) -> list[Held]:
    """A run's held-out bundles of 2 to LARGEST items, at most `limit` by a seeded draw.

    Raises:
        DataError: There are none.
    """
    graph = recommender.snapshot.graph
    events = held_events(graph, pq.read_table(file))
    events = events.take(events.bundle >= 0)
    order = np.lexsort((events.item, events.bundle))
    events = events.take(order)
    found: list[Held] = []
    starts = np.unique(events.bundle, return_index=True)[1]
    for start, stop in zip(starts, [*starts[1:], len(events)], strict=True):
        items, user = np.unique(events.item[start:stop]), int(events.user[start])
        if 2 <= len(items) <= LARGEST:
            words = events.words[events.bundle[start]] if events.words else ""
            found.append(
                Held(items, user, words, user if user >= 0 else -1 - len(found))
            )
    if not found:
        raise DataError(f"{file}: no held-out bundle has 2 to {LARGEST} items")
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(found))[: limit or len(found)])
    return [found[n] for n in chosen]


class Bench:
    """A recommender, what it is held against, and the categories that items are matched by.

    Args:
        recommender: The run.
        seed: Of every draw.
        bars: Whether to draw progress bars.
    """

    def __init__(
        self, recommender: Recommender, seed: int = 0, bars: bool = True
    ) -> None:
        self.recommender, self.seed, self.bars = recommender, seed, bars
        graph = recommender.snapshot.graph
        self.baselines: dict[str, Scorer] = {"co-occurrence": ItemKNN(graph)}
        texts = recommender.tables.texts(graph.item)
        if any(texts):
            self.baselines["text similarity"] = TfIdf(graph, texts)
        self.kind = recommender.facts.kind
        self.codes = self._codes()

    def _codes(self) -> IntArray:
        """(I,) an item's category: of its values with enough items the rarest; -1 for none."""
        if not self.kind:
            return np.zeros(len(self.recommender.items), np.int64)
        values = self.recommender.facts.values(self.kind)
        size = np.bincount(values.value, minlength=len(values.names))
        enough = size[values.value] >= LEAST
        item, value = values.item[enough], values.value[enough]
        order = np.lexsort((value, -size[value]))
        codes = np.full(values.items, -1)
        codes[item[order]] = value[order]
        return codes

    def bar(self, bundles: Sequence[Held], what: str) -> Any:
        """The bundles, with a bar."""
        return tqdm(
            bundles, desc=what, unit="bundle", leave=False, disable=not self.bars
        )

    def ids(self, rows: Sequence[int] | IntArray) -> tuple[str, ...]:
        """Rows to ids."""
        return tuple(self.recommender.items.key(int(row)) for row in rows)

    def user(self, one: Held) -> str | None:
        """The owner's id."""
        graph = self.recommender.snapshot.graph
        return (
            graph.vocabs[graph.user].key(one.user)
            if one.user >= 0 and graph.user
            else None
        )

    def others(self, query: Query) -> dict[str, FloatArray]:
        """(I,) scores of the greedy reading of the model, and of the baselines."""
        queries = self.recommender.queries([query])
        found = {"greedy": self.recommender.score(queries)[0].astype(float)}
        found |= {
            name: scorer.score(queries)[0].astype(float)
            for name, scorer in self.baselines.items()
        }
        for score in found.values():
            score[queries.context[0]] = -np.inf
        return found

    def build(self, bundles: Sequence[Held], start: str, slots: bool) -> Scores:
        """Whole held-out bundles of their own size, from their intent or one item and its user.

        Args:
            bundles: What is asked for.
            start: "intent" or "seed".
            slots: Whether the plan also names the category of every item, one slot each.
        """
        rng = np.random.default_rng(self.seed)
        values: dict[str, dict[str, list[float]]] = {}
        seconds: dict[str, float] = {}
        for one in self.bar(bundles, f"build from {start}"):
            hand = (
                one.items[:0] if start == "intent" else rng.permutation(one.items)[:1]
            )
            rest = np.setdiff1d(one.items, hand)
            query = (
                Query(text=one.words)
                if start == "intent"
                else Query(self.user(one), self.ids(hand))
            )
            allowed = np.ones(len(self.codes), bool)
            allowed[hand] = False
            masks = self._places(rest) if slots else [(allowed, len(rest))]
            plan = Plan(size=(len(one.items),) * 2, alternatives=1)
            if slots:
                plan = Plan(
                    size=plan.size, alternatives=1, slots=self._slots(one.items)
                )
            clock = time.perf_counter()
            built = self.recommender.build(plan, query.user, query.items, query.text)[0]
            seconds["build"] = seconds.get("build", 0.0) + time.perf_counter() - clock
            found = {
                "build": [
                    self.recommender.items.row(p.id) for p in built.items if not p.kept
                ]
            }
            scores = self.others(query) | {"random": rng.random(len(allowed))}
            for name, score in scores.items():
                found[name] = list[int]()
                for mask, count in masks:
                    left = np.where(mask & allowed, score, -np.inf)
                    left[found[name]] = -np.inf
                    found[name] += np.argsort(-left, kind="stable")[:count].tolist()
            for name, rows in found.items():
                hit = len(np.intersect1d(rows, rest))
                row = values.setdefault(
                    name, {"Precision": [], "Recall": [], "Jaccard": []}
                )
                row["Precision"].append(hit / max(len(rows), 1))
                row["Recall"].append(hit / len(rest))
                row["Jaccard"].append(hit / len(np.union1d(rows, rest)))
        return self._scores(bundles, values, seconds)

    def _places(self, rows: IntArray) -> list[tuple[Any, int]]:
        codes, counts = np.unique(self.codes[rows], return_counts=True)
        values = self.recommender.facts.values(self.kind)
        return [
            (values.mask([code]), int(count))
            for code, count in zip(codes, counts, strict=True)
        ]

    def _slots(self, rows: IntArray) -> tuple[Slot, ...]:
        codes, counts = np.unique(self.codes[rows], return_counts=True)
        names = self.recommender.facts.values(self.kind).names
        return tuple(
            Slot(names[code], ((self.kind, (names[code],)),), int(count), int(count))
            for code, count in zip(codes, counts, strict=True)
        )

    def _scores(
        self, bundles: Sequence[Held], values: Any, seconds: dict[str, float]
    ) -> Scores:
        arrays = {
            name: {m: np.array(v) for m, v in rows.items()}
            for name, rows in values.items()
        }
        groups = np.array([one.group for one in bundles])
        return Scores(groups, arrays, {name: seconds.get(name, 0.0) for name in arrays})
