"""python -m fusion compatibility: how well items go together, and the best single swap."""

from __future__ import annotations

import argparse
import math

from fusion.bundles.plan import Plan
from fusion.commands.build import percent, pieces, summary
from fusion.commands.common import add_query, add_run, load, within
from fusion.query import Constraints

HELP = "how well items go together, the weakest of them, and the best single swap"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare."""
    add_run(parser)
    add_query(parser)
    parser.add_argument(
        "--budget",
        type=float,
        metavar="MONEY",
        help="the most that all may cost after a swap",
    )
    parser.add_argument(
        "--item-budget",
        type=float,
        metavar="MONEY",
        help="the most that an item swapped in may cost",
    )
    parser.add_argument(
        "--within",
        action="append",
        default=[],
        metavar="NAME=VALUE[|VALUE]",
        help="swap in only items with one of these values (quote the |); may be given again",
    )
    parser.add_argument(
        "--category",
        metavar="NAME",
        help="the property or relation that says what may stand in for "
        "what (default: the graph's category, product_type, kind or type)",
    )
    parser.add_argument(
        "--any", action="store_true", help="any item may stand in for any other"
    )


def run(options: argparse.Namespace) -> int:
    """Say how well they go together, and print."""
    plan = Plan(
        budget=options.budget,
        item_budget=options.item_budget,
        where=Constraints(within=within(options.within)),
    )
    category = "" if options.any else options.category
    found = load(options).compatibility(
        tuple(options.items), options.user, options.text, plan, category
    )
    print(f"{summary(found.combination)}\n{pieces(found.combination, 'kind')}")
    if found.swap is None:
        print("\nno single swap makes it better")
    else:
        item = found.swap.item
        price = "" if item.price is None else f" at {item.price:.4g}"
        gone = next(p.title for p in found.combination.items if p.id == found.swap.out)
        print(
            f"\nbetter: {item.id} ({item.title}){price} "
            f"in place of {found.swap.out} ({gone}); "
            f"it fits {percent(math.exp(item.score))}, "
            f"score {found.swap.score:z.2f}, {found.swap.gain:+z.2f}"
        )
    print(
        "\nfits: the model's share for the item, given the rest, among the best of its kind"
    )
    return 0
