"""python -m eval audit: does an edge type of a graph give the held-out items away?"""

from __future__ import annotations

import argparse

from eval.leakage.audit import audit, usual
from eval.parts import load_recipe
from kg.graph import build_graph
from kg.schema import GraphSchema
from kg.stores.base import read_tables
from kg.stores.open import open_store

HELP = "look for edges that give held-out items away"
SHOWN = 10  # paths


def declare(command: argparse.ArgumentParser) -> None:
    """Add the options."""
    command.add_argument(
        "graph",
        metavar="GRAPH",
        help="a path, or the address of a Neo4j (neo4j://, bolt://)",
    )
    command.add_argument(
        "--recipe",
        help="a recipe file or a shipped one's name, for its split and tasks (default: "
        "the last of each user where all is timed, else bundles at random)",
    )
    command.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change a value of the recipe",
    )


def run(options: argparse.Namespace) -> int:
    """Measure whether an edge type of a graph gives the held-out items away."""
    recipe = load_recipe(options.recipe, options.set) if options.recipe else None
    named = recipe.schema if recipe else None
    schema = GraphSchema.from_toml(named) if named else None
    with open_store(options.graph) as store:
        tables = read_tables(store, schema)
    splitter, tasks = (recipe.split, recipe.tasks) if recipe else usual(tables)
    split = splitter(tables)
    seed = recipe.seed if recipe else 0
    report = audit(split, build_graph(split.train), tasks, seed)
    print(f"split {splitter}")
    for path in report.paths[:SHOWN]:
        words = f"{path.task}: {' + '.join(path.path)} from the {path.start}"
        reach = f"reaches {path.reached:.0%} of the targets"
        print(f"{words:60} recall@10 {path.recall:.3f}, {reach}")
    for note in report.notes:
        print(note)
    for leak in report.leaks:
        print(f"LEAK: {leak}")
    print("" if report.leaks else "no edge gives the held-out items away")
    return int(bool(report.leaks))
