"""Counts of typed paths of one or two hops, as sparse matrices over the training graph."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from kg.errors import InputError
from kg.events import Events
from kg.graph import Graph
from kg.metapaths.attributes import AttributePaths, attribute_paths
from kg.metapaths.cooccurrence import bundle_items, co_occurrences
from kg.metapaths.ease import ease_weights
from kg.metapaths.knn import NEAR, by_neighbours
from kg.metapaths.relations import (
    item_relations,
    kin,
    transitions,
    user_relations,
)
from kg.metapaths.sparse import Matrix, matrix_of, product, top
from kg.metapaths.svd import PURESVD, item_factors, rebuilt
from kg.ragged import pair_key
from kg.tables import FloatArray, IntArray


@dataclass(frozen=True)
class PathConfig:
    """What is counted.

    Attributes:
        half_life: Age at which an event counts half, in the graph's time units; for the
            recency-decayed counts.
        recent: How far back recent popularity looks, in the graph's time units.
        keep: Entries kept a row of the item-item matrices, the strongest first.
        ease: Penalty of EASE (Steck 2019) as one more count from item to item: a count that
            knows which others explain it already; 0 does without. A dense matrix of items by
            items: some seconds at 5,000, two minutes at 18,000.
        rank: Singular vectors of what users take (Cremonesi 2010), for one more count from
            user to item: what those who take alike take, of what the user has not taken; 0
            does without.
        neighbours: How many users are near to a user, for a count of what these take (Resnick
            1994); 0 does without.
    """

    half_life: float = 6.0
    recent: float = 4.0
    keep: int = 300
    ease: float = 0.0
    rank: int = 0
    neighbours: int = 0

    def __post_init__(self) -> None:
        if not (self.half_life > 0 and self.recent > 0 and self.keep >= 1):
            raise InputError(
                f"paths: half_life and recent must be above 0, keep at least 1, not {self}"
            )
        if min(self.ease, self.rank, self.neighbours) < 0:
            raise InputError(
                f"paths: ease, rank and neighbours must be at least 0, not {self}"
            )


@dataclass(frozen=True)
class PathCounts:
    """All counts that the evidence is made of.

    Attributes:
        user_item: By name, (U, I) one-hop counts and their two-hop completion.
        item_item: By name, (I, I) two-hop counts, diagonal zero, pruned a row.
        item: By name, (I,) facts of the item alone.
        user: By name, (U,) facts of the user alone.
        attributes: One for each relation from items to attributes.
        config: How they were counted.
    """

    user_item: dict[str, Matrix]
    item_item: dict[str, Matrix]
    item: dict[str, FloatArray]
    user: dict[str, FloatArray]
    attributes: list[AttributePaths] = field(default_factory=list)
    config: PathConfig = PathConfig()

    def interacted(self, user: int) -> IntArray:
        """Rows of the items that a user (a row) took; none of nobody, -1."""
        counts = self.user_item.get("user-item")
        if user < 0 or counts is None:
            return np.zeros(0, np.int64)
        return np.asarray(
            counts.indices[counts.indptr[user] : counts.indptr[user + 1]],
            np.int64,
        )


def count_paths(graph: Graph, config: PathConfig | None = None) -> PathCounts:
    """Count every typed path of the graph.

    Nothing but the graph's own events and edges is looked at.
    """
    config = config or PathConfig()
    events, items = graph.events, graph.size(graph.item)
    users = graph.size(graph.user) if graph.user else 0
    decay = _decay(events, config.half_life)
    known = events.user >= 0
    user_item: dict[str, Matrix] = {}
    item_item: dict[str, Matrix] = {}
    user = {}
    popularity = np.bincount(events.item, minlength=items).astype(float)
    item = {
        "popularity": popularity,
        "recent popularity": _recent(events, config.recent, items),
    }
    if known.any():
        ends = (events.user[known], events.item[known])
        counts = matrix_of(np.ones(known.sum()), ends, (users, items))
        recent = matrix_of(decay[known], ends, (users, items))
        users_of = np.asarray((counts > 0).sum(0), float).ravel()
        item["repeats"] = popularity / np.maximum(users_of, 1)
        user["history"] = np.asarray(counts.sum(1), float).ravel()
        user_item["user-item"] = counts
        user_item["user-item recent"] = recent
        latest = _last(events.take(known), decay[known], (users, items))
        user_item["user-item last"] = latest
        if config.rank:
            factors = item_factors(counts, config.rank)
            user_item[PURESVD] = rebuilt(counts, factors, config.keep)
        if config.neighbours:
            user_item[NEAR] = by_neighbours(counts, config.neighbours, config.keep)
        item_item |= co_occurrences(counts.sign(), "user", config.keep)
    groups = bundle_items(events, items)
    if groups is not None:
        item_item |= co_occurrences(groups, "bundle", config.keep)
    if config.ease and (groups is not None or known.any()):
        baskets = groups if groups is not None else counts.sign()
        weights = ease_weights(baskets, config.ease)
        positive = sp.csr_matrix(np.maximum(weights, 0))
        item_item["item-item ease"] = top(positive, config.keep)
    item_item |= transitions(events, items, config.keep)
    item_item |= item_relations(graph, config.keep)
    item_item |= kin(graph, popularity, config.keep)
    if known.any() and item_item:
        through = "user" if groups is None else "bundle"
        best = item_item[f"item-{through}-item cosine"]
        total = np.asarray(recent.sum(1)).ravel()
        shares = sp.diags(1 / np.maximum(total, 1e-9))
        profile = (shares @ recent).tocsr()
        user_item["user-item-item"] = product(profile, best, config.keep)
    user_item |= user_relations(graph, events, config.keep)
    return PathCounts(
        user_item,
        item_item,
        item,
        user,
        list(attribute_paths(graph, decay, groups)),
        config,
    )


def _decay(events: Events, half_life: float) -> FloatArray:
    """(E,) 0.5 ** (age / half-life), 1 where no time is known."""
    if np.isnan(events.time).all():
        return np.ones(len(events))
    age = np.nanmax(events.time) - events.time
    return np.exp2(-np.nan_to_num(age) / half_life)


def _recent(
    events: Events,
    window: float,
    items: int,
) -> FloatArray:
    if np.isnan(events.time).all():
        return np.bincount(events.item, minlength=items).astype(float)
    late = events.time > np.nanmax(events.time) - window
    return np.bincount(events.item[late], minlength=items).astype(float)


def _last(
    events: Events,
    decay: FloatArray,
    shape: tuple[int, int],
) -> Matrix:
    """(U, I) the decayed weight of the latest event alone: how fresh the habit is."""
    order = np.argsort(decay, kind="stable")
    pair = pair_key(events.user[order], events.item[order], shape[1])
    _, last = np.unique(pair[::-1], return_index=True)
    chosen = order[::-1][last]
    return matrix_of(decay[chosen], (events.user[chosen], events.item[chosen]), shape)


def widen(counts: PathCounts, graph: Graph) -> PathCounts:
    """The same counts for a graph with more items, attribute values or users at the end.

    Nothing is counted of the new ones, but for their attributes: what the graph says of these is
    taken up, and with it what they share with others.
    """
    items = graph.size(graph.item)
    users = graph.size(graph.user) if graph.user else 0

    def grown(matrix: Matrix, shape: tuple[int, int]) -> Matrix:
        copy = matrix.copy()
        copy.resize(shape)
        return copy

    attributes = []
    for path in counts.attributes:
        ((source, name, target),) = [key for key in graph.edges if key[1] == path.name]
        edge, values = graph.edges[(source, name, target)], graph.size(target)
        ends = (edge.source, edge.target)
        attributes.append(
            AttributePaths(
                name,
                matrix_of(np.ones(len(edge)), ends, (items, values)).sign(),
                grown(path.users, (max(users, 1), values)),
                grown(path.together, (values, values)),
            )
        )
    item = {
        k: np.pad(
            v,
            (0, items - len(v)),
        )
        for k, v in counts.item.items()
    }
    item_item = {k: grown(m, (items, items)) for k, m in counts.item_item.items()}
    if "item-attributes-item" in item_item:  # else nothing was trained to read it
        item_item |= kin(graph, item["popularity"], counts.config.keep)
    return PathCounts(
        {k: grown(m, (users, items)) for k, m in counts.user_item.items()},
        item_item,
        item,
        {
            k: np.pad(
                v,
                (0, users - len(v)),
            )
            for k, v in counts.user.items()
        },
        attributes,
        counts.config,
    )
