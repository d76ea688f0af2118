import numpy as np
import pyarrow as pa
import pytest
import torch

from fusion.model.config import FusionConfig
from fusion.model.snapshot import (
    TOGETHER,
    GraphSnapshot,
    NodeTexts,
    edge_keys,
    message_edges,
)
from kg.graph import REVERSE, build_graph
from kg.metapaths.count import count_paths
from kg.sources.checkerboard import Checkerboard

SAME = ("item", TOGETHER, "item")


@pytest.fixture(scope="module")
def graph(shop):
    return build_graph(shop())


@pytest.fixture(scope="module")
def counts(graph):
    return count_paths(graph)


def pairs(edges):
    return list(zip(*edges.tolist(), strict=True))


def test_bundles_are_contracted_and_every_edge_has_its_reverse(graph, counts):
    edges = message_edges(graph, counts, neighbours=3)
    assert all("bundle" not in (source, target) for source, _, target in edges)
    assert set(edges) == set(edge_keys(graph, counts))
    for (source, name, target), pair in edges.items():
        if name not in (TOGETHER,) and not name.startswith(REVERSE):
            assert (edges[(target, REVERSE + name, source)] == pair.flip(0)).all()
            assert pair[0].max() < graph.size(source) and pair[1].max() < graph.size(
                target
            )
    assert ("item", REVERSE + "by", "brand") not in edges and (
        "brand",
        REVERSE + "by",
        "item",
    ) in edges
    through = {
        (u, i)
        for u, b, i in zip(
            graph.events.user, graph.events.bundle, graph.events.item, strict=True
        )
        if u >= 0 and b >= 0
    }
    (contracted,) = (
        e for (s, name, t), e in edges.items() if s == "user" and name != "bought"
    )
    assert sorted(pairs(contracted)) == sorted(through)


@pytest.mark.parametrize("neighbours", [1, 3, 100])
def test_the_strongest_neighbours_of_every_item_point_to_it(graph, counts, neighbours):
    cosine = counts.item_item[
        "item-next-item cosine"
    ].toarray()  # order tells most, where there is one
    found = pairs(message_edges(graph, counts, neighbours)[SAME])
    assert len(found) == len(set(found))
    for item in range(graph.size("item")):
        near = [source for source, target in found if target == item]
        assert len(near) == min(neighbours, (cosine[item] > 0).sum())
        left = np.delete(cosine[item], near)
        assert left.max(initial=0) <= cosine[item][near].min(initial=np.inf)


def test_no_neighbours_and_no_counts_give_no_such_edges(graph, counts):
    assert SAME not in message_edges(graph, counts, 0)
    tables = Checkerboard.example()
    alone = {name: table.slice(0, 0) for name, table in tables.edges.items()}
    empty = build_graph(tables.with_tables(edges=alone))
    assert set(message_edges(empty, count_paths(empty), 5)) == set(
        edge_keys(empty, count_paths(empty))
    )


def test_what_is_read_of_the_nodes_is_kept_once(shop):
    tables = shop()
    texts = NodeTexts.of(tables)
    assert set(texts.rows) == {"user", "item", "brand"}  # no bundles
    assert len(set(texts.texts)) == len(texts.texts) and all(
        t.strip() == t != "" for t in texts.texts
    )
    assert (texts.rows["user"] == -1).all()
    for name in ("item", "brand"):
        read = [
            texts.texts[row] if row >= 0 else "" for row in texts.rows[name].tolist()
        ]
        assert read == tables.texts(name)
    assert (
        texts.rows["item"][2] == texts.rows["item"][3] and texts.rows["item"][1] == -1
    )


def test_a_blank_title_is_no_text():
    tables = Checkerboard.example()
    item = tables.nodes["item"]
    blank = pa.array(["  ", *item["title"].to_pylist()[1:]])
    texts = NodeTexts.of(
        tables.with_tables({"item": item.set_column(1, "title", blank)})
    )
    assert texts.rows["item"][0] == -1 and texts.rows["item"][1] >= 0


def test_a_world_knows_sizes_degrees_and_what_was_taken(shop, graph, counts):
    snapshot = GraphSnapshot(
        graph,
        counts,
        NodeTexts.of(shop()),
        FusionConfig(fanout=(4, 2)),
        torch.device("cpu"),
    )
    assert (snapshot.items, snapshot.users) == (14, 6) and set(snapshot.sizes) == {
        "user",
        "item",
        "brand",
    }
    degree = {name: np.zeros(size) for name, size in snapshot.sizes.items()}
    for (_, name, target), pair in snapshot.edges.items():
        for _, end in pairs(pair):
            degree[target][end] += name != TOGETHER
    for name, expected in degree.items():
        assert snapshot.degree[name].tolist() == expected.tolist()
    assert snapshot.degree["item"][12] == 0 and snapshot.degree["item"][0] > 0
    taken = np.isin(np.arange(14), graph.events.item)
    assert (
        snapshot.seen_items.tolist() == taken.tolist()
        and snapshot.cold_items.tolist() == np.flatnonzero(~taken).tolist()
    )
    assert snapshot.sampler.sample({"item": torch.arange(3)}).rows["item"][
        :3
    ].tolist() == [0, 1, 2]
