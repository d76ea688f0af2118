"""Features against dense matrices."""

import numpy as np
import pytest
import torch

from fusion.model.feature import Pool
from fusion.model.features import (
    MetapathFeatures,
    describe,
)
from fusion.query_batch import QueryBatch, Ragged
from kg.graph import build_graph
from kg.metapaths.count import PathConfig, count_paths
from tests.fusion.model.dense import ITEMS, TEXTS, by_name


@pytest.mark.parametrize("seed", range(3))
def test_features_equal_those_of_dense_matrices(shop, mixed, seed):
    counts = count_paths(build_graph(shop(seed)), PathConfig(half_life=2.0, recent=3.0))
    features = MetapathFeatures(counts)
    rows, phi = features(mixed, each=ITEMS)
    assert phi.shape == (*rows.shape, len(features.names)) and (phi >= 0).all()
    for b in range(len(mixed)):
        here = rows[b] >= 0
        expected = by_name(counts, mixed.users[b], mixed.context[b])
        assert set(expected) == set(features.names)
        for column, name in enumerate(features.names):
            assert np.allclose(
                phi[b, here, column], expected[name][rows[b, here]], rtol=1e-5
            ), (b, name)


def test_every_feature_is_positive_somewhere(counts, mixed):
    """Else the comparison above is of zeros."""
    rows, phi = MetapathFeatures(counts)(mixed, each=ITEMS)
    assert (phi[rows >= 0] > 0).any(0).all()


def test_a_pool_has_the_features_of_the_catalogue(counts, queries):
    """A pool's features are the same features of fewer items, to the last digit."""
    features = MetapathFeatures(counts, texts=TEXTS)
    pool = torch.tensor([11, 3, 0, 7, 13, 5])
    contexts = [[], [1], [2, 0], [3, 4, 5]]
    for user, text in ((2, "red hat"), (-1, "")):
        places = Ragged.of(contexts)
        context = Ragged(places.offsets, pool.numpy()[places.rows])
        whole = QueryBatch.of([user] * 4, context, [text] * 4)
        expected = features.describe(whole, pool.expand(4, -1))
        query = QueryBatch.of([user], texts=[text]).to(features.device)
        cut = [f.among(Pool(pool, query)) for f in features.features]
        assert [f.name for f in cut] == list(features.names)
        batch = QueryBatch.of([-1] * 4, places).to(features.device)
        rows = torch.arange(len(pool)).expand(4, -1)
        assert torch.equal(describe(cut, batch, rows, {}), expected)
        candidates, phi = features(whole, each=ITEMS)
        assert torch.equal(
            features.describe(whole, candidates.clamp(min=0))[candidates >= 0],
            phi[candidates >= 0],
        )


def test_a_graph_without_users_bundles_or_attributes_still_counts(shop, queries):
    tables = shop()
    empty = {
        name: table.slice(0, 0)
        for name, table in tables.edges.items()
        if name != "bought"
    }
    counts = count_paths(build_graph(tables.with_tables(edges=empty)))
    rows, phi = MetapathFeatures(counts)(queries((0, [1], 2), (-1, [], 0)), each=3)
    assert (
        "item-bundle-item" not in MetapathFeatures(counts).names
        and "item-user-item" in MetapathFeatures(counts).names
    )
    assert (rows >= 0).any(1).all() and phi.isfinite().all()
