"""A server beside a real Neo4j: what is written, what works without, and finding it again."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pyarrow as pa
import pytest

from fusion.recommender import Recommender
from fusion.runs import artifacts
from fusion.runs.folder import finished, new_run
from kg.schema import GraphSchema
from kg.stores.base import read_tables, write_tables
from kg.tables import Tables, Vocab
from serve.feedback.events import Event, Events
from serve.feedback.purchases import Known

pytestmark = pytest.mark.neo4j


class Wire:
    """A way to a server that can be cut and mended."""

    def __init__(self, uri: str) -> None:
        there = urlsplit(uri)
        self.to = (there.hostname, there.port or 7687)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.at = probe.getsockname()
        self.uri = f"bolt://127.0.0.1:{self.at[1]}"
        self._ends: list[socket.socket] = []
        self._listening: socket.socket | None = None

    def mend(self) -> None:
        self._listening = socket.create_server(self.at, reuse_port=True)
        threading.Thread(
            target=self._take, args=(self._listening,), daemon=True
        ).start()

    def _take(self, listening: socket.socket) -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            far = socket.create_connection(self.to)
            self._ends += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while some := source.recv(65536):
                sink.sendall(some)
        except OSError:
            pass
        finally:
            sink.close()

    def cut(self) -> None:
        for end in (self._listening, *self._ends):
            if end is not None:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
        self._listening, self._ends = None, []


@pytest.fixture
def wire(neo4j_uri) -> Iterator[Wire]:
    made = Wire(os.environ["NEO4J_URI"])
    yield made
    made.cut()


def labelled(tables, prefix):
    """The same graph under labels of this run's own."""
    schema = tables.schema.to_dict()
    for node in schema["nodes"]:
        node["label"] = f"{prefix}{node['name'].title()}"
    return Tables(GraphSchema.from_dict(schema), tables.nodes, tables.edges)


def test_purchases_reach_a_neo4j_in_batches(neo4j_store, prefix, shop, tmp_path):
    tables = labelled(shop(), prefix)
    write_tables(neo4j_store, tables)
    before = neo4j_store.count(tables.schema)
    events = Events(tmp_path / "events.sqlite")
    known = Known(
        Vocab(tables.nodes["user"]["id"]), Vocab(tables.nodes["item"]["id"]), 9.0
    )
    pairs = [(f"u{n % 6}", f"i{n % 14}") for n in range(42)]
    events.add(
        [
            Event(user, item, "purchase", 100.0 + n)
            for n, (user, item) in enumerate(pairs)
        ]
    )
    done = 0
    while count := events.write_out(neo4j_store, tables.schema, known, most=10):
        assert count <= 10
        done += count
    assert done == 42
    now = read_tables(neo4j_store, tables.schema)
    bought = {
        (row["source"], row["target"])
        for row in now.edges["bought"].to_pylist()
        if row["time"] == 9.0
    }
    assert bought >= set(pairs)
    added = neo4j_store.count(tables.schema)["bought"] - before["bought"]
    assert 0 < added <= 42 and len(now.edges["made"]) == len(tables.edges["made"])
    # Cut off before they were marked, they are written again, to the same edges.
    events._connection().execute("UPDATE event SET written = 0")
    while events.write_out(neo4j_store, tables.schema, known):
        pass
    assert (
        read_tables(neo4j_store, tables.schema)
        .edges["bought"]
        .equals(now.edges["bought"])
    )
    events.close()


def test_baskets_reach_a_neo4j(neo4j_store, prefix, shop, tmp_path):
    tables = labelled(shop(), prefix)
    kept = [e for e in tables.schema.to_dict()["edges"] if e["name"] != "bought"]
    schema = GraphSchema.from_dict({**tables.schema.to_dict(), "edges": kept})
    tables = Tables(
        schema, tables.nodes, {n: t for n, t in tables.edges.items() if n != "bought"}
    )
    write_tables(neo4j_store, tables)
    events = Events(tmp_path / "events.sqlite")
    known = Known(Vocab(["u0"]), Vocab(["i12", "i13"]), 9.0)
    events.add([Event("u0", item, "purchase", 100.0) for item in ("i12", "i13")])
    assert events.write_out(neo4j_store, schema, known) == 2
    now = read_tables(neo4j_store, schema)
    (basket,) = set(now.nodes["bundle"]["id"].to_pylist()) - set(
        tables.nodes["bundle"]["id"].to_pylist()
    )
    inside = now.edges["holds"].filter(
        pa.compute.equal(now.edges["holds"]["source"], basket)
    )
    assert inside["target"].to_pylist() == ["i12", "i13"]
    events.close()


