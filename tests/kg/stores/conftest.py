"""Every store, empty, and a schema that is hard to write."""

import pytest

from kg.stores.open import open_store
from tests.kg.stores.tricky import (
    make_schema,
)


@pytest.fixture(params=["embedded", pytest.param("neo4j", marks=pytest.mark.neo4j)])
def store(request, tmp_path):
    if request.param == "neo4j":
        yield request.getfixturevalue("neo4j_store")
        return
    with open_store(str(tmp_path / "graph.kg"), create=True) as opened:
        yield opened


@pytest.fixture
def schema(prefix):
    return make_schema(prefix, weight="we`ight", time="ti me")
