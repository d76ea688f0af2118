"""Metapath counts of a small shop, and queries to it."""

import pytest

from kg.graph import build_graph
from kg.metapaths.count import PathConfig, count_paths


@pytest.fixture(scope="module")
def counts(shop):
    return count_paths(build_graph(shop()), PathConfig(half_life=2.0, recent=3.0))


@pytest.fixture(scope="module")
def mixed(queries):
    """With and without a user and items; user 5 took nothing, items 12 and 13 were never taken."""
    return queries(
        (0, [1, 2], 3),
        (-1, [], 0),
        (5, [0], 1),
        (2, [], 4),
        (-1, [4, 7, 9], 5),
        (1, [12, 13], 0),
    )
