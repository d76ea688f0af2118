"""python -m eval combinations: build, judge and rank held-out bundles."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from eval.bench.report import write
from eval.bench.tables import RESULTS, update
from eval.studies.all_bundles import measure, text

HELP = "build, judge and rank held-out bundles"


def declare(command: argparse.ArgumentParser) -> None:
    """Add the options."""
    command.add_argument(
        "runs", nargs="+", metavar="RUN", help="run folders, as train.py writes them"
    )
    command.add_argument(
        "--split",
        choices=("test", "valid"),
        default="test",
        help="which bundles (default: test)",
    )
    command.add_argument(
        "--limit",
        type=int,
        default=500,
        help="bundles of each, 0 for all (default: 500)",
    )
    command.add_argument(
        "--draws", type=int, default=1000, help="bootstrap samples (default: 1000)"
    )
    command.add_argument(
        "--out",
        default=str(RESULTS),
        metavar="DIR",
        help="where combinations.json goes (default: the project's benchmarks/results)",
    )
    command.add_argument("--quiet", action="store_true", help="no progress bars")


def run(options: argparse.Namespace) -> int:
    """Measure built, judged, completed and ranked bundles on what trained runs held out."""
    file = Path(options.out) / "combinations.json"
    settings = (options.split, options.limit, options.draws, not options.quiet)
    for folder in options.runs:
        result = measure(Path(folder), *settings)
        before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        part = f", {options.split}" if options.split != "test" else ""
        name = f"{result['recipe']}{part}"
        write({**before, name: result}, file)
        print(text(name, result))
        print(f"saved    {file}")
    # Tables are of the project's own results; another folder is somebody's try.
    if file.resolve().parent == RESULTS:
        update()
    return 0
