"""Features of shared attribute values."""

import pyarrow as pa

from fusion.model.features import (
    SHARED_ATTRIBUTES,
    MetapathFeatures,
)
from kg.graph import build_graph
from kg.metapaths.count import count_paths
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import Tables


def test_shared_attributes_retrieve_cold_items_too(queries):
    """Everything alike was never taken, so no count of takings brings it."""
    items, kinds = 60, 12
    schema = GraphSchema(
        (
            NodeType("user", "user"),
            NodeType("item", "item"),
            NodeType("kind", "attribute"),
        ),
        (
            EdgeType("took", "user", "item", "interaction"),
            EdgeType("is_a", "item", "kind", "relation"),
        ),
    )
    ids = [f"i{n:02}" for n in range(items)]
    tables = Tables(
        schema,
        {
            name: pa.table({"id": i})
            for name, i in (("user", ["u"]), ("item", ids), ("kind", ids[:kinds]))
        },
        {
            "took": pa.table({"source": ["u"] * 30, "target": ids[:30]}),
            "is_a": pa.table(
                {"source": ids, "target": [ids[n % kinds] for n in range(items)]}
            ),
        },
    )
    counts = count_paths(build_graph(tables))
    features = MetapathFeatures(counts)
    rows, phi = features(queries((-1, [3], 0), (-1, [], 0)), each=2)
    assert {15, 27, 39, 51} <= set(
        rows[0].tolist()
    )  # of its kind: two that were taken, two that never were
    assert not {39, 51} & set(rows[1].tolist())
    column = features.names.index(SHARED_ATTRIBUTES)
    said = dict(zip(rows[0].tolist(), phi[0, :, column].tolist(), strict=True))
    assert said[15] > said[39] > 0