def test_what_a_neo4j_no_longer_has_is_refused(
    neo4j_store, prefix, shop, tmp_path, caplog
):
    tables = labelled(shop(), prefix)
    write_tables(neo4j_store, tables)
    events, odd = Events(tmp_path / "events.sqlite"), "it's \\u0027 gone"
    known = Known(Vocab(["u0", odd]), Vocab(["i12", odd]), 99.0)
    events.add(
        [
            Event(user, item, "purchase", 1.0)
            for user, item in (("u0", odd), ("u0", "i12"), (odd, "i12"))
        ]
    )
    before = neo4j_store.count(tables.schema)
    assert events.write_out(neo4j_store, tables.schema, known) == 3
    now = neo4j_store.count(tables.schema)
    assert {
        name: now[name] - before[name] for name in now if now[name] != before[name]
    } == {"bought": 1}
    assert (events.waiting(), events.refused()) == (0, 2)
    assert (
        "no such user (events 3)" in caplog.text
        and "no such item (events 1)" in caplog.text
    )
    events.close()


@pytest.fixture
def run(trained, prefix, tmp_path):
    """The trained run, its graph under labels of this run's own."""
    one = trained.recommender
    ours = Recommender.assemble(
        one.model, labelled(one.tables, prefix), one.counts, "cpu", one.embeddings
    )
    with new_run(tmp_path / "runs", "neo4j") as folder:
        artifacts.save(ours, trained.recipe, folder)
    return finished(folder)


def test_without_its_neo4j_a_server_answers_and_says_so_and_then_goes_on(
    serving, run, wire, neo4j_store, trained, prefix
):
    api = serving(run=str(run), graph=wire.uri, fold_minutes=0)
    state = api.app.state.held
    event = {"user": "u003", "item": "i001", "kind": "purchase"}

    def works():
        for path, body in (
            ("recommend", {"user": "u003"}),
            ("search", {"text": "chair"}),
            ("similar", {"item": "i001"}),
            ("complete", {"items": ["i002"]}),
            ("build", {"plan": {"size": [2, 2]}}),
            ("compatibility", {"items": ["i002", "i004"]}),
            ("bundles/rank", {"bundles": {"a": ["i002"]}, "user": "u003"}),
            ("explain", {"item": "i002", "user": "u003", "support": False}),
        ):
            assert api.post(f"/v1/{path}", json=body).status_code == 200, path
        assert api.post("/v1/events", json={"events": [event]}).status_code == 202

    def part():
        told = api.get("/health/ready")
        assert told.status_code == 200
        return told.json()["status"], told.json()["parts"]["graph"]

    assert state.graph.look() == "down" and part() == ("degraded", "down")
    works()
    assert state.write_out() == 0 and state.events.waiting() == 1
    verify = {"item": "i003", "user": "u003", "verify": True, "support": False}
    away = api.post("/v1/explain", json=verify)
    assert (
        away.status_code == 503
        and away.headers["retry-after"]
        and "bolt" not in away.text
    )

    wire.mend()
    write_tables(neo4j_store, labelled(trained.recommender.tables, prefix))
    assert state.graph.look() == "up"
    state.write_out()
    assert state.events.waiting() == 0 and part() == ("ready", "up")
    assert api.post("/v1/explain", json=verify).status_code == 200

    wire.cut()
    start = time.monotonic()
    assert api.post("/v1/explain", json=verify).status_code == 503
    assert time.monotonic() - start < 25
    assert state.graph.look() == "down" and part() == ("degraded", "down")
    works()

    wire.mend()
    assert state.graph.look() == "up"
    state.write_out()
    assert state.events.waiting() == 0 and part() == ("ready", "up")
    assert api.post("/v1/explain", json=verify).status_code == 200
