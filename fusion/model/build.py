"""An untrained hybrid that fits a graph."""

from __future__ import annotations

from encoders.graph.layers import GraphConfig
from encoders.text.encoder import TextEncoder
from fusion.model.config import FusionConfig
from fusion.model.hybrid import Hybrid
from fusion.model.snapshot import edge_keys
from kg.graph import Graph
from kg.metapaths.count import PathCounts


def make_model(
    config: FusionConfig,
    gnn: GraphConfig,
    text: TextEncoder | None,
    graph: Graph,
    counts: PathCounts,
    features: int,
    learned: dict[str, int] | None = None,
) -> Hybrid:
    """The model, its weights drawn from torch's own generator.

    Args:
        config: The hybrid's shape.
        gnn: The GNN's.
        text: The text tower, None where texts are not used.
        graph: Whose node types and relations the GNN has weights for.
        counts: Its metapath counts.
        features: F, how many metapath features a candidate has.
        learned: By node type, how many nodes have a vector of their own; all where None.
    """
    bundle = graph.schema.of_role("bundle")
    sizes = {
        node.name: graph.size(node.name)
        for node in graph.schema.nodes
        if node is not bundle
    }
    keys = edge_keys(graph, counts)
    types = (graph.user, graph.item)
    return Hybrid(config, text, gnn, sizes, keys, types, features, learned or sizes)
