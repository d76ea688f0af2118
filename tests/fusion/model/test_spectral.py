"""Where learned vectors start."""

import pyarrow as pa
import torch

from fusion.model.spectral import spectral_vectors
from kg.graph import build_graph
from kg.schema import EdgeType, GraphSchema
from kg.tables import Tables


def test_a_value_starts_between_the_items_of_all_relations_that_lead_to_it(shop):
    tables = shop()
    schema = GraphSchema(
        tables.schema.nodes,
        (*tables.schema.edges, EdgeType("fits", "item", "brand", "relation")),
    )

    def vectors(pairs):
        fits = pa.table(
            [list(ends) for ends in zip(*pairs, strict=True)], ["source", "target"]
        )
        return spectral_vectors(
            build_graph(Tables(schema, tables.nodes, {**tables.edges, "fits": fits})),
            8,
            0,
        )

    one = spectral_vectors(build_graph(tables), 8, 0)
    by = {
        row["source"] for row in tables.edges["by"].to_pylist() if row["target"] == "b0"
    }
    new = next(f"i{n}" for n in range(12) if f"i{n}" not in by)
    both = vectors([(new, "b0")])
    assert torch.equal(both["item"], one["item"]) and torch.equal(
        both["brand"][1:], one["brand"][1:]
    )
    rows = [int(name[1:]) for name in (*by, new)]
    near = both["item"][rows] @ both["brand"][0]
    assert (near > 0).any() and near[-1] > both["item"][rows[-1]] @ one["brand"][0]
