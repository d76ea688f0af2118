"""Which held-out queries are shown as examples: by a rule, the same for every recipe and seed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fusion.experiment import Recipe
from fusion.preparation import KnownGraph, Prepared, held_out
from fusion.query import Constraints, Query
from fusion.query_batch import QueryBatch, Ragged
from fusion.ranking.ranks import ranks
from fusion.recommender import Recommender
from fusion.tasks.folds import held_events

SHOWN = 5  # answers of each query
POPULAR = 20  # most popular items, which everybody is shown anyway
LOOKED_AT = 1000  # held-out queries of a task
_BATCH = 256  # queries scored at a time
_SIZES = (2, 5)  # context items that a reader takes in at a glance

FloatArray = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Example:
    """A query to show.

    Attributes:
        kind: "basket", "words" or "user": what of it is looked at.
        query: In ids.
        right: Ids of the items that were really taken.
    """

    kind: str
    query: Query
    right: frozenset[str]


def choose(
    recommender: Recommender, prepared: Prepared, recipe: Recipe
) -> list[Example]:
    """One query of each kind that the held-out events have.

    The right item is among the answers shown, or as high as it comes, and not popular anyway.
    Of such queries it is one with the most answers that are neither popular nor of a kind that
    is in the basket; of these, one that does not name the right item already; and of these,
    the one where that is least popular. Ties go to the earlier query.
    """
    known = prepared.serving
    by_task = held_out(known, recipe, known.split.test, LOOKED_AT)
    tasks = list(by_task.values())
    batches_of = {
        "basket": tasks,
        "words": tasks,
        "user": _users(known, prepared),
    }
    config = recommender.model.config
    if not (config.text or config.uses_bm25):
        del batches_of["words"]
    examples = []
    for kind, batches in batches_of.items():
        fitting = [_of_kind(kind, batch) for batch in batches]
        bests = [
            _best(recommender, kind, queries) for queries in fitting if len(queries)
        ]
        if bests:
            _, example = min(bests, key=_key)
            examples.append(example)
    return examples


def _of_kind(kind: str, queries: QueryBatch) -> QueryBatch:
    """Those with a basket, words or a user, and nothing else of them."""
    has_words = [bool(text.strip()) for text in queries.texts]
    worded = np.array(has_words, bool)
    sizes = queries.context.lengths
    smallest, largest = _SIZES
    small = (sizes >= smallest) & (sizes <= largest)
    empty = sizes == 0
    known = queries.users >= 0
    fits = {
        "basket": small & ~worded,
        "words": worded & empty,
        "user": known & empty & ~worded,
    }
    rows = np.flatnonzero(fits[kind])
    chosen = queries.take(rows)
    if kind == "user":
        return chosen
    nobody = np.full(len(chosen), -1)
    return replace(chosen, users=nobody)  # what the basket alone says


def _users(known: KnownGraph, prepared: Prepared) -> list[QueryBatch]:
    """Users alone, to all that they took among the held-out events."""
    events = held_events(known.graph, known.split.test.events)
    bought = events.take(events.user >= 0)
    users = np.unique(bought.user)
    if not len(users):
        return []
    step = math.ceil(len(users) / LOOKED_AT)
    users = users[::step]
    count = len(users)
    targets = [np.unique(bought.item[bought.user == user]) for user in users]
    excluded = None
    if _only_new(prepared):
        have = known.counts.interacted
        owned = [np.asarray(have(int(user))) for user in users]
        pairs = zip(targets, owned, strict=True)
        targets = [np.setdiff1d(target, items) for target, items in pairs]
        excluded = Ragged.of(owned)
    batch = QueryBatch(
        users=users,
        context=_no_items(count),
        texts=("",) * count,
        targets=Ragged.of(targets),
        groups=users,
        exclude=excluded,
    )
    answered = np.flatnonzero(batch.targets.lengths)
    return [batch.take(answered)]


def _only_new(prepared: Prepared) -> bool:
    """Whether what users have was never an answer in training: only what is new is asked for."""
    return any(queries.exclude is not None for *_, queries in prepared.folds)


def _no_items(count: int) -> Ragged:
    """As many empty lists."""
    return Ragged.of([[]] * count)


Key = tuple[float, ...]
Ranked = tuple[Key, Example]


def _key(ranked: Ranked) -> Key:
    key, _ = ranked
    return key


def _best(
    recommender: Recommender,
    kind: str,
    queries: QueryBatch,
) -> Ranked:
    """The query of the rule, and what it is ranked by: low is better."""
    stripped = _stripped(queries)
    count = len(queries)
    keys: list[Key] = []
    for start in range(0, count, _BATCH):
        stop = min(start + _BATCH, count)
        rows = np.arange(start, stop)
        keys += _keys(
            recommender,
            queries.take(rows),
            stripped.take(rows),
        )
    row = min(range(count), key=keys.__getitem__)
    best = queries.take(np.array([row]))
    return keys[row], _example(recommender, kind, best)


def _keys(
    recommender: Recommender,
    queries: QueryBatch,
    stripped: QueryBatch,
) -> list[Key]:
    """For each query its place in the rule's order."""
    scores, places = _scored(recommender, queries)
    plain_scores, plain_places = _scored(recommender, stripped)
    keys: list[Key] = []
    for row, place in enumerate(places):
        plain = plain_places[row]
        shown = _first(scores[row], SHOWN)
        popular = set(_first(plain_scores[row], POPULAR))
        rare = [item for item in shown if item not in popular]
        key = (
            place if place > SHOWN else 0.0,
            float(plain <= POPULAR),
            -float(_brought(recommender, rare, queries.context[row])),
            _given(recommender, queries, row),
            -plain,
        )
        keys.append(key)
    return keys


