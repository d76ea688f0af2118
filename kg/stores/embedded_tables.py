"""What an embedded file looks like: its first bytes, and what its tables are called."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from kg.schema import EdgeType, GraphSchema, NodeType


def is_duckdb(path: Path) -> bool:
    """Whether a file begins as DuckDB's do; it would read a CSV file, and keep nothing in it."""
    with path.open("rb") as file:
        return file.read(12)[8:] == b"DUCK"


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
