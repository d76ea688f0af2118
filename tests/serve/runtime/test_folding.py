"""Purchases are folded into the graph that is served, without training and without a gap."""

import asyncio
import threading
import time
from contextlib import contextmanager

import pyarrow as pa

from fusion.query import Query
from serve.feedback.events import Event, Events


def ids_of(recommendations):
    return [item.id for item in recommendations]


@contextmanager
def sqlite_of(folder):
    made = Events(folder / "events.sqlite")
    yield made
    made.close()


def ids(answer):
    return [item["id"] for item in answer.json()["items"]]


def test_purchases_are_folded_in_and_no_longer_in_the_session(serving, trained):
    api = serving(fold_minutes=0)
    state = api.app.state.held
    did = [
        {"user": "anna", "item": item, "kind": "purchase", "time": time.time() - 9 + n}
        for n, item in enumerate(["i002", "i004", "i006"])
    ]
    seen = {"user": "anna", "item": "i008", "kind": "view"}
    unknown = {"user": "anna", "item": "nothing", "kind": "purchase"}
    api.post("/v1/events", json={"events": [*did, seen, unknown]})
    query = {"user": "anna", "k": 5}
    first = api.post("/v1/recommend", json=query).json()
    assert first["session"] == ["i002", "i004", "i006", "i008", "nothing"]
    before = state.engine.now
    asyncio.run(state.engine.fold(state.events))
    after = state.engine.now
    told = api.post("/v1/recommend", json=query).json()
    assert told["session"] == ["i008"] and told["run"] == first["run"]
    wanted = trained.recommender.with_events(
        pa.table(
            {
                "user": ["anna"] * 3,
                "item": ["i002", "i004", "i006"],
                "bundle": ["x", "y", "z"],
            }
        )
    )
    assert [item["id"] for item in told["items"]] == ids_of(
        wanted.answer(Query(user="anna", items=("i008",), k=5))
    )
    assert after.recommender.snapshot.users == before.recommender.snapshot.users + 1
    assert after.known is before.known  # what the store has did not change
    asyncio.run(state.engine.fold(state.events))
    assert state.engine.now.recommender is after.recommender  # nothing new
    api.post("/v1/events", json={"events": [{**did[0], "time": time.time() + 60}]})
    assert api.post("/v1/recommend", json=query).json()["session"] == ["i008", "i002"]


def test_purchases_are_folded_in_at_a_start_and_after_a_reload(serving, runs, tmp_path):
    with sqlite_of(tmp_path) as events:
        events.add([Event("anna", "i002", "purchase", time.time())])
    api = serving(fold_minutes=0.001)
    state = api.app.state.held

    def wait_for(run):
        deadline = time.monotonic() + 120
        while state.engine.now.run != run or not state.engine.now.folded:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert (
            state.engine.now.recommender.snapshot.graph.vocabs["user"].row("anna") >= 0
        )

    wait_for(runs[0].name)
    assert api.post("/v1/admin/reload", json={"run": runs[1].name}).status_code == 200
    wait_for(runs[1].name)


def test_no_request_is_dropped_while_purchases_are_folded_in(serving):
    api = serving(fold_minutes=0)
    state = api.app.state.held
    stop, seen = threading.Event(), []

    def query():
        while not stop.is_set():
            seen.append(
                api.post(
                    "/v1/search", json={"text": "chair", "user": "u003"}
                ).status_code
            )

    asker = threading.Thread(target=query)
    asker.start()
    try:
        for n in range(3):
            api.post(
                "/v1/events",
                json={
                    "events": [{"user": f"new{n}", "item": "i002", "kind": "purchase"}]
                },
            )
            asyncio.run(state.engine.fold(state.events))
    finally:
        stop.set()
        asker.join()
    assert set(seen) == {200} and state.engine.now.recommender.snapshot.users == 43
    assert (
        state.engine.now.recommender.encoded == 4
    )  # "", "a", "a b" when it was loaded; "chair" once
