"""Fold-in: what joins a trained recommender without training: new items, and what users did since."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from fusion.model.snapshot import GraphSnapshot, NodeTexts
from fusion.ranking.ranker import Ranker
from kg.errors import DataError
from kg.graph import Graph, build_graph
from kg.metapaths.count import PathCounts, count_paths, widen
from kg.schema import EdgeType, GraphSchema
from kg.tables import Tables, in_days

R = TypeVar("R", bound="Ranker")


def add_items(
    recommender: R, items: pa.Table, edges: Mapping[str, pa.Table] | None = None
) -> R:
    """As Recommender.add_items."""
    tables = recommender.tables
    node = tables.schema.item
    for name in set(node.properties) - {*node.text, *items.column_names}:
        items = items.append_column(name, pa.nulls(len(items)))
    nodes = _appended(f"items of type {node.name!r}", tables.nodes[node.name], items)
    known = recommender.items.rows(nodes["id"][len(recommender.items) :])
    if (known >= 0).any():
        raise DataError(
            f"item {recommender.items.key(int(known[known >= 0][0]))!r} is in the catalogue already"
        )
    new_edges = {}
    for name, table in (edges or {}).items():
        if name not in tables.edges:
            raise DataError(
                f"there are no edges {name!r}; there are {', '.join(tables.edges)}"
            )
        new_edges[name] = _appended(f"edges {name!r}", tables.edges[name], table)
    tables = tables.with_tables({node.name: nodes}, new_edges)
    graph = build_graph(tables)
    return _over(recommender, tables, graph, widen(recommender.counts, graph))


def with_events(recommender: R, events: pa.Table) -> R:
    """As Recommender.with_events: the whole graph is counted and encoded again, by the weights as they are."""
    snapshot, tables = recommender.snapshot, recommender.tables
    schema, user = tables.schema, tables.schema.of_role("user")
    if user is None or "user-item" not in recommender.counts.user_item:
        raise DataError(
            "the model was trained without users who take items, so it cannot take up what they do"
        )
    events = _checked(recommender, events)
    vocab = snapshot.graph.vocabs[user.name]
    strangers = pc.unique(
        events["user"].filter(pa.array(vocab.rows(events["user"]) < 0))
    )
    before = tables.nodes[user.name]
    blank = {
        n: pa.nulls(len(strangers), before.schema.field(n).type)
        for n in before.column_names
        if n != "id"
    }
    nodes = {user.name: pa.table({"id": strangers, **blank})}
    bundles, edges = as_tables(schema, events)
    for name, table in bundles.items():
        nodes[name] = table.filter(
            pa.array(snapshot.graph.vocabs[name].rows(table["id"]) < 0)
        )
    edges = {
        name: _unseen(schema, schema.edge(name), tables.edges[name], table)
        for name, table in edges.items()
    }
    if not any(map(len, edges.values())):
        return recommender
    tables = tables.with_tables(
        {
            name: _appended(name, tables.nodes[name], table)
            for name, table in nodes.items()
        },
        {
            name: _appended(name, tables.edges[name], table)
            for name, table in edges.items()
        },
    )
    graph = build_graph(tables)
    return _over(
        recommender,
        tables,
        graph,
        _as_trained(count_paths(graph, recommender.counts.config), recommender.counts),
    )


def _over(before: R, tables: Tables, graph: Graph, counts: PathCounts) -> R:
    """The same weights over a later graph, in which the items known before have the rows they had."""
    model, device, texts = before.model, before.snapshot.device, NodeTexts.of(tables)
    snapshot = GraphSnapshot(
        graph,
        counts,
        texts,
        model.config,
        device,
        before.snapshot.seen_items,
    )
    made = type(before)(
        model,
        snapshot,
        model.encode(snapshot, _text_vectors(before, texts)),
        tables,
        counts,
    )
    made.store = before.store
    return made


def as_tables(
    schema: GraphSchema, events: pa.Table
) -> tuple[dict[str, pa.Table], dict[str, pa.Table]]:
    """What users took as a graph's nodes and edges.

    Where users take items in bundles only, what a user took at one moment is one.

    Args:
        schema: The graph's.
        events: Columns user, item (ids), time, and optionally bundle, the id of what was taken
            together.

    Returns:
        By type, bundles (in a graph where users take items directly there are none) and edges.

    Raises:
        DataError: The schema has no way from users to items.
    """
    user, bundle = schema.of_role("user"), schema.of_role("bundle")
    made = {(e.role, e.source, e.target): e for e in reversed(schema.edges)}
    users, items, times = (events[name] for name in ("user", "item", "time"))
    direct = made.get(("interaction", user.name, schema.item.name)) if user else None
    if direct is not None:
        return {}, {direct.name: _edges(schema, direct, users, items, times)}
    owned = (
        made.get(("interaction", user.name, bundle.name)) if user and bundle else None
    )
    holds = made.get(("membership", bundle.name, schema.item.name)) if bundle else None
    if bundle is None or owned is None or holds is None:
        raise DataError("the graph has no interactions by which users take items")
    if "bundle" in events.column_names:
        ids = events["bundle"]
    else:
        pairs = zip(users.to_pylist(), times.to_pylist(), strict=True)
        ids = pa.chunked_array([[bundle_id(*pair) for pair in pairs]], pa.string())
    single = pc.unique(ids)
    nodes = pa.table(
        {
            "id": single,
            **{name: pa.nulls(len(single), pa.string()) for name in bundle.columns},
        }
    )
    return {bundle.name: nodes}, {
        owned.name: _edges(schema, owned, users, ids, times),
        holds.name: _edges(schema, holds, ids, items, times),
    }


def bundle_id(user: str, time: float) -> str:
    """The id of what a user took at one moment."""
    return f"event-{hashlib.sha256(f'{time!r} {user}'.encode()).hexdigest()[:24]}"


def _edges(
    schema: GraphSchema,
    edge: EdgeType,
    sources: pa.ChunkedArray,
    targets: pa.ChunkedArray,
    times: pa.ChunkedArray,
) -> pa.Table:
    columns = {"source": sources, "target": targets}
    if edge.weight:
        columns["weight"] = pa.array(np.ones(len(sources)))
    if edge.time:
        columns["time"] = times
    table = pa.table(columns)
    return _unseen(schema, edge, table.slice(0, 0), table)


def _checked(recommender: Ranker, events: pa.Table) -> pa.Table:
    """With times, known items and no nulls."""
    lost = [name for name in ("user", "item") if name not in events.column_names]
    if lost:
        raise DataError(f"events: no column {', '.join(lost)}")
    if "time" not in events.column_names:
        latest = float(
            np.fmax.reduce(recommender.snapshot.graph.events.time, initial=-np.inf)
        )
        times = np.full(len(events), latest if np.isfinite(latest) else 0.0)
        events = events.append_column("time", pa.array(times))
    kinds = {
        "user": pa.string(),
        "item": pa.string(),
        "time": pa.float64(),
        "bundle": pa.string(),
    }
    names = [name for name in kinds if name in events.column_names]
    try:
        events = pa.table(
            {
                n: (in_days(events[n]) if n == "time" else events[n]).cast(kinds[n])
                for n in names
            }
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"events: {error}") from error
    for name in names:
        if events[name].null_count:
            raise DataError(f"events: {events[name].null_count} have no {name}")
    if not np.isfinite(events["time"].to_numpy()).all():
        raise DataError("events: each time must be a finite number")
    unknown = np.flatnonzero(recommender.items.rows(events["item"]) < 0)
    if len(unknown):
        example = events["item"][int(unknown[0])].as_py()
        raise DataError(
            f"events: {len(unknown)} are of items that are not in the catalogue: {example!r}"
        )
    return events


def _unseen(
    schema: GraphSchema, edge: EdgeType, before: pa.Table, more: pa.Table
) -> pa.Table:
    """The edges that are not there yet, each once: what a store's upsert would add."""
    again = (
        edge.time and edge.target == schema.item.name and edge.role == "interaction"
    )  # taken again is taken twice
    keys = ["source", "target", "time"] if again else ["source", "target"]
    near = before.filter(
        pc.is_in(before["source"], value_set=more["source"].combine_chunks())
    )
    seen = set(zip(*(near[key].to_pylist() for key in keys), strict=True))
    fresh = []
    for key in zip(*(more[key].to_pylist() for key in keys), strict=True):
        fresh.append(key not in seen)
        seen.add(key)
    return more.filter(pa.array(fresh, pa.bool_()))


