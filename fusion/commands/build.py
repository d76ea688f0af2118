"""python -m fusion build: whole combinations under a plan, for context items, a user or words."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fusion.bundles.plan import Combination, Plan, Slot
from fusion.commands.common import add_query, add_run, load, table, within
from fusion.query import Constraints, Query
from kg.errors import InputError

if TYPE_CHECKING:
    from fusion.recommender import Recommender

HELP = (
    "whole outfits, baskets or bundles under a plan: budget, slots, categories, stock"
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare."""
    add_run(parser)
    add_query(parser)
    parser.add_argument(
        "--budget",
        type=float,
        metavar="MONEY",
        help="the most that all items may cost together",
    )
    add_plan(parser)


def add_plan(parser: argparse.ArgumentParser) -> None:
    """The conditions beside the budget."""
    parser.add_argument(
        "--item-budget",
        type=float,
        metavar="MONEY",
        help="the most that one item may cost",
    )
    parser.add_argument(
        "--size",
        metavar="N[-M]",
        help="how many items (default: what the slots add up to, or 3-5)",
    )
    parser.add_argument(
        "--slots",
        nargs="+",
        default=[],
        metavar="SLOT",
        help="places to fill, by the words of a category or other attribute: "
        'shoes "2 socks" "bag?" (optional) "top=group:Knitwear|Shirts"',
    )
    for flag, text in (
        ("within", "keep to items with one of these values"),
        ("without", "no items with one of these values"),
        ("require", "at least one item with one of these values"),
    ):
        parser.add_argument(
            f"--{flag}",
            action="append",
            default=[],
            metavar="NAME=VALUE[|VALUE]",
            help=f"{text} of a property or relation (quote the |); may be given again",
        )
    parser.add_argument(
        "--exclude", nargs="+", default=[], metavar="ID", help="never these items"
    )
    parser.add_argument(
        "--exclude-seen",
        action="store_true",
        help="only what the user has no interaction with",
    )
    parser.add_argument(
        "--stock",
        metavar="FILE",
        help="a file with the ids of the items in stock, one a line",
    )
    parser.add_argument(
        "--different",
        default="",
        metavar="NAME",
        help="no two items with the same value of this property or relation: category",
    )
    parser.add_argument(
        "--season",
        type=int,
        metavar="MONTH",
        help="1 to 12: prefer what is bought then",
    )
    parser.add_argument(
        "--complements",
        type=float,
        default=0.0,
        metavar="X",
        help="how much more to want what goes "
        "with the rest than what could stand in for it (default: 0, as the model has it)",
    )
    parser.add_argument(
        "--variety",
        type=float,
        default=0.0,
        metavar="X",
        help="how unlike each other the items should be, 0 to 1 (default: 0)",
    )
    parser.add_argument(
        "--alternatives", type=int, default=3, metavar="N", help="how many (default: 3)"
    )
    parser.add_argument(
        "--overlap",
        type=float,
        default=0.5,
        metavar="X",
        help="share of their new items that two "
        "alternatives may have in common (default: 0.5)",
    )


def plan_of(options: argparse.Namespace) -> Plan:
    """What the flags say."""
    least, _, most = (options.size or "").partition("-")
    if options.size and not (least.isdigit() and (most or least).isdigit()):
        raise InputError(f"--size {options.size!r} is no number or range like 3-5")
    only = None
    if options.stock:
        with open(options.stock, encoding="utf-8") as file:
            only = tuple(line.strip() for line in file if line.strip())
    where = Constraints(
        tuple(options.exclude),
        within(options.within),
        within(options.without),
        (),
        only,
        options.exclude_seen,
    )
    return Plan(
        size=(int(least), int(most or least)) if options.size else None,
        budget=options.budget,
        item_budget=options.item_budget,
        where=where,
        require=within(options.require),
        slots=tuple(Slot.parse(text) for text in options.slots),
        different=options.different,
        season=options.season,
        complements=options.complements,
        variety=options.variety,
        alternatives=options.alternatives,
        overlap=options.overlap,
    )


def run(options: argparse.Namespace) -> int:
    """Build and print a table for each alternative."""
    from fusion.explain.notes import unknown

    plan = plan_of(options)
    recommender = load(options)
    items = tuple(options.items)
    alternatives = recommender.build(plan, options.user, items, options.text)
    query = Query(options.user, items, options.text)
    for line in [
        *unknown(recommender, query, popular=False),
        *meanings(recommender, plan.slots),
    ]:
        print(line)
    for number, one in enumerate(alternatives, 1):
        print(f"\n{number}. {summary(one)}")
        print(pieces(one))
    if len(alternatives) < plan.alternatives:
        print(
            f"\nno further combination shares at most {plan.overlap:.0%} "
            "of its items with these"
        )
    print(
        "\nfits: the model's share for the item, given the rest, "
        "among all that were weighed for its place"
    )
    return 0


def meanings(recommender: Recommender, slots: Sequence[Slot]) -> list[str]:
    """How each slot that was named in words was understood."""
    lines = []
    for slot in slots:
        if not slot.within:
            name, values = recommender.facts.find(slot.name)
            more = f" and {len(values) - 3} more" if len(values) > 3 else ""
            lines.append(f"{slot.name}: {name} {', '.join(values[:3])}{more}")
    return lines


def summary(one: Combination) -> str:
    """The whole in a line."""
    cost = "price not known" if one.price is None else f"{one.price:.4g} in all"
    return f"{len(one.items)} items, {cost}, score {one.score:z.2f}"


def pieces(one: Combination, place: str = "slot") -> str:
    """The items as a table; place is what their slots are called."""
    rows = []
    for piece in one.items:
        note = "weakest" if piece.id == one.weakest else ""
        note = "context" if piece.kept else note
        price = "?" if piece.price is None else f"{piece.price:.4g}"
        rows.append(
            [
                piece.slot,
                piece.id,
                piece.title,
                price,
                percent(math.exp(piece.score)),
                note,
            ]
        )
    head = [place, "id", "title", "price", "fits", ""]
    shown = [
        n
        for n, name in enumerate(head)
        if name not in {place, ""} or any(row[n] for row in rows)
    ]
    return table([head[n] for n in shown], [[row[n] for n in shown] for row in rows])


def percent(share: float) -> str:
    """A share for people; a small one is not told as nothing."""
    return f"{share:.0%}" if share >= 0.01 else "< 1%"
