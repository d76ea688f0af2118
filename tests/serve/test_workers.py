"""Several workers: they start, share reloads, metrics and quotas, log, and stop."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import pytest

from serve.access.keys import add_key
from serve.runtime.state import FOLLOW

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def stopped(process: int) -> Iterator[None]:
    """One of two workers stands still, so that the other gets every request; not for long."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


@pytest.mark.slow
def test_two_workers(runs, keys, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shop = {"Authorization": f"Bearer {add_key(keys.file, 'shop', 'reader', quota=6)}"}
    log = tmp_path / "log"
    command = [
        sys.executable,
        "-m",
        "serve",
        "--run",
        str(runs[0]),
        "--keys",
        keys.file,
        "--workers",
        "2",
        "--port",
        str(port),
        "--state",
        str(tmp_path / "events.sqlite"),
    ]
    with log.open("w") as stderr:
        server = subprocess.Popen(command, cwd=ROOT, stderr=stderr)
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 240

    def wait_for(words, times=1):
        while len(re.findall(words, log.read_text())) < times:
            assert server.poll() is None and time.monotonic() < deadline, (
                log.read_text()
            )
            time.sleep(0.2)

    def search(headers):
        return httpx.post(
            f"{address}/v1/search", json={"text": "chair"}, headers=headers, timeout=60
        ).status_code

    try:
        wait_for("Application startup complete", 2)
        one, two = map(
            int, re.findall(r"Started server process \[(\d+)\]", log.read_text())
        )
        assert search({}) == 401
        with stopped(two):
            assert [search(shop) for _ in range(4)] == [200] * 4
        time.sleep(4 * FOLLOW)  # the first tells, the second hears
        with stopped(one):
            assert [search(shop) for _ in range(4)] == [200, 200, 429, 429]
        assert search(keys.reader) == 200
        told = httpx.post(
            f"{address}/v1/admin/reload",
            json={"run": runs[1].name},
            headers=keys.operator,
            timeout=60,
        )
        assert told.status_code == 200
        wait_for(f"serving {runs[1].name}", 2)
        metrics = httpx.get(
            f"{address}/metrics", headers=keys.operator, timeout=60
        ).text
        assert 'route="/v1/search",status="200"} 7.0' in metrics
        assert log.read_text().count('"route": "/v1/search"') == 7
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    finally:
        server.kill()
        server.wait()
