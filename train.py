"""Train, measure and save a recommender: `python train.py [RECIPE] --graph [URI_OR_PATH]`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from kg.errors import TrousseauError

RECIPES = Path(__file__).parent / "fusion" / "recipes"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    shipped = ", ".join(sorted(p.stem for p in RECIPES.glob("*.toml")))
    parser = argparse.ArgumentParser(
        prog="train.py",
        description="Train a graph-and-language recommender on a product knowledge graph, "
        "measure it on held-out events beside baselines, and save it as a run folder.",
        epilog="Exit codes: 0 done, 1 training failed, 2 bad input, "
        "130 interrupted (go on with --resume).",
    )
    parser.add_argument(
        "recipe",
        nargs="?",
        help="a recipe file, or the name of one that is shipped: "
        f"{shipped} (default: demo)",
    )
    parser.add_argument(
        "--graph",
        nargs="?",
        const="",
        metavar="URI_OR_PATH",
        help="train the whole hybrid on the graph at a Neo4j address or in an embedded file; "
        "alone: the Neo4j at NEO4J_URI where that is set, else the recipe's own embedded store. "
        "Without --graph the language half trains alone",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a value of the recipe, e.g. --set training.epochs=3; "
        "may be given again",
    )
    parser.add_argument(
        "--compare",
        nargs="?",
        const=True,
        default=False,
        metavar="RUN",
        help="measure against every baseline and every part trained alone, which takes longer "
        "than the training; with RUN (or newest), measure that finished run and train no other",
    )
    parser.add_argument(
        "--resume",
        metavar="RUN",
        help="go on with an unfinished training, named by its folder",
    )
    parser.add_argument(
        "--out",
        default="runs",
        metavar="DIR",
        help="where run folders go (default: runs)",
    )
    parser.add_argument(
        "--data",
        default="data",
        metavar="DIR",
        help="where embedded stores are built (default: data)",
    )
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda or mps (default: auto)"
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="processes that share a batch (default: 1)",
    )
    parser.add_argument(
        "--seed", type=int, help="of everything random, in place of the recipe's"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check everything, print sizes and an estimate of memory and time, "
        "train nothing",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns the exit code."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        return run(options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except FloatingPointError as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 1
    except (TrousseauError, OSError) as error:
        if os.environ.get("TROUSSEAU_DEBUG"):
            raise
        print(f"train.py: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def run(options: argparse.Namespace) -> int:
    """Train, or compare a finished run; what that takes is imported only now."""
    from eval.compare import compare
    from eval.training_run import run_training

    if isinstance(options.compare, str):
        return compare(options)
    return run_training(options)


if __name__ == "__main__":
    sys.exit(main())
