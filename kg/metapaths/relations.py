"""Metapath counts beside those of events alone.

They lead through what users and items are related to, and follow the order of events.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from kg.events import EdgeKey, Events
from kg.graph import Graph
from kg.metapaths.sparse import matrix_of, product, top, unit_rows
from kg.schema import GraphSchema
from kg.tables import FloatArray, IntArray

Matrix: TypeAlias = sp.csr_matrix
# Values an item; a relation with more is counted from item to item, not value by value.
WIDE = 16
_OWN = {
    "item",
    "user",
    "bundle",
    "next",
    "kin",
    "word",
}  # what paths that are no relation's lead through
_REACH = 3  # how far apart two takings may be to count as one after the other


def transitions(
    events: Events,
    items: int,
    keep: int,
) -> dict[str, Matrix]:
    """item-next-item: (I, I) how often the column was taken soon after the row.

    A place further counts 1 / distance.

    First-order transitions with a window, as in the session-based literature (Ludewig and
    Jannach 2018, "Evaluation of session-based recommendation algorithms", sequential rules).
    Only events outside bundles have an order; those of one user and one moment have none among
    themselves. Empty where no user has two moments.
    """
    ordered = events.take(
        (events.user >= 0) & (events.bundle < 0) & ~np.isnan(events.time)
    )
    ordered = ordered.take(np.lexsort((ordered.item, ordered.time, ordered.user)))
    counts = sp.csr_matrix((items, items), dtype=np.float32)
    for apart in range(1, _REACH + 1):
        here = ordered.take(np.arange(max(len(ordered) - apart, 0)))
        there = ordered.take(np.arange(apart, len(ordered)))
        same_user = here.user == there.user
        later = here.time < there.time
        other_item = here.item != there.item
        follows = same_user & later & other_item
        ends = (here.item[follows], there.item[follows])
        weight = np.full(follows.sum(), 1 / apart)
        counts = counts + matrix_of(weight, ends, (items, items))
    if not counts.nnz:
        return {}
    out = np.maximum(
        np.asarray(counts.sum(1)).ravel(),
        1,
    )
    into = np.maximum(
        np.asarray(counts.sum(0)).ravel(),
        1,
    )
    by_source = sp.diags((1 / np.sqrt(out)).astype(np.float32))
    by_target = sp.diags((1 / np.sqrt(into)).astype(np.float32))
    cosine = by_source @ counts @ by_target
    return {
        "item-next-item": top(counts, keep),
        "item-next-item cosine": top(cosine.tocsr(), keep),
    }


def item_relations(graph: Graph, keep: int) -> dict[str, Matrix]:
    """item-R-item both ways, and item-A-item through attributes A of many values."""
    items, found = graph.size(graph.item), {}
    for (source, name, target), edge in graph.edges.items():
        if source != graph.item or graph.schema.edge(name).role != "relation":
            continue
        if target == graph.item:
            forward = matrix_of(edge.weight, (edge.source, edge.target), (items, items))
            found[related_path(name)] = top(forward, keep)
            found[f"{related_path(name)} reverse"] = top(forward.T.tocsr(), keep)
        elif is_wide(graph, name):
            values = _values(
                graph,
                edge.source,
                edge.target,
                graph.size(target),
            )
            unit = unit_rows(values)
            cosine = product(unit, unit.T.tocsr(), keep + 1)
            cosine.setdiag(0)
            cosine.eliminate_zeros()
            found[wide_path(graph, (source, name, target))] = cosine
    return found


def kin(
    graph: Graph,
    popularity: FloatArray,
    keep: int,
) -> dict[str, Matrix]:
    """item-attributes-item: (I, I) how much two items share, times the column's log popularity.

    What is alike in colour, make and kind, and sells: few other paths bring an item that was
    never taken together with what is at hand. Each shared value counts log(items / items that
    have it); values of more than a tenth of the items say little and are left out, as are the
    relations of item_relations. Empty where no two items share a value.
    """
    items = graph.size(graph.item)
    parts = []
    for (source, name, target), edge in graph.edges.items():
        if (
            source == graph.item
            and graph.schema.node(target).role == "attribute"
            and not is_wide(graph, name)
        ):
            values = _values(
                graph,
                edge.source,
                edge.target,
                graph.size(target),
            )
            have = np.asarray(values.sum(0)).ravel()
            telling = (have > 1) & (have <= max(items / 10, 2))
            weight = np.where(
                telling,
                np.log(items / np.maximum(have, 1)),
                0,
            )
            parts.append(values @ sp.diags(np.sqrt(weight).astype(np.float32)))
    if not parts:
        return {}
    shared = sp.hstack(parts).tocsr()
    shared.eliminate_zeros()
    selling = sp.diags((0.5 + np.log1p(popularity)).astype(np.float32))
    found = product(shared, (shared.T @ selling).tocsr(), keep + 1)
    found.setdiag(0)
    found = top(found, keep)
    return {"item-attributes-item": found} if found.nnz else {}


def user_relations(
    graph: Graph,
    events: Events,
    keep: int,
) -> dict[str, Matrix]:
    """(U, I) paths over relations from users to attributes A that items have too.

    user-A-item is how many of the user's values the item has, weighed by how rare they are in
    its cosine form; user-A-user-item how much the items are taken by those who share the
    user's values. A relation is named beside A where it is not the only one from there.
    """
    found: dict[str, Matrix] = {}
    if graph.user is None:
        return found
    users, items = graph.size(graph.user), graph.size(graph.item)
    for key, edge in graph.edges.items():
        source, _, target = key
        if source != graph.user or graph.schema.node(target).role != "attribute":
            continue
        size = graph.size(target)
        ends = (edge.source, edge.target)
        own = matrix_of(np.ones(len(edge)), ends, (users, size)).sign()
        have = np.maximum(
            np.asarray(own.sum(0)).ravel(),
            1,
        )
        rarity = np.log1p(users / have)
        rare = sp.diags(rarity.astype(np.float32))
        for other, link in graph.edges.items():
            if other[0] == graph.item and other[2] == target:
                values = _values(graph, link.source, link.target, size)
                unit = unit_rows(values)
                path = user_path(graph, key, other)
                found[path] = product(own, values.T.tocsr(), keep)
                weighed = (own @ rare).tocsr()
                found[f"{path} cosine"] = product(weighed, unit.T.tocsr(), keep)
        known = events.user >= 0
        pairs = (events.user[known], events.item[known])
        interacted = matrix_of(np.ones(known.sum()), pairs, (users, items)).sign()
        if interacted.nnz:
            like = unit_rows((own @ rare).tocsr())
            popular = np.maximum(
                np.asarray(interacted.sum(0)).ravel(),
                1,
            )
            damped = sp.diags((1 / np.sqrt(popular)).astype(np.float32))
            through = (like.T @ interacted @ damped).tocsr()
            found[alike_path(graph, key)] = product(like, through, keep)
    return found


def related_path(name: str) -> str:
    """What the path over a relation between items is called."""
    return f"item-{_apart(name)}-item"


def wide_path(graph: Graph, key: EdgeKey) -> str:
    """What the path between items over a relation to attributes is called."""
    return "-".join(["item", *_told(graph, key), _apart(key[2]), "item cosine"])


def user_path(
    graph: Graph,
    key: EdgeKey,
    other: EdgeKey,
) -> str:
    """What the path over a user's relation to attributes, and an item's to the same, is called."""
    return "-".join(
        ["user", *_told(graph, key), _apart(key[2]), *_told(graph, other), "item"]
    )


def alike_path(graph: Graph, key: EdgeKey) -> str:
    """What the path over a user's relation to attributes, and other users, is called."""
    return "-".join(["user", *_told(graph, key), _apart(key[2]), "user-item"])


