"""python -m eval: look for leaks in a graph, run the benchmarks, and write their tables."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from encoders.text import TextError
from eval.audit import audit, usual
from eval.experiment import load_recipe
from fusion.recipe import RecipeError
from kg.graph import build_graph
from kg.schema import GraphSchema, SchemaError
from kg.store import StoreError, open_store, read_tables
from kg.tables import DataError

BAD_INPUT = (RecipeError, StoreError, DataError, SchemaError, TextError, ValueError, OSError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 where all is well, 1 where a leak is found or a benchmark fails, 2 on bad input."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        return int(options.run(options))
    except BAD_INPUT as error:
        if os.environ.get("TROUSSEAU_DEBUG"):
            raise
        print(f"eval {options.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def leaks(options: argparse.Namespace) -> int:
    """Measure whether an edge type of a graph gives the held-out items away."""
    recipe = load_recipe(options.recipe, options.set) if options.recipe else None
    with open_store(options.graph) as store:
        tables = read_tables(store, GraphSchema.from_toml(recipe.schema) if recipe and recipe.schema else None)
    splitter, tasks = (recipe.split, recipe.tasks) if recipe else usual(tables)
    split = splitter(tables)
    found = audit(split, build_graph(split.train), tasks, recipe.seed if recipe else 0)
    print(f"split {splitter}")
    for path in found.paths[:10]:
        words = f"{path.task}: {' + '.join(path.path)} from the {path.start}"
        print(f"{words:60} recall@10 {path.recall:.3f}, reaches {path.reached:.0%} of the targets")
    for note in found.notes:
        print(note)
    for leak in found.leaks:
        print(f"LEAK: {leak}")
    print("" if found.leaks else "no edge gives the held-out items away")
    return int(bool(found.leaks))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m eval", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser(
        "audit", help="look for edges that give held-out items away", description=leaks.__doc__
    )
    command.add_argument("graph", metavar="GRAPH", help="a path, or the address of a Neo4j (neo4j://, bolt://)")
    command.add_argument("--recipe", help="a recipe file or a shipped one's name, for its split and tasks (default: "
                         "the last of each user where all is timed, else bundles at random)")  # fmt: skip
    command.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="change a value of the recipe")
    command.set_defaults(run=leaks)
    return parser


if __name__ == "__main__":
    sys.exit(main())
