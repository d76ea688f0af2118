"""Items are kin by the rare attribute values that they share."""

from collections import defaultdict

import numpy as np
import pyarrow as pa

from kg.graph import build_graph
from kg.metapaths.count import PathConfig, count_paths, widen
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import Tables


def wardrobe(seed=0, items=40, fewer=()):
    """Things with a kind, a colour and what they are for, drawn at random; and who took what."""
    rng = np.random.default_rng(seed)
    schema = GraphSchema(
        (
            NodeType("shopper", "user"),
            NodeType("thing", "item"),
            NodeType("kind", "attribute"),
            NodeType("colour", "attribute"),
        ),
        (
            EdgeType("took", "shopper", "thing", "interaction"),
            EdgeType("is_a", "thing", "kind", "relation"),
            EdgeType("in_colour", "thing", "colour", "relation"),
        ),
    )
    things = [f"t{n:02}" for n in range(items)]
    nodes = {
        "thing": things,
        "shopper": ["s0", "s1"],
        "kind": [f"k{n}" for n in range(15)],
        "colour": [f"c{n}" for n in range(20)],
    }
    took = sorted(
        {(f"s{rng.integers(2)}", things[rng.integers(items - 5)]) for _ in range(30)}
    )
    edges = {
        "took": took,
        "is_a": [(t, f"k{rng.integers(15)}") for t in things],
        "in_colour": sorted(
            {(t, f"c{rng.integers(20)}") for t in things for _ in range(2)}
        ),
    }
    edges = {
        name: [pair for pair in pairs if pair not in fewer]
        for name, pairs in edges.items()
    }
    tables = {
        n: pa.table(
            dict(
                zip(("source", "target"), map(list, zip(*e, strict=True)), strict=True)
            )
        )
        for n, e in edges.items()
    }
    return Tables(
        schema, {name: pa.table({"id": ids}) for name, ids in nodes.items()}, tables
    )


def test_kin_share_rare_values_and_sell():
    graph = build_graph(wardrobe())
    found = count_paths(graph).item_item["item-attributes-item"].toarray()
    popularity = np.bincount(graph.events.item, minlength=40)
    expected, left_out = np.zeros((40, 40)), 0
    for relation in ("is_a", "in_colour"):
        (edge,) = [e for (_, name, _), e in graph.edges.items() if name == relation]
        members = defaultdict(set)
        for thing, value in zip(edge.source, edge.target, strict=True):
            members[value].add(thing)
        for things in members.values():
            if len(things) > 4:  # a tenth of the items
                left_out += 1
                continue
            for a in things:
                for b in things - {a}:
                    expected[a, b] += np.log(40 / len(things)) * (
                        0.5 + np.log1p(popularity[b])
                    )
    assert left_out and (expected[:, popularity == 0] > 0).any()
    assert np.allclose(found, expected, rtol=1e-5)
    few = count_paths(graph, PathConfig(keep=2)).item_item["item-attributes-item"]
    assert np.diff(few.indptr).max() == 2
    assert np.allclose(few.max(axis=1).toarray()[:, 0], expected.max(axis=1), rtol=1e-5)


def test_a_new_item_has_kin_at_once():
    tables = wardrobe()
    counts = count_paths(build_graph(tables))
    nodes = {
        "thing": pa.concat_tables([tables.nodes["thing"], pa.table({"id": ["new"]})])
    }
    kind = tables.edges["is_a"]["target"][0].as_py()
    edges = {
        "is_a": pa.concat_tables(
            [tables.edges["is_a"], pa.table({"source": ["new"], "target": [kind]})]
        )
    }
    graph = build_graph(tables.with_tables(nodes, edges))
    wide, whole = (
        widen(counts, graph).item_item["item-attributes-item"],
        count_paths(graph).item_item["item-attributes-item"],
    )
    assert (
        np.allclose(wide.toarray(), whole.toarray())
        and wide[0, 40] > 0
        and wide[40, 0] > 0
    )
    assert (
        np.diff(wide.indptr)[:40]
        > np.diff(counts.item_item["item-attributes-item"].indptr)
    ).any()  # in nobody's place


def test_a_new_item_brings_no_path_that_nothing_was_trained_on():
    tables = wardrobe(items=10)
    own = {
        name: pa.table(
            {
                "source": [f"t{n:02}" for n in range(10)],
                "target": [f"{name[0]}{n}" for n in range(10)],
            }
        )
        for name in ("kind", "colour")
    }
    tables = tables.with_tables({}, {"is_a": own["kind"], "in_colour": own["colour"]})
    counts = count_paths(build_graph(tables))
    assert "item-attributes-item" not in counts.item_item
    nodes = {
        "thing": pa.concat_tables([tables.nodes["thing"], pa.table({"id": ["new"]})])
    }
    edges = {
        "is_a": pa.concat_tables(
            [tables.edges["is_a"], pa.table({"source": ["new"], "target": ["k0"]})]
        )
    }
    assert (
        widen(counts, build_graph(tables.with_tables(nodes, edges))).item_item.keys()
        == counts.item_item.keys()
    )