def counted_as_one(schema: GraphSchema) -> set[str]:
    """Names of paths that once held the last relation's counts alone."""
    ends = [(edge.source, edge.target) for edge in schema.edges]
    user = schema.of_role("user")
    found = set()
    for source, target in {pair for pair in ends if ends.count(pair) > 1}:
        if user is not None and source == user.name:
            found |= {f"user-{target}-item", f"user-{target}-user-item"}
        elif source == schema.item.name:
            found |= {f"user-{target}-item", f"item-{target}-item cosine"}
    return found


def _apart(name: str) -> str:
    """A relation's or a type's name, told apart from what other paths lead through."""
    return f"{name} in graph" if name in _OWN else name


def _told(graph: Graph, key: EdgeKey) -> list[str]:
    """A relation's name where others lead from its source to its target, too."""
    ends = [(edge.source, edge.target) for edge in graph.schema.edges]
    return [key[1]] if ends.count((key[0], key[2])) > 1 else []


def is_wide(graph: Graph, name: str) -> bool:
    """Whether items have so many values of a relation that it is counted from item to item."""
    ((_, edge),) = [(key, edge) for key, edge in graph.edges.items() if key[1] == name]
    return len(edge) > WIDE * max(
        int(np.count_nonzero(np.bincount(edge.source))),
        1,
    )


def _values(
    graph: Graph,
    source: IntArray,
    target: IntArray,
    size: int,
) -> Matrix:
    return matrix_of(
        np.ones(len(source)), (source, target), (graph.size(graph.item), size)
    ).sign()
