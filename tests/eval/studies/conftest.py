"""A checkerboard whose things are categories, and a bench with baselines."""

import pyarrow as pa
import pytest

from eval.studies.bundles import Bench
from fusion.recommender import Recommender
from kg.schema import GraphSchema
from kg.tables import Tables
from tests.eval.studies.told import REAL, Told


@pytest.fixture(scope="module")
def served(trained):
    made = trained.recommender
    schema = made.tables.schema.to_dict()
    next(node for node in schema["nodes"] if node["name"] == "item")["properties"] = [
        "category"
    ]
    items = made.tables.nodes["item"]
    things = pa.array([title.split()[1] for title in items["title"].to_pylist()])
    nodes = {**made.tables.nodes, "item": items.append_column("category", things)}
    tables = Tables(GraphSchema.from_dict(schema), nodes, made.tables.edges)
    return Recommender(made.model, made.snapshot, made.embeddings, tables, made.counts)


@pytest.fixture
def bench(served):
    return Bench(served, bars=False)


@pytest.fixture
def told(bench):
    """With baselines that know the real items, know them and lie, and know nothing."""
    real = {row for one in REAL for row in one.items.tolist()}
    bench.baselines = {"knows": Told(1, real), "lies": Told(-1, real), "blind": Told(0)}
    return bench
