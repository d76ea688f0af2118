"""Graphs that several splits are tested on."""

import pyarrow as pa
import pytest

from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import Tables


@pytest.fixture
def timeless() -> Tables:
    """Six users who each took one of two items, nobody knows when."""
    schema = GraphSchema(
        (NodeType("user", "user"), NodeType("item", "item")),
        (EdgeType("took", "user", "item", "interaction"),),
    )
    nodes = {
        "user": pa.table({"id": list("abcdef")}),
        "item": pa.table({"id": ["x", "y"]}),
    }
    edges = {"took": pa.table({"source": list("abcdef"), "target": list("xyxyxy")})}
    return Tables(schema, nodes, edges)
