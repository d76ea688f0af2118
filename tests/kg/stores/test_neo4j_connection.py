"""What a connection to Neo4j refuses, and how it says so."""

import socket
import time
from types import SimpleNamespace

import pytest

from kg.errors import StoreError
from kg.stores.neo4j import Neo4jStore
from kg.stores.open import open_store

server = pytest.mark.neo4j


def test_no_answer_is_a_quick_clear_error():
    start = time.monotonic()
    for uri in ("bolt://127.0.0.1:1", "neo4j://127.0.0.1:1"):
        with pytest.raises(
            StoreError, match=f"{uri}: no answer; is the server running"
        ):
            open_store(uri)
    assert time.monotonic() - start < 10


def test_a_server_that_says_nothing_is_given_up_after_seconds():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        start = time.monotonic()
        with pytest.raises(StoreError, match="no answer"):
            Neo4jStore.connect(f"bolt://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - start < 8


def test_secrets_in_the_address_are_refused_and_not_repeated():
    with pytest.raises(StoreError, match="NEO4J_PASSWORD") as caught:
        open_store("bolt://me:secret@localhost:7687")
    assert "secret" not in str(caught.value)
    with pytest.raises(StoreError, match="bolt://localhost:port"):
        open_store("bolt://localhost:port")


@server
def test_wrong_password_and_wrong_database(neo4j_uri, monkeypatch):
    monkeypatch.setenv("NEO4J_DATABASE", "no-such-database")
    with pytest.raises(
        StoreError,
        match=f"{neo4j_uri}: there is no database 'no-such-database'; set NEO4J_DATABASE",
    ):
        open_store(neo4j_uri)
    monkeypatch.setenv("NEO4J_PASSWORD", "wrong")
    with pytest.raises(
        StoreError, match=f"{neo4j_uri}: user or password refused; set NEO4J_USERNAME"
    ) as caught:
        open_store(neo4j_uri)
    assert "wrong" not in str(caught.value)
    monkeypatch.delenv("NEO4J_PASSWORD")
    with pytest.raises(StoreError, match="NEO4J_PASSWORD"):
        open_store(neo4j_uri)


@server
@pytest.mark.parametrize(
    ("agent", "fine"),
    [("Neo4j/4.4.0", False), ("Neo4j/5.12.9", False), ("Neo4j/2025.06.0", True)],
)
def test_an_old_server_is_refused(neo4j_store, monkeypatch, agent, fine):
    monkeypatch.setattr(
        neo4j_store._driver, "get_server_info", lambda: SimpleNamespace(agent=agent)
    )
    if fine:
        neo4j_store._check_server()
    else:
        with pytest.raises(StoreError, match=f"{agent} is too old"):
            neo4j_store._check_server()


@server
def test_a_server_error_midway_is_a_store_error(neo4j_store):
    with pytest.raises(StoreError, match=r"bolt://.*: / by zero"):
        list(neo4j_store.rows("UNWIND [1, 0] AS x RETURN 1 / x"))
