"""What the tables of an embedded file are called, and the columns of those of edges."""

from __future__ import annotations

import json

import pyarrow as pa

from kg.schema import EdgeType, GraphSchema, NodeType


def all_columns(edges: pa.Table) -> pa.Table:
    """Edges with their ends, weight and time, which are null where their type has none."""
    for name in ("weight", "time"):
        if name not in edges.column_names:
            edges = edges.append_column(name, pa.nulls(len(edges), pa.float64()))
    return edges.select(["source", "target", "weight", "time"])


def node_table(node: NodeType) -> str:
    """The name of the table of a node type."""
    return f"node {node.label}"


def edge_table(edge: EdgeType, schema: GraphSchema) -> str:
    """The name of the table of an edge type, told apart by its ends."""
    ends = [
        schema.node(edge.source).label,
        edge.relationship,
        schema.node(edge.target).label,
    ]
    return f"edge {json.dumps(ends, ensure_ascii=False)}"
