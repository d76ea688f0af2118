"""How fast asks are answered over loopback, beside a FastAPI that says hello and beside the same ask on implicit.

    python benchmarks/serve_speed.py runs/<id> --rate 50 --seconds 20

Each server is a process of its own with one worker. Requests are sent at fixed moments, whether those before were
answered or not, and timed from the moment they were due, so that waiting counts.
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
from typing import Any

import httpx2 as httpx
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
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
from fusion.artifacts import load_tables
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


@contextmanager
def server(*command: str) -> Iterator[str]:
    """Start a server on a free port, which stands in its command as PORT, and wait until it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [word.replace("PORT", str(port)) for word in command]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, *words], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
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
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


async def timed(address: str, path: str, bodies: list[dict[str, Any]], rate: float) -> dict[str, float]:
    """Milliseconds, from when each request was due, and the share that failed."""
    took: list[float] = []
    failed = 0

    async def one(client: httpx.AsyncClient, body: dict[str, Any], due: float) -> None:
        nonlocal failed
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        answer = await client.post(f"{address}/v1/{path}", json=body)
        took.append(1000 * (time.perf_counter() - due))
        failed += answer.status_code != 200

    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=100)) as client:
        for body in bodies[:20]:
            await client.post(f"{address}/v1/{path}", json=body)
        start = time.perf_counter() + 0.1
        await asyncio.gather(*(one(client, body, start + n / rate) for n, body in enumerate(bodies)))
    p50, p95, p99 = np.percentile(took, (50, 95, 99))
    return {"p50": float(p50), "p95": float(p95), "p99": float(p99), "failed": failed / len(bodies)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run folder")
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second (default: 50)")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each (default: 20)")
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    options = parser.parse_args()
    count = int(options.rate * options.seconds)
    rng = np.random.default_rng(0)
    found: dict[str, dict[str, float]] = {}
    run = ["-m", "serve", "--run", options.run, "--insecure", "--port", "PORT", "--state"]
    with tempfile.TemporaryDirectory() as folder:
        with server(*run, f"{folder}/events.sqlite") as address:
            about = httpx.get(f"{address}/v1/about", timeout=60).json()
            users = [{"user": str(user)} for user in rng.choice(about["example_users"], count)]
            words = [{"text": f"{rng.choice(about['kinds'] or ['chair'])} {n}"} for n in range(count)]
            found["recommend"] = asyncio.run(timed(address, "recommend", users, options.rate))
            found["search, words never seen"] = asyncio.run(timed(address, "search", words, options.rate))
            found["search, words seen"] = asyncio.run(
                timed(address, "search", words[:50] * (count // 50), options.rate)
            )
        with server("-c", HELLO, "PORT") as address:
            found["FastAPI hello"] = asyncio.run(timed(address, "hello", users, options.rate))
        with server("-c", IMPLICIT, "PORT", options.run) as address:
            found["implicit ALS recommend"] = asyncio.run(timed(address, "recommend", users, options.rate))
    base = found["FastAPI hello"]["p50"]
    print(f"{options.rate:g} requests a second for {options.seconds:g} s, {about['items']:,} items, one worker; ms")
    print(f"{'':28}{'p50':>8}{'p95':>8}{'p99':>8}  x hello  failed")
    for name, one in found.items():
        print(
            f"{name:28}{one['p50']:8.1f}{one['p95']:8.1f}{one['p99']:8.1f}{one['p50'] / base:9.1f}  {one['failed']:.1%}"
        )
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
