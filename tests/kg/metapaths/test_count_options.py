"""What pruning, blocks, order and new items do to counts."""

import numpy as np
import pyarrow as pa
import pytest

import kg.metapaths.cooccurrence
import kg.metapaths.sparse
from kg.graph import build_graph
from kg.metapaths.count import PathConfig, count_paths, widen
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import Tables
from tests.kg.metapaths.loops import (
    CONFIG,
    assert_same,
    every_matrix,
)


def shelf(*bundles):
    """A graph of bundles only, made of items a, b, c, ..."""
    pairs = [(f"b{n}", item) for n, items in enumerate(bundles) for item in items]
    schema = GraphSchema(
        (NodeType("item", "item"), NodeType("bundle", "bundle")),
        (EdgeType("holds", "bundle", "item", "membership"),),
    )
    nodes = {
        "item": sorted({i for _, i in pairs}),
        "bundle": sorted({b for b, _ in pairs}),
    }
    edges = pa.table([list(c) for c in zip(*pairs, strict=True)], ["source", "target"])
    return build_graph(
        Tables(
            schema,
            {k: pa.table({"id": ids}) for k, ids in nodes.items()},
            {"holds": edges},
        )
    )


@pytest.mark.parametrize("keep", [1, 2, 5])
def test_pruning_keeps_the_strongest_of_every_row(shop, keep):
    graph = build_graph(shop())
    whole = count_paths(graph, CONFIG)
    pruned = count_paths(graph, PathConfig(2.0, 3.0, keep))
    for name in (
        "item-bundle-item",
        "item-bundle-item cosine",
        "item-user-item",
        "item-user-item cosine",
    ):
        for full, left in zip(
            whole.item_item[name].toarray(),
            pruned.item_item[name].toarray(),
            strict=True,
        ):
            assert (left > 0).sum() == min(keep, (full > 0).sum())
            assert (left[left > 0] == full[left > 0]).all()
            assert full[left == 0].max() <= left[left > 0].min(initial=np.inf)


def test_between_equal_counts_the_larger_cosine_stays():
    for often, expected in (
        ("b", [0, 0, 1]),
        ("c", [0, 1, 0]),
    ):  # both are once beside a, one is elsewhere too
        counts = count_paths(
            shelf("ab", "ac", often, often), PathConfig(keep=1)
        ).item_item["item-bundle-item"]
        assert counts.toarray()[0].tolist() == expected


@pytest.mark.parametrize("keep", [3, 300])
def test_blocks_make_no_difference(shop, monkeypatch, keep):
    graph, config = build_graph(shop()), PathConfig(2.0, 3.0, keep)
    at_once = count_paths(graph, config)
    for module in (kg.metapaths.cooccurrence, kg.metapaths.sparse):
        monkeypatch.setattr(
            module, "BLOCK", 3 * 14
        )  # three rows at a time, and a last block of two
    assert_same(count_paths(graph, config), at_once)


def test_the_order_of_events_makes_no_difference(shop):
    tables = shop()
    backwards = {
        name: table.take(np.arange(len(table))[::-1])
        for name, table in tables.edges.items()
    }
    one, other = (
        count_paths(build_graph(t), CONFIG)
        for t in (tables, tables.with_tables(edges=backwards))
    )
    for name, matrix in every_matrix(one).items():
        assert np.allclose(
            matrix.toarray(), every_matrix(other)[name].toarray(), rtol=1e-5
        ), name


def test_what_is_later_does_not_count(shop):
    graph = build_graph(shop()).until(5)
    assert count_paths(graph, CONFIG).item["popularity"].sum() == len(graph.events)
    assert (graph.events.time <= 5).all() and len(graph.events)


def test_widened_counts_know_new_items_by_their_attributes_only(shop):
    tables = shop()
    counts = count_paths(build_graph(tables), CONFIG)
    nodes = {
        "item": pa.concat_tables(
            [tables.nodes["item"], pa.table({"id": ["new"], "title": ["new"]})]
        ),
        "brand": pa.concat_tables([tables.nodes["brand"], pa.table({"id": ["fresh"]})]),
        "user": pa.concat_tables(
            [tables.nodes["user"], pa.table({"id": ["anna", "otto"]})]
        ),
    }
    by = pa.concat_tables(
        [
            tables.edges["by"],
            pa.table({"source": ["new"] * 2, "target": ["b1", "fresh"]}),
        ]
    )
    wide = widen(counts, build_graph(tables.with_tables(nodes, {"by": by})))
    shapes = {"user_item": (8, 15), "item_item": (15, 15)}
    for kind, shape in shapes.items():
        for name, matrix in getattr(wide, kind).items():
            old = getattr(counts, kind)[name].toarray()
            new = matrix.toarray()
            assert new.shape == shape
            assert (
                new[: len(old), : old.shape[1]] == old
            ).all() and new.sum() == pytest.approx(old.sum())
    assert wide.item["popularity"].tolist() == [*counts.item["popularity"], 0]
    assert wide.user["history"].tolist() == [*counts.user["history"], 0, 0]
    (path,) = wide.attributes
    assert path.items.shape == (15, 5) and path.items.toarray()[14].tolist() == [
        0,
        1,
        0,
        0,
        1,
    ]
    assert path.users.shape == (8, 5) and path.together.shape == (5, 5)
    assert counts.item_item["item-bundle-item"].shape == (
        14,
        14,
    )  # the old ones stay as they are


@pytest.mark.parametrize(
    "wrong",
    [{"half_life": 0}, {"recent": -1}, {"keep": 0}, {"rank": -1}, {"neighbours": -1}],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="paths"):
        PathConfig(**wrong)
