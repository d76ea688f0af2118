"""python -m eval benchmark: train and measure on public data sets."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from eval.bench.datasets import BENCHMARKS, Benchmark
from eval.bench.run import run as run_benchmark
from eval.bench.setup import missing, recipe_of
from eval.commands.measuring import (
    add_options,
    chosen_benchmarks,
    common_flags,
    save,
)
from eval.contenders import BASELINES

HELP = "train and measure on public data sets"


def declare(command: argparse.ArgumentParser) -> None:
    """Add the options."""
    command.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        help=f"which of {', '.join(BENCHMARKS)} (default: all)",
    )
    command.add_argument(
        "--baselines",
        nargs="*",
        metavar="NAME",
        default=BASELINES,
        help=f"which of {', '.join(BASELINES)} (default: all)",
    )
    add_options(command)


def run(options: argparse.Namespace) -> int:
    """Train and measure on public data sets: the hybrid, its parts, the baselines."""
    wanted, data = chosen_benchmarks(options.only), Path(options.data)
    ready = []
    for benchmark in wanted:
        if why := missing(benchmark, data):
            print(f"skipped: {benchmark.name}: {why}")
        else:
            ready.append(benchmark)
    if len(ready) > 1:
        return _each_alone(ready, options)
    for benchmark in ready:
        recipe = recipe_of(benchmark, data, options.set, options.quick)
        result = run_benchmark(
            benchmark,
            recipe,
            options.quick,
            options.device,
            not options.quiet,
            options.baselines,
        )
        save(
            benchmark.name,
            result,
            ["--only", benchmark.name, *_flags(options)],
            options,
        )
    return 0


def _each_alone(benchmarks: Sequence[Benchmark], options: argparse.Namespace) -> int:
    """A process each, so that the peak memory is a benchmark's own."""
    places = ["--data", options.data, "--out", options.out, "--device", options.device]
    flags = [*_flags(options), *["--quiet"] * options.quiet]
    failed = []
    for benchmark in benchmarks:
        command = [sys.executable, "-m", "eval", "benchmark", "--only", benchmark.name]
        if subprocess.run([*command, *places, *flags], check=False).returncode:
            failed.append(benchmark.name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


def _flags(options: argparse.Namespace) -> list[str]:
    flags = common_flags(options)
    if list(options.baselines) == list(BASELINES):
        return flags
    return [*flags, "--baselines", *options.baselines]
