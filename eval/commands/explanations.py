"""python -m eval explanations: validity, coverage, what paths carry, quality and time."""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

import torch

from eval.bench.explanation_tables import PROTOCOL
from eval.bench.report import write
from eval.bench.tables import RESULTS
from eval.studies.explanations import held_queries, measure, warmed
from fusion.recommender import Recommender
from fusion.runs.folder import environment, open_run

HELP = "measure a run's explanations"


def declare(command: argparse.ArgumentParser) -> None:
    """Add the options."""
    command.add_argument(
        "runs", nargs="+", metavar="RUN", help="run folders, as train.py writes them"
    )
    command.add_argument(
        "--queries",
        type=int,
        default=100,
        help="held-out queries a task (default: 100)",
    )
    command.add_argument(
        "--sufficient",
        type=int,
        default=10,
        help="of how many to measure sufficiency (default: 10)",
    )
    command.add_argument(
        "--seed", type=int, default=0, help="of the draws (default: 0)"
    )
    command.add_argument(
        "--on",
        choices=("test", "valid"),
        default="test",
        help="which held-out events are asked about (default: test); choose by valid",
    )
    command.add_argument(
        "--out",
        default=str(RESULTS),
        metavar="DIR",
        help="where explanations.json goes",
    )
    command.add_argument("--quiet", action="store_true", help="no progress bars")


def run(options: argparse.Namespace) -> int:
    """Measure runs' explanations: validity, coverage, what paths carry, quality, and time."""
    file = Path(options.out) / "explanations.json"
    for folder in map(open_run, options.runs):
        name, result = _measured(folder, options)
        before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        write({**before, name: result}, file)
        print(json.dumps(result["tasks"], indent=2))
        print(f"saved    {file}")
    return 0


def _measured(folder: Path, options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """The name in the tables, and what stands under it."""
    recommender = Recommender.load(folder)
    every = held_queries(recommender, folder, options.on)
    explainer, ready = warmed(recommender)
    settings = (options.queries, options.sufficient, options.seed, not options.quiet)
    tasks = {
        task: measure(explainer, queries, *settings) for task, queries in every.items()
    }
    result = {
        "command": _command(folder, options),
        "protocol": PROTOCOL,
        "machine": _machine(),
        "seconds until ready": ready,
        "tasks": tasks,
    }
    recipe = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
    part = f", {options.on}" if options.on != "test" else ""
    return f"{recipe['name']}{part}", result


def _command(folder: Path, options: argparse.Namespace) -> str:
    words = ["python", "-m", "eval", "explanations", f"runs/{folder.name}"]
    words += ["--queries", str(options.queries)]
    words += ["--sufficient", str(options.sufficient), "--seed", str(options.seed)]
    words += ["--on", options.on] if options.on != "test" else []
    return shlex.join(words)


def _machine() -> dict[str, Any]:
    facts = environment()
    return {
        "platform": facts["platform"],
        "cpus": facts["cpu_count"],
        "python": facts["python"],
        "commit": facts["git_commit"],
        "threads": torch.get_num_threads(),
    }
