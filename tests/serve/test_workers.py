"""Several workers: they start, share reloads and metrics, write logs, and stop when told to."""

import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2 as httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_two_workers(runs, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path / "log"
    command = [sys.executable, "-m", "serve", "--run", str(runs[0]), "--insecure", "--workers", "2",
               "--port", str(port), "--state", str(tmp_path / "events.sqlite")]  # fmt: skip
    with log.open("w") as stderr:
        server = subprocess.Popen(command, cwd=ROOT, stderr=stderr)
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 240

    def wait_for(words, times=1):
        while len(re.findall(words, log.read_text())) < times:
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)

    try:
        wait_for("Application startup complete", 2)
        for _ in range(6):
            assert httpx.post(f"{address}/v1/search", json={"text": "chair"}, timeout=60).status_code == 200
        told = httpx.post(f"{address}/v1/admin/reload", json={"run": runs[1].name}, timeout=60)
        assert told.status_code == 200
        wait_for(f"serving {runs[1].name}", 2)
        metrics = httpx.get(f"{address}/metrics", timeout=60).text
        assert 'route="/v1/search",status="200"} 6.0' in metrics
        assert log.read_text().count('"route": "/v1/search"') == 6
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    finally:
        server.kill()
        server.wait()
