"""Events are on disk before they are acknowledged, in answers at once, in the graph later."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import pytest

from kg.stores.base import write_tables
from kg.stores.open import open_store
from serve.feedback.events import Event, Events

ROOT = Path(__file__).resolve().parents[3]


def ids(answer):
    return [item["id"] for item in answer.json()["items"]]


def ids_of(found):
    return [one.id for one in found]


@contextmanager
def sqlite_of(folder):
    made = Events(folder / "events.sqlite")
    yield made
    made.close()


def test_an_event_changes_the_next_answer_of_its_user_alone(serving):
    api = serving()
    query = {"user": "u003", "k": 5}
    before, other = (
        api.post("/v1/recommend", json=query),
        api.post("/v1/recommend", json={**query, "user": "u005"}),
    )
    taken = ids(before)[0]
    event = {"user": "u003", "item": taken, "kind": "purchase"}
    assert api.post("/v1/events", json={"events": [event]}).status_code == 202
    after = api.post("/v1/recommend", json=query)
    assert after.json()["session"] == [taken] and taken not in ids(after)
    assert ids(api.post("/v1/recommend", json={**query, "session": False})) == ids(
        before
    )
    assert ids(api.post("/v1/recommend", json={**query, "user": "u005"})) == ids(other)


def test_a_new_user_is_known_by_what_was_done_just_now(serving):
    api = serving()
    for items, colour in ((["i002", "i004"], 0), (["i001", "i003"], 1)):
        user = f"new-{colour}"
        done = [{"user": user, "item": item, "kind": "view"} for item in items]
        api.post("/v1/events", json={"events": done})
        found = ids(api.post("/v1/recommend", json={"user": user, "k": 5}))
        assert all(int(item[1:]) % 2 == colour for item in found)


def test_the_same_event_twice_is_once(serving):
    api = serving()
    body = {"events": [{"user": "u1", "item": "i1", "kind": "view", "id": "mine"}] * 2}
    assert api.post("/v1/events", json=body).json()["accepted"] == 1
    again = api.post("/v1/events", json=body).json()
    assert (again["accepted"], again["again"]) == (0, 2)


def test_ids_are_each_keys_own(serving, keys):
    api = serving(keys=keys.file)
    for headers, user in ((keys.reader, "ann"), (keys.operator, "bob")):
        event = {"user": user, "item": "i1", "kind": "view", "id": "1"}
        for accepted in (1, 0):
            assert (
                api.post(
                    "/v1/events", headers=headers, json={"events": [event]}
                ).json()["accepted"]
                == accepted
            )
        assert api.post("/v1/recommend", headers=headers, json={"user": user}).json()[
            "session"
        ] == ["i1"]


def test_a_session_is_the_latest_first_forgotten(events):
    did = [
        ("i1", "view", 1),
        ("i2", "cart", 2),
        ("i3", "view", 3),
        ("i1", "purchase", 4),
        ("i3", "dislike", 5),
    ]
    events.add([Event("u", item, kind, time) for item, kind, time in did])
    assert events.session("u", 20, 0) == ("i2", "i1")
    assert events.session("u", 1, 0) == ("i1",)
    assert events.session("u", 20, 4) == ("i1",)
    assert events.session("nobody", 20, 0) == ()


def test_a_time_to_come_is_now(serving):
    api = serving()
    first = {"user": "u1", "item": "i1", "kind": "view", "time": 9e10}
    for event in (first, {"user": "u1", "item": "i2", "kind": "view"}):
        assert api.post("/v1/events", json={"events": [event]}).status_code == 202
    assert api.post("/v1/recommend", json={"user": "u1"}).json()["session"] == [
        "i1",
        "i2",
    ]


def test_what_cannot_be_kept_is_not_acknowledged(serving, monkeypatch):
    api = serving()

    def full(events):
        raise sqlite3.OperationalError("database or disk is full")

    event = {"events": [{"user": "u1", "item": "i1", "kind": "view"}]}
    with monkeypatch.context() as broken:
        broken.setattr(api.app.state.held.events, "add", full)
        answer = api.post("/v1/events", json=event)
        assert answer.status_code == 503 and "disk" not in answer.text
        assert api.get("/health/ready").json()["status"] == "degraded"
        assert api.post("/v1/search", json={"text": "chair"}).status_code == 200
    assert api.post("/v1/events", json=event).status_code == 202
    assert api.get("/health/ready").json()["status"] == "ready"


def test_events_are_all_or_none(events):
    with pytest.raises(sqlite3.Error):
        events.add([Event("u", "i1", "view", 1.0), Event("u", None, "view", 2.0)])  # type: ignore[arg-type]
    assert events.waiting() == 0 and events.session("u", 9, 0) == ()


def test_events_wait_while_the_graph_is_away(serving, trained, tmp_path, caplog):
    graph = tmp_path / "graph.duckdb"
    api = serving(graph=str(graph))
    state = api.app.state.held
    api.post(
        "/v1/events",
        json={"events": [{"user": "u003", "item": "i001", "kind": "purchase"}]},
    )
    assert state.graph.look() == "down" and state.write_out() == 0
    assert (
        f"the graph store does not answer: {graph}: there is no such file"
        in caplog.text
    )
    ready = api.get("/health/ready")
    assert ready.status_code == 200
    assert (
        ready.json()["status"] == "degraded"
        and ready.json()["parts"]["graph"] == "down"
    )
    away = api.post(
        "/v1/explain", json={"item": "i001", "user": "u003", "verify": True}
    )
    assert (
        away.status_code == 503
        and "graph" in away.json()["detail"]
        and str(graph) not in away.text
    )
    assert (
        api.post("/v1/explain", json={"item": "i001", "user": "u003"}).status_code
        == 200
    )
    with open_store(str(graph), create=True) as store:
        write_tables(store, trained.recommender.tables)
    assert state.graph.look() == "up"
    state.write_out()
    assert state.events.waiting() == 0
    assert api.get("/health/ready").json()["status"] == "ready"
    told = api.post(
        "/v1/explain", json={"item": "i003", "user": "u003", "verify": True}
    )
    assert {edge["now"] for path in told.json()["paths"] for edge in path["edges"]} == {
        "there"
    }


@pytest.mark.slow
def test_kill_9_loses_no_acknowledged_event(runs, tmp_path):
    """Writers post as fast as they can, the server is killed; what was acknowledged is there."""
    file = tmp_path / "events.sqlite"
    command = [
        sys.executable,
        "-m",
        "serve",
        "--run",
        str(runs[0]),
        "--insecure",
        "--port",
        "0",
        "--state",
        str(file),
    ]
    log = (
        tmp_path / "server.log"
    )  # not a pipe: the server would wait for it once it is full
    with log.open("w") as written:
        server = subprocess.Popen(command, cwd=ROOT, stderr=written, text=True)
    try:
        while (
            found := re.search(r"running on (http://\S+)\s", log.read_text())
        ) is None:
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)
        address = found.group(1)
        acknowledged: list[str] = []
        until = time.monotonic() + 20
        with httpx.Client(base_url=address, timeout=30) as client:
            while len(acknowledged) < 300 and time.monotonic() < until:
                name = f"e{len(acknowledged)}"
                body = {
                    "events": [
                        {"user": "u1", "item": "i001", "kind": "view", "id": name}
                    ]
                }
                assert client.post("/v1/events", json=body).status_code == 202
                acknowledged.append(name)
            os.kill(server.pid, signal.SIGKILL)
        server.wait(30)
    finally:
        server.kill()
        server.communicate()
    assert len(acknowledged) > 10
    with sqlite3.connect(file) as connection:
        kept = {row[0] for row in connection.execute("SELECT id FROM event")}
    connection.close()
    assert set(acknowledged) <= kept
