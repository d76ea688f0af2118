"""A new run is served without a dropped request; a damaged one is not served at all."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx
import pytest

from serve.runtime.loaded import ServingModel


@pytest.fixture
def folder(runs, tmp_path):
    """The two runs in a folder of their own, which a test may spoil."""
    for run in runs:
        shutil.copytree(run, tmp_path / "runs" / run.name)
    return tmp_path / "runs"


def test_a_damaged_run_is_refused_and_the_old_one_goes_on(serving, runs, folder):
    one, two = (run.name for run in runs)
    api = serving(run=str(folder / one))
    weights = folder / two / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    refused = api.post("/v1/admin/reload", json={"run": two})
    assert refused.status_code == 409 and "has changed" in refused.json()["detail"]
    assert str(folder) not in refused.text
    assert api.post("/v1/search", json={"text": "chair"}).json()["run"] == one
    weights.write_bytes(whole)
    done = api.post("/v1/admin/reload", json={"run": two}).json()
    assert (done["before"], done["run"]) == (one, two)
    assert api.post("/v1/search", json={"text": "chair"}).json()["run"] == two


def test_an_exported_encoder_is_used_and_a_damaged_one_refused(
    serving, runs, folder, trained
):
    pytest.importorskip("onnxscript", reason="the onnx extra is not installed")
    from encoders.text import export as onnx

    one, two = (run.name for run in runs)
    file = onnx.export(folder / two / "text")
    api = serving(run=str(folder / one))
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    refused = api.post("/v1/admin/reload", json={"run": two})
    assert refused.status_code == 409 and "onnx" in refused.json()["detail"]
    assert str(folder) not in refused.text
    file.write_bytes(whole)
    assert api.post("/v1/admin/reload", json={"run": two}).status_code == 200
    assert api.app.state.held.engine.now.recommender.model.text.quick is not None
    for text in ("black chair", "a lamp"):
        found = api.post("/v1/search", json={"text": text, "k": 5}).json()["items"]
        wanted = trained.recommender.search(text, k=5)
        assert [item["id"] for item in found] == [item.id for item in wanted]
        assert [item["score"] for item in found] == pytest.approx(
            [item.score for item in wanted], abs=1e-4
        )


@pytest.mark.parametrize(
    "name",
    ["../elsewhere", "..", ".", "/etc", "a/b", "a\\b", "", "none", "x" * 300, "a\x00b"],
)
def test_only_runs_of_the_folder_are_loaded(api, name):
    answer = api.post("/v1/admin/reload", json={"run": name})
    assert answer.status_code in {409, 422}
    assert "/" not in answer.json()["detail"].replace("a/b", "")


def test_no_request_is_dropped_while_a_run_is_loaded(listening, runs):
    address, stop = listening(), threading.Event()
    seen: list[tuple[int, str]] = []

    def query(number: int) -> None:
        with httpx.Client(base_url=address, timeout=60) as client:
            while not stop.is_set():
                answer = client.post(
                    "/v1/search", json={"text": f"chair {number}", "k": 3}
                )
                seen.append((answer.status_code, answer.json().get("run", "")))

    with ThreadPoolExecutor(3) as pool:
        askers = [pool.submit(query, number) for number in range(3)]
        with httpx.Client(base_url=address, timeout=120) as client:
            for run in (runs[1], runs[0], runs[1]):
                before = len(seen)
                assert (
                    client.post("/v1/admin/reload", json={"run": run.name}).status_code
                    == 200
                )
                while len(seen) < before + 5:
                    time.sleep(0.01)
        stop.set()
        for asker in askers:
            asker.result()
    assert {status for status, _ in seen} == {200}
    assert {run for _, run in seen} == {run.name for run in runs}


def test_other_workers_follow(serving, runs, tmp_path):
    state = str(tmp_path / "shared.sqlite")
    one, two = serving(state=state), serving(state=state)
    assert one.post("/v1/admin/reload", json={"run": runs[1].name}).status_code == 200
    deadline = time.monotonic() + 60
    while two.get("/health/ready").json()["run"] != runs[1].name:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_worker_that_starts_later_serves_what_the_others_do(serving, runs, tmp_path):
    state = str(tmp_path / "shared.sqlite")
    one = serving(state=state, workers=2)
    one.post("/v1/admin/reload", json={"run": runs[1].name})
    assert (
        serving(state=state, workers=2).get("/health/ready").json()["run"]
        == runs[1].name
    )


def test_a_reload_is_not_undone_by_what_was_told_before(serving, runs, monkeypatch):
    api = serving()
    state = api.app.state.held
    assert api.post("/v1/admin/reload", json={"run": runs[0].name}).status_code == 200
    written = state.events.set

    def look_first(name, value):
        api.portal.call(state.catch_up)
        written(name, value)

    monkeypatch.setattr(state.events, "set", look_first)
    assert api.post("/v1/admin/reload", json={"run": runs[1].name}).status_code == 200
    assert state.engine.now.run == runs[1].name


def test_of_two_reloads_in_two_workers_the_one_told_last_holds(
    serving, runs, monkeypatch
):
    api = serving()
    state = api.app.state.held
    loaded = state.engine.reload

    async def overtaken(run):
        found = await loaded(run)
        state.events.set(state._row, f"{runs[0].name} by another worker")
        await state.catch_up()
        return found

    monkeypatch.setattr(state.engine, "reload", overtaken)
    assert api.post("/v1/admin/reload", json={"run": runs[1].name}).status_code == 200
    assert (
        state.events.get(state._row).split()[0] == state.engine.now.run == runs[1].name
    )


def test_words_asked_at_once_are_encoded_together(runs, trained):
    served = ServingModel.load(runs[0])
    texts = [
        f"{colour} {thing}"
        for colour in ("black", "white")
        for thing in ("chair", "vase", "lamp", "clock")
    ]
    with served._encoder, ThreadPoolExecutor(8) as pool:
        found = [pool.submit(served.search, text) for text in texts]
        deadline = time.monotonic() + 30
        while len(served._waiting) < len(texts):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        served._encoder.release()
        answers = [one.result(60) for one in found]
        served._encoder.acquire()
    assert served.batches == 1 and served.encoded == len(texts)
    for text, answer in zip(texts, answers, strict=True):
        assert [one.id for one in answer] == [
            one.id for one in trained.recommender.search(text)
        ]
    served.kept = 3
    served.search("one more")
    assert len(served._vectors) == 3 and not served._waiting
    served.search("one more")
    assert served.encoded == len(texts) + 1


def test_too_many_at_once_are_turned_away_and_too_slow_is_told(serving):
    api = serving(waiting=1, threads=1, seconds=0.5)
    engine, gate = api.app.state.held.engine, threading.Event()
    engine.quick.submit(gate.wait)
    try:
        assert api.post("/v1/search", json={"text": "chair"}).status_code == 504
    finally:
        gate.set()
    assert engine.inside == 0  # what nobody waits for is not begun
    engine.inside = 1
    busy = api.post("/v1/search", json={"text": "chair"})
    assert busy.status_code == 503 and busy.headers["retry-after"] == "1"
    engine.inside = 0


def test_what_is_told_of_a_run_names_no_folder(serving, runs, tmp_path):
    api = serving(run=str(runs[0]))
    answer = api.post("/v1/admin/reload", json={"run": "none"})
    assert answer.status_code == 409 and str(Path(runs[0]).parent) not in answer.text
