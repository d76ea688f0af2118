"""How fast queries are answered over loopback, beside a bare FastAPI and beside implicit.

    python benchmarks/serve_speed.py runs/<id> --rate 50 --seconds 20
    python benchmarks/serve_speed.py --items 100000 --rate 25 --onnx

Each server is a process of its own with one worker. Requests are sent at fixed moments,
whether those before were answered or not, and timed from the moment they were due, so that
waiting counts. With --items the run is synthetic (random weights, the shipped language model):
times do not depend on what a model has learned.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2 as httpx
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

HELLO = """
import fastapi, uvicorn, sys
app = fastapi.FastAPI()

@app.post("/v1/hello")
async def hello(body: dict) -> dict:
    return {"hello": "world"}

uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="error")
"""
IMPLICIT = """
import fastapi, numpy as np, scipy.sparse as sp, uvicorn, sys
from implicit.als import AlternatingLeastSquares
from fusion.runs.artifacts import load_tables
from kg.graph import build_graph
from pathlib import Path

graph = build_graph(load_tables(Path(sys.argv[2]) / "graph"))
users, items = graph.vocabs[graph.user], graph.vocabs[graph.item]
known = graph.events.user >= 0
pairs = (graph.events.user[known], graph.events.item[known])
taken = sp.csr_matrix((np.ones(len(pairs[0]), np.float32), pairs), (len(users), len(items)))
model = AlternatingLeastSquares(factors=64, iterations=5, num_threads=1)
model.fit(taken, show_progress=False)
app = fastapi.FastAPI()

@app.post("/v1/recommend")
async def recommend(body: dict) -> dict:
    row = users.row(body["user"])
    found, scores = model.recommend(row, taken[row], N=body.get("k", 10))
    return {"items": [{"id": items.key(int(i)), "score": float(s)} for i, s in zip(found, scores)]}

uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="error")
"""


class Server(NamedTuple):
    """Where one listens, and its process."""

    address: str
    pid: int

    def spent(self) -> float:
        """Milliseconds of processor so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def synthetic(items: int, folder: Path) -> str:
    """A run over a catalogue of this many items."""
    from benchmarks.build_speed import catalogue, untrained
    from fusion.experiment import Recipe
    from fusion.runs import artifacts
    from fusion.runs.folder import finished, new_run
    from kg.config import load

    with new_run(folder, "synthetic") as run:
        artifacts.save(
            untrained(catalogue(items)),
            load(Recipe, ROOT / "fusion" / "recipes" / "demo.toml"),
            run,
        )
    return str(finished(run))


@contextmanager
def server(*command: str) -> Iterator[Server]:
    """Start a server on a free port, PORT in its command, and wait until it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [word.replace("PORT", str(port)) for word in command]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    process = subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 300
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/health/live", timeout=5)
                break
            except httpx.TransportError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{command[0]} did not start") from None
                time.sleep(0.2)
        yield Server(f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.terminate()
        process.wait(60)


async def timed(
    server: Server, path: str, bodies: list[dict[str, Any]], rate: float
) -> dict[str, float]:
    """Milliseconds of each request since it was due, of the processor, and the failed share."""
    took: list[float] = []
    failed = 0

    async def one(client: httpx.AsyncClient, body: dict[str, Any], due: float) -> None:
        nonlocal failed
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        answer = await client.post(f"{server.address}/v1/{path}", json=body)
        took.append(1000 * (time.perf_counter() - due))
        failed += answer.status_code != 200

    async with httpx.AsyncClient(
        timeout=60, limits=httpx.Limits(max_connections=100)
    ) as client:
        for body in bodies[:20]:
            await client.post(f"{server.address}/v1/{path}", json={**body, "k": 3})
        start, before = time.perf_counter() + 0.1, server.spent()
        await asyncio.gather(
            *(one(client, body, start + n / rate) for n, body in enumerate(bodies))
        )
    p50, p95, p99 = np.percentile(took, (50, 95, 99))
    each, lost = (server.spent() - before) / len(bodies), failed / len(bodies)
    return {
        "p50": float(p50),
        "p95": float(p95),
        "p99": float(p99),
        "processor": each,
        "failed": lost,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", nargs="?", help="a run folder")
    parser.add_argument(
        "--items",
        type=int,
        help="make a run up, over this many items, in place of a folder",
    )
    parser.add_argument(
        "--rate", type=float, default=50.0, help="requests a second (default: 50)"
    )
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="how long each (default: 20)"
    )
    parser.add_argument(
        "--onnx",
        action="store_true",
        help="export the run's text encoder first (the onnx extra)",
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    options = parser.parse_args()
    if (options.run is None) == (options.items is None):
        parser.error("give a run folder, or --items")
    count = int(options.rate * options.seconds)
    rng = np.random.default_rng(0)
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        run = options.run or synthetic(options.items, Path(folder) / "runs")
        if options.onnx:
            from encoders.text.export import export

            export(Path(run) / "text")
        ours = [
            "-m",
            "serve",
            "--run",
            run,
            "--insecure",
            "--port",
            "PORT",
            "--state",
            f"{folder}/events.sqlite",
        ]
        with server(*ours) as at:
            while (
                httpx.get(f"{at.address}/health/ready").json()["parts"]["explanations"]
                != "up"
            ):
                time.sleep(0.5)  # what is made beside would be timed, too
            about = httpx.get(f"{at.address}/v1/about", timeout=60).json()
            users = [
                {"user": str(user)}
                for user in rng.choice(about["example_users"], count)
            ]
            words = [
                {"text": f"{rng.choice(about['kinds'] or ['chair'])} {n}"}
                for n in range(count)
            ]
            again = [words[n % 20] for n in range(count)]
            found["recommend"] = asyncio.run(
                timed(at, "recommend", users, options.rate)
            )
            found["search, words never seen"] = asyncio.run(
                timed(at, "search", words, options.rate)
            )
            found["search, words seen"] = asyncio.run(
                timed(at, "search", again, options.rate)
            )
        with server("-c", HELLO, "PORT") as at:
            found["FastAPI hello"] = asyncio.run(
                timed(at, "hello", users, options.rate)
            )
        with server("-c", IMPLICIT, "PORT", run) as at:
            found["implicit ALS recommend"] = asyncio.run(
                timed(at, "recommend", users, options.rate)
            )
    base = found["FastAPI hello"]["p50"]
    print(
        f"{options.rate:g} requests a second for {options.seconds:g} s, "
        f"{about['items']:,} items, one worker; ms"
    )
    print(f"{'':28}{'p50':>8}{'p95':>8}{'p99':>8}{'processor':>11}  x hello  failed")
    for name, one in found.items():
        times = "".join(f"{one[part]:8.1f}" for part in ("p50", "p95", "p99"))
        print(
            f"{name:28}{times}{one['processor']:11.1f}{one['p50'] / base:9.1f}  {one['failed']:.1%}"
        )
    if options.json:
        Path(options.json).write_text(
            json.dumps(found, indent=2) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
