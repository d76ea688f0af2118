"""python -m fusion answer: the best items for some of a user, context items and words."""

from __future__ import annotations

import argparse

from fusion.commands.common import add_query, add_run, add_where, load, table, where_of
from fusion.query import Query

HELP = "the best items for a user, context items, words, or any of these together"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare."""
    add_run(parser)
    add_query(parser)
    add_where(parser)
    parser.add_argument("-k", type=int, default=10, help="how many items (default: 10)")
    parser.add_argument(
        "--one-per",
        default="",
        metavar="NAME",
        help="the best item for each value of this property "
        "or relation (category) that no context item has",
    )
    parser.add_argument(
        "--diversity",
        type=float,
        default=0.0,
        metavar="X",
        help="how unlike each other the items should be, 0 to 1 (default: 0)",
    )


def run(options: argparse.Namespace) -> int:
    """Answer and print a table, above it what of the query is not known."""
    from fusion.explain.notes import unknown

    user, items = options.user, tuple(options.items)
    where = where_of(options)
    recommender = load(options)
    answer = recommender.complete(
        items, user, options.text, options.k, where, options.one_per, options.diversity
    )
    for note in unknown(recommender, Query(user, items, options.text)):
        print(note)
    rows = [[str(n), r.id, r.title, f"{r.score:z.2f}"] for n, r in enumerate(answer, 1)]
    print(table(["", "id", "title", "score"], rows))
    return 0
