"""python -m fusion: ask a trained run from the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from types import ModuleType

from fusion.commands import answer, build, bundles, compatibility, explain
from kg.errors import TrousseauError

COMMANDS: dict[str, ModuleType] = {
    "answer": answer,
    "build": build,
    "compatibility": compatibility,
    "bundles": bundles,
    "explain": explain,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 where it answered, 2 on bad input, told in one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m fusion", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, module in COMMANDS.items():
        command = commands.add_parser(
            name, help=module.HELP, description=module.__doc__
        )
        module.arguments(command)
        command.set_defaults(run_command=module.run)
    options = parser.parse_args(arguments)
    try:
        return int(options.run_command(options))
    except (TrousseauError, OSError) as error:
        print(
            f"fusion {options.command}: {' '.join(str(error).split())}", file=sys.stderr
        )
        return 2


if __name__ == "__main__":
    sys.exit(main())
