"""Recounting the paths of kg.metapaths.relations.

They follow the order of events, lead from item to item, or over what users are related to.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kg.counterfactual.edits import Change, Cut, column, remaining
from kg.counterfactual.index import CountIndex, QueryItemPair, followed
from kg.counterfactual.values import Values
from kg.events import EdgeList
from kg.metapaths.knn import NEAR
from kg.metapaths.relations import (
    alike_path,
    is_wide,
    related_path,
    user_path,
    wide_path,
)
from kg.metapaths.sparse import Matrix, matrix_of, unit_rows
from kg.tables import FloatArray, IntArray

_NONE = np.zeros(0, np.int64)


def order(
    index: CountIndex,
    pair: QueryItemPair,
    change: Change,
) -> dict[str, FloatArray]:
    """item-next-item (H,) and its cosine.

    Empty where the cut touches no interaction that has an order.
    """
    counts, items = index.counts.item_item, index.items
    users = np.unique(
        change.gone.user[(change.gone.bundle < 0) & (change.gone.user >= 0)]
    )
    if "item-next-item" not in counts or not len(users):
        return {}
    whole = index.followed
    before = index.graph.events.take(index.of_users(users))
    after = before.take(remaining(before, change, items))
    delta = followed(after, items) - followed(before, items)
    out = np.maximum(_sums(whole, 1) + _sums(delta, 1), 1)[pair.context]
    into = np.maximum(_sums(whole, 0) + _sums(delta, 0), 1)[pair.item]
    found = column(whole + delta, pair.context, pair.item)
    kept = [
        column(counts[name], pair.context, pair.item) > 0
        for name in ("item-next-item", "item-next-item cosine")
    ]
    return {
        "item-next-item": found * kept[0],
        "item-next-item cosine": found / np.sqrt(out * into) * kept[1],
    }


def item_to_item(
    index: CountIndex,
    pair: QueryItemPair,
    cut: Cut,
) -> dict[str, FloatArray]:
    """(H,) over the relations of items that the cut touches."""
    graph, counts = index.graph, index.counts.item_item
    found: dict[str, FloatArray] = {}
    for key, edge in graph.edges.items():
        source, name, target = key
        if (
            source != graph.item
            or name not in cut
            or graph.schema.edge(name).role != "relation"
        ):
            continue
        left = _left(edge, cut[name])
        if target == graph.item:
            for path, here, there in (
                (related_path(name), left.source, left.target),
                (f"{related_path(name)} reverse", left.target, left.source),
            ):
                into = there == pair.item
                weight = np.asarray(
                    np.bincount(here[into], left.weight[into], index.items), float
                )
                found[path] = weight[pair.context] * (
                    column(counts[path], pair.context, pair.item) > 0
                )
        elif is_wide(graph, name):
            path = wide_path(graph, key)
            values = _values(left, index.items, graph.size(target))
            size = np.sqrt(np.maximum(np.diff(values.indptr), 1e-18))
            both = (values[pair.context] @ values[[pair.item]].T).toarray().ravel()
            near = both / np.maximum(size[pair.context] * size[pair.item], 1e-9)
            found[path] = near * (column(counts[path], pair.context, pair.item) > 0)
    return found


def kin(
    index: CountIndex,
    pair: QueryItemPair,
    cut: Cut,
    popularity: float,
    stored: dict[str, FloatArray],
    parts: Sequence[Values],
) -> dict[str, FloatArray]:
    """item-attributes-item (H,).

    It is what items share, by the relations' parts, times how the item sells.
    """
    counts = index.counts
    if "item-attributes-item" not in counts.item_item:
        return {}
    selling = 0.5 + np.log1p(popularity)
    if not any(index.graph.schema.edge(name).role == "relation" for name in cut):
        before = 0.5 + np.log1p(counts.item["popularity"][pair.item])
        return {
            "item-attributes-item": stored["item-attributes-item"] * selling / before
        }
    total = sum((part.kin(cut) for part in parts), start=np.zeros(len(pair.context)))
    return {
        "item-attributes-item": total * selling * (stored["item-attributes-item"] > 0)
    }


def user_to_item(
    index: CountIndex,
    pair: QueryItemPair,
    cut: Cut,
    change: Change,
) -> dict[str, float]:
    """Over relations from users to attributes that items have, too."""
    graph, counts = index.graph, index.counts.user_item
    found: dict[str, float] = {}
    for key, edge in graph.edges.items():
        if key[0] != graph.user or graph.schema.node(key[2]).role != "attribute":
            continue
        size, users = graph.size(key[2]), graph.size(graph.user)
        own = _values(
            _left(edge, cut.get(key[1], _NONE)),
            users,
            size,
        )
        rare = np.log1p(users / np.maximum(np.bincount(own.indices, minlength=size), 1))
        mine = np.zeros(size)
        if pair.user >= 0:
            mine[own.indices[own.indptr[pair.user] : own.indptr[pair.user + 1]]] = 1
        for other, link in graph.edges.items():
            if other[0] == graph.item and other[2] == key[2]:
                left = _left(link, cut.get(other[1], _NONE))
                values = np.unique(left.target[left.source == pair.item])
                path = user_path(graph, key, other)
                found[path] = float(mine[values].sum())
                found[f"{path} cosine"] = float((mine * rare)[values].sum()) / max(
                    float(np.sqrt(len(values))),
                    1e-9,
                )
        path = alike_path(graph, key)
        if path in counts and index.interactions is not None:
            takers = index.interactions.holding(pair.item)
            takers = np.setdiff1d(
                takers,
                change.interacted[change.interacted[:, 1] == pair.item, 0],
            )
            like = own[takers].multiply(rare).tocsr()
            length = np.sqrt(np.asarray(like.multiply(like).sum(1)).ravel())
            unit = (
                mine
                * rare
                / max(
                    float(np.linalg.norm(mine * rare)),
                    1e-9,
                )
            )
            found[path] = float(
                ((like @ unit) / np.maximum(length, 1e-9)).sum()
            ) / np.sqrt(max(len(takers), 1))
    for path in found:
        kept = pair.user >= 0 and counts[path][pair.user, pair.item] > 0
        found[path] *= kept
    return found


def of_neighbours(
    index: CountIndex,
    pair: QueryItemPair,
    change: Change,
) -> dict[str, float]:
    """user-item-user-item over the users that were counted as near.

    How near they are is counted anew.
    """
    counts = index.counts.user_item
    if NEAR not in counts or pair.user < 0:
        return {NEAR: 0.0} if NEAR in counts else {}
    here = np.array([pair.user])
    stored, taken = (
        float(column(counts[path], here, pair.item)[0]) for path in (NEAR, "user-item")
    )
    users = index.near(pair.user)
    moved = [
        events.take(np.isin(events.user, users))
        for events in (change.gone, change.come)
    ]
    if not (stored or taken) or not sum(map(len, moved)):
        return {NEAR: stored}
    order = np.argsort(users)
    times = counts["user-item"][users]
    for events, sign in zip(moved, (-1, 1), strict=True):
        rows = order[np.searchsorted(users[order], events.user)]
        times = times + matrix_of(
            np.full(len(rows), sign), (rows, events.item), times.shape
        )
    ratings = times.log1p().tocsr()
    if ratings[0, pair.item]:
        return {NEAR: 0.0}
    unit = unit_rows(ratings)
    near = (unit[1:] @ unit[[0]].T).toarray().ravel()
    found = near @ ratings[1:][:, [pair.item]].toarray().ravel()
    return {NEAR: float(found) / max(float(near.sum()), 1e-9)}


def _left(edge: EdgeList, gone: IntArray) -> EdgeList:
    keep = np.ones(len(edge), bool)
    keep[gone] = False
    return edge.take(keep)


def _values(
    edge: EdgeList,
    rows: int,
    size: int,
) -> Matrix:
    return (
        matrix_of(np.ones(len(edge)), (edge.source, edge.target), (rows, size))
        .sign()
        .tocsr()
    )


def _sums(matrix: Matrix, axis: int) -> FloatArray:
    return np.asarray(matrix.sum(axis), float).ravel()
