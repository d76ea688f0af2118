"""python -m eval: look for leaks in a graph, run the benchmarks, and write their tables."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from eval.commands import (
    ablate,
    audit,
    benchmark,
    combinations,
    explanations,
    tables,
)
from kg.errors import TrousseauError

COMMANDS = (audit, benchmark, ablate, combinations, explanations, tables)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 where all is well, 1 where a leak is found or a benchmark fails, 2 on bad input.
    """
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        return int(options.run(options))
    except (TrousseauError, OSError) as error:
        if os.environ.get("TROUSSEAU_DEBUG"):
            raise
        message = " ".join(str(error).split())
        print(f"eval {options.command}: {message}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    """Every command with its options."""
    root = argparse.ArgumentParser(prog="python -m eval", description=__doc__)
    commands = root.add_subparsers(dest="command", required=True)
    for module in COMMANDS:
        name = module.__name__.rpartition(".")[2]
        command = commands.add_parser(
            name, help=module.HELP, description=module.run.__doc__
        )
        module.declare(command)
        command.set_defaults(run=module.run)
    return root


if __name__ == "__main__":
    sys.exit(main())
