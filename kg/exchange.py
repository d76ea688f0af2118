"""Exchange: a graph as networkx has it, for exploring, drawing and the many formats that networkx writes."""

from __future__ import annotations

import networkx as nx

from kg.graph import Graph


def to_networkx(graph: Graph) -> nx.MultiDiGraph:
    """Every node and edge; a node is (type, id), an edge's key its type, with weight, and time where it is known."""
    made = nx.MultiDiGraph()
    for kind, vocab in graph.vocabs.items():
        titles = graph.titles.get(kind, ())
        for row, key in enumerate(vocab.ids.to_pylist()):
            made.add_node((kind, key), type=kind, title=titles[row] if len(titles) else key)
    for (source, name, target), edges in graph.edges.items():
        tails, heads = (graph.vocabs[end].ids.to_pylist() for end in (source, target))
        rows = zip(edges.source.tolist(), edges.target.tolist(), edges.weight, edges.time, strict=True)
        for tail, head, weight, time in rows:
            facts = {"weight": float(weight)} | ({"time": float(time)} if time == time else {})
            made.add_edge((source, tails[tail]), (target, heads[head]), key=name, **facts)
    return made
