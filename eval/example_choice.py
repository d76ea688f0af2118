"""Which held-out queries are shown as examples: by a rule, the same for every recipe and seed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

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
    tasks, users = list(by_task.values()), _users(known, prepared)
    config = recommender.model.config
    examples = []
    for kind, batches in (("basket", tasks), ("words", tasks), ("user", users)):
        if kind == "words" and not (config.text or config.uses_bm25):
            continue
        weighed = [
            _best(recommender, kind, fitting)
            for batch in batches
            if len(fitting := _of_kind(kind, batch))
        ]
        if weighed:
            examples.append(min(weighed, key=lambda pair: pair[0])[1])
    return examples


def _of_kind(kind: str, queries: QueryBatch) -> QueryBatch:
    """Those with a basket, words or a user, and nothing else of them."""
    worded = np.array([bool(text.strip()) for text in queries.texts], bool)
    sizes = queries.context.lengths
    fits = {
        "basket": (sizes >= _SIZES[0]) & (sizes <= _SIZES[1]) & ~worded,
        "words": worded & (sizes == 0),
        "user": (queries.users >= 0) & (sizes == 0) & ~worded,
    }
    chosen = queries.take(np.flatnonzero(fits[kind]))
    if kind == "user":
        return chosen
    return replace(chosen, users=np.full(len(chosen), -1))  # what the basket alone says


def _users(known: KnownGraph, prepared: Prepared) -> list[QueryBatch]:
    """Users alone, to all that they took among the held-out events."""
    events = held_events(known.graph, known.split.test.events)
    bought = events.take(events.user >= 0)
    users = np.unique(bought.user)
    if not len(users):
        return []
    users = users[:: -(-len(users) // LOOKED_AT)]
    targets = [np.unique(bought.item[bought.user == user]) for user in users]
    nothing = Ragged.of([[]] * len(users))
    excluded = None
    # Where what users have was never an answer in training, only what is new is asked for.
    if any(queries.exclude is not None for *_, queries in prepared.folds):
        have = known.counts.interacted
        excluded = Ragged.of([np.asarray(have(int(user))) for user in users])
        targets = [
            np.setdiff1d(target, excluded[row]) for row, target in enumerate(targets)
        ]
    batch = QueryBatch(
        users, nothing, ("",) * len(users), Ragged.of(targets), users, excluded
    )
    return [batch.take(np.flatnonzero(batch.targets.lengths))]


Key = tuple[float, ...]


def _best(
    recommender: Recommender, kind: str, queries: QueryBatch
) -> tuple[Key, Example]:
    """The query of the rule, and what it is ranked by: low is better."""
    stripped = _stripped(queries)
    keys: list[Key] = []
    for start in range(0, len(queries), _BATCH):
        rows = np.arange(start, min(start + _BATCH, len(queries)))
        keys += _keys(recommender, queries.take(rows), stripped.take(rows))
    row = min(range(len(keys)), key=keys.__getitem__)
    return keys[row], _example(recommender, kind, queries.take(np.array([row])))


def _keys(
    recommender: Recommender, queries: QueryBatch, stripped: QueryBatch
) -> list[Key]:
    """For each query its place in the rule's order."""
    scores = recommender.score(queries)
    plain_scores = recommender.score(stripped)
    starts = queries.targets.offsets[:-1]
    found = ranks(scores, queries.targets, queries.excluded)
    place = np.minimum.reduceat(found, starts)
    found = ranks(plain_scores, stripped.targets, stripped.excluded)
    plain = np.minimum.reduceat(found, starts)
    keys: list[Key] = []
    for row in range(len(queries)):
        scores[row, queries.excluded[row]] = -np.inf
        plain_scores[row, stripped.excluded[row]] = -np.inf
        first = np.argsort(-scores[row], kind="stable")[:SHOWN]
        popular = set(np.argsort(-plain_scores[row], kind="stable")[:POPULAR].tolist())
        rare = [item for item in first.tolist() if item not in popular]
        context = _heads(recommender, queries.context[row])
        titles = {recommender.title(item) for item in rare}
        brought = sum(head(title) not in context for title in titles)
        given = _given(recommender, queries, row)
        common = float(plain[row] <= POPULAR)
        late = place[row] if place[row] > SHOWN else 0.0
        keys.append((late, common, -float(brought), given, -plain[row]))
    return keys


def _given(recommender: Recommender, queries: QueryBatch, row: int) -> float:
    """Whether a target is named in the query already, or one item twice: 1.0 or 0.0."""
    context = _heads(recommender, queries.context[row])
    targets = _heads(recommender, queries.targets[row])
    words = queries.texts[row].strip().lower()
    repeated = len(context) < len(queries.context[row]) or bool(context & targets)
    titles = [recommender.title(int(item)).lower() for item in queries.targets[row]]
    named = bool(words) and any(words in title for title in titles)
    return float(repeated or named)


def _heads(recommender: Recommender, rows: Iterable[int]) -> set[str]:
    return {head(recommender.title(int(row))) for row in rows}


def head(title: str) -> str:
    """What an item is, by its title up to the first comma: sizes and brands come after."""
    return title.partition(",")[0]


def _stripped(queries: QueryBatch) -> QueryBatch:
    """Queries of which nothing is known; what may not be answered stays so."""
    count = len(queries)
    return replace(
        queries,
        users=np.full(count, -1),
        context=Ragged.of([[]] * count),
        texts=("",) * count,
        exclude=queries.excluded,
    )


def _example(recommender: Recommender, kind: str, queries: QueryBatch) -> Example:
    graph, items = recommender.snapshot.graph, recommender.items
    user = None
    if graph.user is not None and queries.users[0] >= 0:
        user = graph.vocabs[graph.user].key(int(queries.users[0]))
    context = tuple(items.key(int(row)) for row in queries.context[0])
    # What a user has is excluded by a flag that people can give, too.
    where = Constraints(exclude_seen=queries.exclude is not None)
    query = Query(user, context, queries.texts[0] or None, where=where)
    right = frozenset(items.key(int(row)) for row in queries.targets[0])
    return Example(kind, query, right)
