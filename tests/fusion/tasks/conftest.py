"""One fold of a small shop."""

import pytest

from fusion.tasks.folds import FoldConfig, make_folds
from kg.graph import build_graph


@pytest.fixture(scope="module")
def fold(shop):
    return make_folds(build_graph(shop()), FoldConfig(1, 4.0, cold=0.0), 0)[0]