def _as_trained(counts: PathCounts, known: PathCounts) -> PathCounts:
    """Without the kinds of paths that nothing was trained to read.

    Raises:
        DataError: A kind that the model reads is not counted any more: a relation came to have
            few values an item, or many, by items that were added.
    """
    attributes = {path.name for path in known.attributes}
    sides = ("user_item", "item_item", "item", "user")
    lost = [
        name
        for side in sides
        for name in getattr(known, side)
        if name not in getattr(counts, side)
    ]
    lost += sorted(attributes - {path.name for path in counts.attributes})
    if lost:
        raise DataError(
            f"the model reads {lost[0]!r}, which the graph is no longer counted by: train it anew"
        )
    return replace(
        counts,
        user_item={name: counts.user_item[name] for name in known.user_item},
        item_item={name: counts.item_item[name] for name in known.item_item},
        item={name: counts.item[name] for name in known.item},
        user={name: counts.user[name] for name in known.user},
        attributes=[path for path in counts.attributes if path.name in attributes],
    )


def _text_vectors(recommender: Ranker, texts: NodeTexts) -> Tensor | None:
    """(U, D) of the distinct texts; only those that are new are encoded."""
    model = recommender.model
    if model.text is None:
        return None
    known = (
        {t: row for row, t in enumerate(NodeTexts.of(recommender.tables).texts)}
        if len(recommender.embeddings.text)
        else {}
    )
    rows = torch.tensor(
        [known.get(text, -1) for text in texts.texts],
        device=recommender.snapshot.device,
    )
    new = [text for text in texts.texts if text not in known]
    if len(new) == len(rows):
        return model.text.encode_table(model.text.table(texts.texts))
    vectors = recommender.embeddings.text[rows.clamp(min=0)]
    if new:
        vectors[rows < 0] = model.text.encode_table(model.text.table(new)).to(
            vectors.dtype
        )
    return vectors


def _appended(what: str, before: pa.Table, more: pa.Table) -> pa.Table:
    missing = [
        column for column in before.column_names if column not in more.column_names
    ]
    if missing:
        raise DataError(f"{what}: no column {', '.join(missing)}")
    try:
        return pa.concat_tables(
            [before, more.select(before.column_names).cast(before.schema)]
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise DataError(f"{what}: {error}") from error
