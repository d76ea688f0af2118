"""python -m eval tables: write the documents' tables anew."""

from __future__ import annotations

import argparse

from eval.bench.tables import update

HELP = "write the documents' tables anew"


def declare(command: argparse.ArgumentParser) -> None:
    """There are no options."""


def run(options: argparse.Namespace) -> int:
    """Write docs/benchmarks/ and the README's table anew from benchmarks/results."""
    for file in update():
        print(f"written: {file}")
    return 0
