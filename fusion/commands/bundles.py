"""python -m fusion bundles: the best bundles for a user, words or context items."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from fusion.commands.common import add_query, add_run, load, table
from kg.errors import DataError

HELP = "existing bundles ranked for a user, words, or context items"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare."""
    add_run(parser)
    add_query(parser)
    parser.add_argument(
        "-k", type=int, default=10, help="how many bundles (default: 10)"
    )
    parser.add_argument(
        "--file",
        metavar="JSON",
        help="bundles to rank, new ones too: a JSON object of id to a list "
        "of item ids (default: those of the graph with two items or more)",
    )


def run(options: argparse.Namespace) -> int:
    """Rank and print a table."""
    bundles = read(options.file) if options.file else None
    recommender = load(options)
    context = tuple(options.items)
    ranked = recommender.rank_bundles(
        bundles, options.user, options.text, context, options.k
    )
    rows = []
    for number, bundle in enumerate(ranked, 1):
        known = recommender.items.rows(bundle.items)
        titles = "; ".join(recommender.title(int(row)) for row in known[known >= 0][:3])
        more = f"; and {len(bundle.items) - 3} more" if len(bundle.items) > 3 else ""
        title = f"{bundle.title}: " if bundle.title != bundle.id else ""
        rows.append(
            [str(number), bundle.id, f"{bundle.score:z.2f}", f"{title}{titles}{more}"]
        )
    print(table(["", "id", "score", "items"], rows))
    return 0


def read(file: str) -> dict[str, tuple[str, ...]]:
    """Bundles from a file.

    Raises:
        DataError: It is no JSON object of lists of ids.
    """
    try:
        bundles = json.loads(Path(file).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: {error}") from error
    if not isinstance(bundles, dict) or not all(map(_is_ids, bundles.values())):
        raise DataError(
            f'{file}: bundles are a JSON object like {{"picnic": ["id", "id"]}}'
        )
    return {name: tuple(items) for name, items in bundles.items()}


def _is_ids(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
