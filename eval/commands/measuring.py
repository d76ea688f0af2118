"""What `benchmark` and `ablate` share: which data sets, their options, and where figures go."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.bench.datasets import BENCHMARKS, Benchmark
from eval.bench.report import write
from eval.bench.tables import RESULTS, update
from kg.errors import InputError


def add_options(command: argparse.ArgumentParser) -> None:
    """Where the data lie, where results go, and how to train."""
    command.add_argument(
        "--data",
        default=os.environ.get("TROUSSEAU_DATA", "data"),
        metavar="DIR",
        help="where the data sets' folders lie (default: TROUSSEAU_DATA, or data)",
    )
    command.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change a value of the recipe",
    )
    command.add_argument(
        "--out",
        default=str(RESULTS),
        metavar="DIR",
        help="where results go (default: the project's benchmarks/results; "
        "the documents' tables are then written, too)",
    )
    command.add_argument(
        "--device", default="auto", help="auto, cpu, cuda or mps (default: auto)"
    )
    command.add_argument(
        "--quick",
        action="store_true",
        help="one epoch, a few hundred queries, one fold: does it run?",
    )
    command.add_argument("--quiet", action="store_true", help="no progress bars")


def chosen_benchmarks(names: Sequence[str] | None) -> list[Benchmark]:
    """The benchmarks of these names; all without any.

    Raises:
        InputError: There is no such benchmark.
    """
    if unknown := set(names or ()) - set(BENCHMARKS):
        known = ", ".join(BENCHMARKS)
        raise InputError(f"there is no benchmark {min(unknown)!r}; there are {known}")
    return [BENCHMARKS[name] for name in names or BENCHMARKS]


def common_flags(options: argparse.Namespace) -> list[str]:
    """The flags to repeat this command by."""
    flags = [part for change in options.set for part in ("--set", change)]
    return flags + ["--quick"] * options.quick


def save(
    name: str,
    result: Mapping[str, Any],
    words: Sequence[str],
    options: argparse.Namespace,
) -> None:
    """Write a result, with the command that makes it again, and print its figures."""
    command = ["python", "-m", "eval", options.command, *words]
    file = Path(options.out) / f"{name}{'-quick' * options.quick}.json"
    write({"command": shlex.join(command), **result}, file)
    for task, report in result["tasks"].items():
        for row in report["blocks"][0]["rows"]:
            means = [(m, row["values"][m]["mean"]) for m in report["metrics"]]
            values = "  ".join(f"{metric} {mean:.4f}" for metric, mean in means)
            print(f"{result['name']} {task:10} {row['name']:24} {values}")
    print(f"saved    {file}")
    # Tables are of the project's own results; another folder is somebody's try.
    if file.resolve().parent == RESULTS:
        update()
