"""python -m eval ablate: what each piece of a recipe is worth."""

from __future__ import annotations

import argparse
from pathlib import Path

from eval.bench.ablation import ABLATIONS
from eval.bench.ablation import ablate as ablate_benchmark
from eval.bench.setup import missing, recipe_of
from eval.commands.measuring import (
    add_options,
    chosen_benchmarks,
    common_flags,
    save,
)
from kg.errors import InputError

HELP = "what each piece of a recipe is worth"


def declare(command: argparse.ArgumentParser) -> None:
    """Add the options."""
    command.add_argument("name", metavar="NAME", help="a benchmark")
    command.add_argument(
        "--only",
        nargs="+",
        metavar="VARIANT",
        help=f"which of {', '.join(ABLATIONS)} (default: all)",
    )
    add_options(command)


def run(options: argparse.Namespace) -> int:
    """Train variants of a benchmark's recipe by one seed, and measure what each piece is worth."""
    (benchmark,), data = chosen_benchmarks([options.name]), Path(options.data)
    if why := missing(benchmark, data):
        raise InputError(f"{benchmark.name}: {why}")
    if unknown := set(options.only or ()) - set(ABLATIONS):
        known = ", ".join(ABLATIONS)
        raise InputError(f"there is no variant {min(unknown)!r}; there are {known}")
    variants = {}
    for name in dict.fromkeys(["whole", *(options.only or ABLATIONS)]):
        changes = [*options.set, *ABLATIONS[name]]
        variants[name] = recipe_of(benchmark, data, changes, options.quick)
    bars = not options.quiet
    results = ablate_benchmark(benchmark, variants, options.quick, options.device, bars)
    for result in results:  # each is saved: what is measured stays
        measured = [*result["seconds"], *result["equal"]]
        words = [benchmark.name, "--only", *measured, *common_flags(options)]
        save(f"{benchmark.name}-ablation", result, words, options)
    return 0