def _scored(
    recommender: Recommender,
    queries: QueryBatch,
) -> tuple[FloatArray, FloatArray]:
    """(B, I) scores, -inf where an item is no answer, and (B,) places of the best targets."""
    scores = recommender.score(queries)
    excluded = queries.excluded
    target_places = ranks(scores, queries.targets, excluded)
    starts = queries.targets.offsets[:-1]
    places = np.minimum.reduceat(target_places, starts)
    scores[excluded.owners, excluded.rows] = -np.inf
    return scores, places


def _first(scores: FloatArray, count: int) -> list[int]:
    """Rows of the items with the highest of (I,) scores, the best first."""
    order = np.argsort(-scores, kind="stable")
    rows: list[int] = order[:count].tolist()
    return rows


def _brought(
    recommender: Recommender,
    rare: Iterable[int],
    context: Iterable[int],
) -> int:
    """How many titles among the rare items are of a kind that is not in the context."""
    there = _heads(recommender, context)
    titles = {recommender.title(item) for item in rare}
    return sum(head(title) not in there for title in titles)


def _given(recommender: Recommender, queries: QueryBatch, row: int) -> float:
    """Whether a target is named in the query already, or one item twice: 1.0 or 0.0."""
    items = queries.context[row]
    context = _heads(recommender, items)
    targets = _heads(recommender, queries.targets[row])
    if context & targets or len(context) < len(items):
        return 1.0
    words = queries.texts[row].strip().lower()
    if not words:
        return 0.0
    titles = _titles(recommender, queries.targets[row])
    named = any(words in title.lower() for title in titles)
    return float(named)


def _heads(recommender: Recommender, rows: Iterable[int]) -> set[str]:
    titles = _titles(recommender, rows)
    return {head(title) for title in titles}


def _titles(recommender: Recommender, rows: Iterable[int]) -> list[str]:
    return [recommender.title(int(row)) for row in rows]


def head(title: str) -> str:
    """What an item is, by its title up to the first comma: sizes and brands come after."""
    return title.partition(",")[0]


def _stripped(queries: QueryBatch) -> QueryBatch:
    """Queries of which nothing is known; what may not be answered stays so."""
    count = len(queries)
    return replace(
        queries,
        users=np.full(count, -1),
        context=_no_items(count),
        texts=("",) * count,
        exclude=queries.excluded,
    )


def _example(recommender: Recommender, kind: str, queries: QueryBatch) -> Example:
    graph = recommender.snapshot.graph
    items = recommender.items
    row = int(queries.users[0])
    user = None
    if graph.user is not None and row >= 0:
        users = graph.vocabs[graph.user]
        user = users.key(row)
    context = [items.key(int(item)) for item in queries.context[0]]
    right = [items.key(int(item)) for item in queries.targets[0]]
    # What a user has is excluded by a flag that people can give, too.
    exclude_seen = queries.exclude is not None
    query = Query(
        user=user,
        items=tuple(context),
        text=queries.texts[0] or None,
        where=Constraints(exclude_seen=exclude_seen),
    )
    return Example(kind, query, frozenset(right))
