"""A Neo4j that tests may write to: whatever they make carries a label that begins with this run's own prefix."""

import os
import uuid

import pytest

from kg.neo4j import Neo4jStore


@pytest.fixture(scope="session")
def prefix():
    return f"Test{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def neo4j_uri(prefix):
    """The address of the server; afterwards the prefix's constraints are gone and the schema is what it was."""
    if not os.environ.get("NEO4J_URI"):
        pytest.skip("NEO4J_URI is not set")
    uri = os.environ["NEO4J_URI"]
    with Neo4jStore.connect(uri) as store:
        saved = store.schema()
    yield uri
    with Neo4jStore.connect(uri) as store:
        for name, labels in list(store.rows("SHOW CONSTRAINTS YIELD name, labelsOrTypes RETURN name, labelsOrTypes")):
            if labels[0].startswith(prefix):
                store._write(f"DROP CONSTRAINT `{name}`", None)
        if saved:
            store.write_schema(saved)


@pytest.fixture
def neo4j_store(neo4j_uri, prefix):
    """An open store; afterwards the prefix's nodes, and the schema node, are gone."""
    with Neo4jStore.connect(neo4j_uri) as store:
        yield store
    with Neo4jStore.connect(neo4j_uri) as store:
        where = f"n:TrousseauSchema OR any(label IN labels(n) WHERE label STARTS WITH '{prefix}')"
        store._write(f"MATCH (n) WHERE {where} DETACH DELETE n", None)
