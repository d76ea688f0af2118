"""An untrained recommender over a shop with prices."""

import pyarrow as pa
import pytest

from fusion.recommender import Recommender
from kg.graph import build_graph
from kg.metapaths.count import count_paths
from kg.schema import GraphSchema
from kg.tables import Tables
from tests.fusion.bundles.prices import PRICES


@pytest.fixture
def shopper(small, shop):
    """An untrained hybrid over the shop, whose items have prices."""
    made, tables = small(candidates_per_path=14, vector_candidates=14), shop()
    schema = tables.schema.to_dict()
    schema["nodes"][2] |= {"properties": ["price"]}
    items = tables.nodes["item"].append_column("price", pa.array(PRICES))
    priced = Tables(
        GraphSchema.from_dict(schema), {**tables.nodes, "item": items}, tables.edges
    )
    return Recommender(
        made.model,
        made.snapshot,
        made.embeddings,
        priced,
        count_paths(build_graph(priced)),
    )
