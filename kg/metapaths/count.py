"""Counts of typed paths of one or two hops, as sparse matrices over the training graph."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from kg.errors import InputError
from kg.events import Events
from kg.graph import Graph
from kg.metapaths.attributes import AttributePaths, attribute_paths
from kg.metapaths.ease import ease_weights
from kg.metapaths.knn import NEAR, by_neighbours
from kg.metapaths.relations import (
    item_relations,
    kin,
    transitions,
    user_relations,
)
from kg.metapaths.sparse import BLOCK, Matrix, matrix_of, product, top
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
            counts.indices[counts.indptr[user] : counts.indptr[user + 1]], np.int64
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
        takers = np.asarray((counts > 0).sum(0), float).ravel()
        item["repeats"] = popularity / np.maximum(takers, 1)
        user["history"] = np.asarray(counts.sum(1), float).ravel()
        user_item["user-item"] = counts
        user_item["user-item recent"] = recent
        user_item["user-item last"] = _last(
            events.take(known), decay[known], (users, items)
        )
        if config.rank:
            user_item[PURESVD] = rebuilt(
                counts, item_factors(counts, config.rank), config.keep
            )
        if config.neighbours:
            user_item[NEAR] = by_neighbours(counts, config.neighbours, config.keep)
        item_item |= _together(counts.sign(), "user", config.keep)
    groups = _groups(events, items)
    if groups is not None:
        item_item |= _together(groups, "bundle", config.keep)
    if config.ease and (groups is not None or known.any()):
        weights = ease_weights(
            groups if groups is not None else counts.sign(), config.ease
        )
        item_item["item-item ease"] = top(
            sp.csr_matrix(np.maximum(weights, 0)), config.keep
        )
    item_item |= transitions(events, items, config.keep)
    item_item |= item_relations(graph, config.keep)
    item_item |= kin(graph, popularity, config.keep)
    if known.any() and item_item:
        best = item_item[
            "item-user-item cosine" if groups is None else "item-bundle-item cosine"
        ]
        profile = (
            sp.diags(1 / np.maximum(np.asarray(recent.sum(1)).ravel(), 1e-9)) @ recent
        )
        user_item["user-item-item"] = product(profile.tocsr(), best, config.keep)
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


def _recent(events: Events, window: float, items: int) -> FloatArray:
    if np.isnan(events.time).all():
        return np.bincount(events.item, minlength=items).astype(float)
    late = events.time > np.nanmax(events.time) - window
    return np.bincount(events.item[late], minlength=items).astype(float)


def _last(events: Events, decay: FloatArray, shape: tuple[int, int]) -> Matrix:
    """(U, I) the decayed weight of the latest event alone: how fresh the habit is."""
    order = np.argsort(decay, kind="stable")
    pair = pair_key(events.user[order], events.item[order], shape[1])
    _, last = np.unique(pair[::-1], return_index=True)
    chosen = order[::-1][last]
    return matrix_of(decay[chosen], (events.user[chosen], events.item[chosen]), shape)


def _groups(events: Events, items: int) -> Matrix | None:
    """(bundles, I) 0 or 1, bundles without events left out; None where there are no bundles."""
    inside = events.bundle >= 0
    if not inside.any():
        return None
    _, rows = np.unique(events.bundle[inside], return_inverse=True)
    shape = (int(rows.max()) + 1, items)
    return matrix_of(np.ones(inside.sum()), (rows, events.item[inside]), shape).sign()


def _together(groups: Matrix, name: str, keep: int) -> dict[str, Matrix]:
    """Item to item through groups (rows of a 0/1 matrix).

    Returned are the count, the share of the target's groups, and the cosine.
    """
    groups = groups.astype(np.float32)
    degree = np.maximum(np.asarray(groups.sum(0)).ravel(), 1)
    transposed = groups.T.tocsr()
    counts, cosines = [], []
    step = max(1, BLOCK // groups.shape[1])
    for start in range(0, groups.shape[1], step):
        block = (transposed[start : start + step] @ groups).tocoo()
        other = start + block.row != block.col
        row, column, both = block.row[other], block.col[other], block.data[other]
        near = (both / np.sqrt(degree[start + row] * degree[column])).astype(np.float32)
        # ties between counts go to the larger cosine
        counts.append(top(matrix_of(both + near / 2, (row, column), block.shape), keep))
        cosines.append(top(matrix_of(near, (row, column), block.shape), keep))
    count, cosine = sp.vstack(counts).tocsr(), sp.vstack(cosines).tocsr()
    count.data = np.floor(count.data)
    share = (count @ sp.diags((1 / degree).astype(np.float32))).tocsr()
    path = f"item-{name}-item"
    return {path: count, f"{path} share": share, f"{path} cosine": cosine}


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
    item = {k: np.pad(v, (0, items - len(v))) for k, v in counts.item.items()}
    item_item = {k: grown(m, (items, items)) for k, m in counts.item_item.items()}
    if "item-attributes-item" in item_item:  # else nothing was trained to read it
        item_item |= kin(graph, item["popularity"], counts.config.keep)
    return PathCounts(
        {k: grown(m, (users, items)) for k, m in counts.user_item.items()},
        item_item,
        item,
        {k: np.pad(v, (0, users - len(v))) for k, v in counts.user.items()},
        attributes,
        counts.config,
    )
