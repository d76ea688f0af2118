"""Fold-in: new items and new events join a trained recommender without training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from fusion.model.snapshot import GraphSnapshot, NodeTexts
from fusion.ranking.event_tables import appended, as_tables, checked, unseen
from fusion.ranking.ranker import Ranker
from kg.errors import DataError
from kg.graph import Graph, build_graph
from kg.metapaths.count import PathCounts, count_paths, widen
from kg.tables import Tables

R = TypeVar("R", bound="Ranker")


def add_items(
    recommender: R,
    items: pa.Table,
    edges: Mapping[str, pa.Table] | None = None,
) -> R:
    """As Recommender.add_items."""
    tables = recommender.tables
    node = tables.schema.item
    for name in set(node.properties) - {*node.text, *items.column_names}:
        items = items.append_column(name, pa.nulls(len(items)))
    nodes = appended(f"items of type {node.name!r}", tables.nodes[node.name], items)
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
        new_edges[name] = appended(f"edges {name!r}", tables.edges[name], table)
    tables = tables.with_tables({node.name: nodes}, new_edges)
    graph = build_graph(tables)
    return _over(
        recommender,
        tables,
        graph,
        widen(recommender.counts, graph),
    )


def with_events(recommender: R, events: pa.Table) -> R:
    """As Recommender.with_events: the whole graph is counted and encoded again."""
    snapshot, tables = recommender.snapshot, recommender.tables
    schema, user = tables.schema, tables.schema.of_role("user")
    if user is None or "user-item" not in recommender.counts.user_item:
        raise DataError(
            "the model was trained without users who take items, so it cannot take up what they do"
        )
    events = checked(recommender, events)
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
        name: unseen(
            schema,
            schema.edge(name),
            tables.edges[name],
            table,
        )
        for name, table in edges.items()
    }
    if not any(map(len, edges.values())):
        return recommender
    tables = tables.with_tables(
        {
            name: appended(name, tables.nodes[name], table)
            for name, table in nodes.items()
        },
        {
            name: appended(name, tables.edges[name], table)
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


def _over(
    before: R,
    tables: Tables,
    graph: Graph,
    counts: PathCounts,
) -> R:
    """The same weights over a later graph, in which earlier items keep their rows."""
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
