"""Walks against networkx, which looks at every path."""

from typing import Any

import networkx as nx
import numpy as np
import pytest

from kg.graph import build_graph
from kg.pathfinding.search import PathSearch


def every_path(graph, sources, target, hops):
    """All simple paths from sources to a target through no other source: (nodes, steps)."""
    drawn = nx.MultiGraph()
    for (source, name, end), edge in graph.edges.items():
        for tail, head in set(
            zip(edge.source.tolist(), edge.target.tolist(), strict=True)
        ):
            drawn.add_edge((source, tail), (end, head), key=(name, (source, tail)))
    found = set()
    for start in set(sources) - {target}:
        others = drawn.subgraph(set(drawn) - (set(sources) - {start, target}))
        if start in others and target in others:
            for path in nx.all_simple_edge_paths(others, start, target, cutoff=hops):
                nodes = (start, *(head for _, head, _ in path))
                steps = tuple(
                    (name, tail != here)
                    for (name, tail), here in zip(
                        (key for _, _, key in path), nodes, strict=False
                    )
                )
                found.add((nodes, steps))
    return found


def draw(graph, seed):
    rng = np.random.default_rng(seed)
    sources = [
        ("user", int(rng.integers(6))),
        *(("item", int(i)) for i in rng.choice(14, 2, replace=False)),
    ]
    sources.append(("brand", int(rng.integers(4))))
    return sources, ("item", int(rng.integers(14)))


@pytest.mark.parametrize("hops", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(6))
def test_every_path_is_found_once(shop, seed, hops):
    graph = build_graph(shop(seed))
    sources, target = draw(graph, seed)
    found = PathSearch(graph).find(sources, target, hops, each=None)
    pairs = [(path.nodes, path.steps) for path in found]
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == every_path(graph, sources, target, hops)


@pytest.mark.parametrize("seed", range(6))
def test_the_best_of_every_kind_is_found_without_looking_at_all(shop, seed):
    graph = build_graph(shop(seed))
    sources, target = draw(graph, seed)
    search = PathSearch(graph)
    best: dict[Any, float] = {}
    for path in search.find(sources, target, each=None):
        best[path.steps] = min(path.cost, best.get(path.steps, np.inf))
    few = search.find(sources, target, each=1)
    assert {path.steps: pytest.approx(path.cost) for path in few} == best


@pytest.mark.parametrize("seed", range(6))
def test_paths_that_differ_in_nameless_nodes_are_one_and_counted(shop, seed):
    graph = build_graph(shop(seed))
    sources, target = [("item", 0), ("item", 3)], ("item", 5)
    few = PathSearch(graph, blank=("user", "bundle")).find(
        sources, target, hops=2, each=100
    )
    many: dict[Any, Any] = {}
    for nodes, steps in every_path(graph, sources, target, 2):
        named = tuple(n for n in nodes if n[0] not in {"user", "bundle"})
        many[named, steps] = many.get((named, steps), 0) + 1
    found = {
        (tuple(n for n in w.nodes if n[0] not in {"user", "bundle"}), w.steps): w.times
        for w in few
    }
    assert found == many


def test_each_edge_is_the_latest_that_joins_its_ends(shop):
    graph = build_graph(shop(2))
    for path in PathSearch(graph).find(
        [("user", 1), ("item", 2)], ("item", 7), each=None
    ):
        for (name, back), row, here, there in zip(
            path.steps, path.edges, path.nodes, path.nodes[1:], strict=False
        ):
            tail, head = (there, here) if back else (here, there)
            edge = graph.edges[(tail[0], name, head[0])]
            assert (edge.source[row], edge.target[row]) == (tail[1], head[1])
            alike = (edge.source == tail[1]) & (edge.target == head[1])
            assert np.isnan(edge.time[row]) or edge.time[row] == edge.time[alike].max()


def test_hubs_are_dear_and_not_looked_through(shop):
    graph = build_graph(shop(0))
    search = PathSearch(graph, widest=1)
    for path in search.find([("user", 0), ("item", 1)], ("item", 4), each=None):
        if len(path.steps) == 4:
            assert all(
                search.degree[kind][row] <= 1
                for kind, row in (path.nodes[1], path.nodes[3])
            )
    found = PathSearch(graph).find([("user", 0)], ("item", 4), each=None)
    for path in found:
        inner = sum(
            np.log1p(PathSearch(graph).degree[kind][row])
            for kind, row in path.nodes[1:-1]
        )
        assert path.cost == pytest.approx(len(path.steps) + inner)


def test_from_nowhere_and_too_far(shop):
    graph = build_graph(shop(0))
    assert PathSearch(graph).find([], ("item", 1)) == []
    assert PathSearch(graph).find([("item", 1)], ("item", 1)) == []
    with pytest.raises(ValueError, match="hops = 5"):
        PathSearch(graph).find([("item", 0)], ("item", 1), hops=5)
