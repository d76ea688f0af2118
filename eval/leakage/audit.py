"""Audit: does an edge type of the training graph give the held-out items away?

The exact checks of `fusion.tasks.leaks` refuse held-out events in the training graph. This
looks for copies of them in other
clothes, which only numbers betray: a `user_item` edge that is the union of the user's bundles
completes held-out bundles with a recall@10 of 0.99, and no rule about identifiers sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from eval.leakage.copies import TWINS, repeated_pairs, target_notes, twin_bundles
from eval.leakage.paths import TOP, Reach, hit_chances, measured_paths
from fusion.experiment import Splitter, Task
from fusion.tasks.folds import held_events
from kg.graph import Graph
from kg.split.grouped import GroupedSplit
from kg.split.held import Split
from kg.split.last import LeaveLast
from kg.tables import Tables

HIGH = 0.6  # recall@10 of one edge type alone that honest data hardly reach


AHEAD = 3.0  # times the best of all that does not use the edge type


ALL, FEW = 0.9, 0.02  # nearly all targets within so small a share of the catalogue


LEAST = 20  # queries that a share of them says anything about


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes:
        leaks: One sentence a fault, with the remedy; empty where the graph is clean.
        notes: Facts that are no fault in themselves.
        paths: Every path measured, the strongest first.
    """

    leaks: tuple[str, ...]
    notes: tuple[str, ...]
    paths: tuple[Reach, ...]

    def line(self) -> str:
        """In one line."""
        if self.leaks:
            return "LEAK: " + " ".join(self.leaks)
        best = (
            f"; the strongest edges alone, {_named(self.paths[0])}"
            if self.paths
            else ""
        )
        return f"no edge gives the held-out items away{best}"


def audit(
    split: Split,
    graph: Graph,
    tasks: Mapping[str, Task],
    seed: int = 0,
    limit: int = 500,
) -> Audit:
    """Measure what each edge type alone tells about the validation queries.

    An edge type is flagged where a path over it has a recall@10 above 0.6, and either that is
    3 times what the best path without it reaches (popularity included), or it reaches nine of
    ten targets within 2 % of the catalogue.

    Args:
        split: What is held out; its test events are looked at for copies only.
        graph: Of its training tables.
        tasks: How held-out events become queries.
        seed: Of the draws.
        limit: Most queries a task.
    """
    events = held_events(graph, split.valid.events)
    leaks: dict[str, None] = {}
    notes, paths = [], []
    for name, task in tasks.items():
        queries = task.held_out(graph, events, seed)
        if len(queries) > limit:
            queries = queries.take(
                np.sort(
                    np.random.default_rng(seed).choice(
                        len(queries), limit, replace=False
                    )
                )
            )
        if not len(queries):
            continue
        found = list(measured_paths(graph, name, queries))
        popularity = np.bincount(
            graph.events.item, minlength=graph.size(graph.item)
        ).astype(np.float32)
        base = float(
            np.mean(hit_chances(np.tile(popularity, (len(queries), 1)), queries))
        )
        leaks |= dict.fromkeys(_suspects(found, base))
        paths += found
        notes += target_notes(split, graph, name, queries)
    for what, held in (("validation", split.valid), ("test", split.test)):
        twins, total = twin_bundles(graph, held_events(graph, held.events))
        if total:
            notes.append(
                f"{twins:,} of {total:,} {what} bundles have exactly the items of a training bundle"
            )
        if total >= LEAST and twins > TWINS * total:
            leaks[
                f"{notes[-1]}: leave the copies out of one or the other, or group "
                f"the split by what they share."
            ] = None
    again, total = repeated_pairs(graph, events)
    if total:
        notes.append(
            f"{again:,} of {total:,} validation pairs of user and item stand in training, too"
        )
    return Audit(
        tuple(leaks), tuple(notes), tuple(sorted(paths, key=lambda p: -p.recall))
    )


def usual(tables: Tables) -> tuple[Splitter, dict[str, Task]]:
    """A split and tasks without a recipe: the last of each user, else bundles at random."""
    from fusion.tasks.basket_completion import BasketCompletion
    from fusion.tasks.next_item import NextItem
    from kg.graph import build_graph

    events = build_graph(tables).events
    bundles = bool((events.bundle >= 0).any())
    timed = len(events) and not np.isnan(events.time).any() and (events.user >= 0).all()
    tasks: dict[str, Task] = (
        {"bundles": BasketCompletion(min_items=2)}
        if bundles
        else {"next": NextItem(exclude_seen=False)}
    )
    return LeaveLast() if timed else GroupedSplit(
        0.1, 0.1, group="bundle" if bundles else "user"
    ), tasks


def _suspects(paths: list[Reach], base: float) -> list[str]:
    """The edge types to drop: pairs are blamed only where no single one is."""
    said, blamed = [], set[str]()
    for path in sorted(paths, key=lambda p: (len(set(p.path)), len(p.path), -p.recall)):
        if blamed & set(path.path) or path.recall <= HIGH or path.queries < LEAST:
            continue
        elsewhere = max(
            [base, *(p.recall for p in paths if not set(p.path) & set(path.path))]
        )
        tiny = path.reached >= ALL and path.spread <= FEW
        if path.recall > AHEAD * elsewhere or tiny:
            blamed |= set(path.path)
            why = (
                f"it reaches {path.reached:.0%} of the targets and {path.spread:.2%} "
                f"of the catalogue"
                if tiny
                else f"all that does not use it at most {elsewhere:.2f}"
            )
            drop = " or ".join(repr(name) for name in dict.fromkeys(path.path))
            said.append(
                f"{_named(path)}, {why}: drop {drop}, or rebuild it without what is held out."
            )
    return said


def _named(path: Reach) -> str:
    walked = f"{' + '.join(path.path)} from the {path.start}"
    return f"{path.task}: {walked} has recall@{TOP} {path.recall:.2f}"
