"""What the commands share: which run, what is asked, and how a table is printed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fusion.query import Constraints
from kg.errors import InputError, RunError

# A model is loaded to answer, not to print --help: torch takes seconds to import.
if TYPE_CHECKING:
    from fusion.recommender import Recommender


def add_run(parser: argparse.ArgumentParser) -> None:
    """--run and --runs: which trained model answers."""
    parser.add_argument(
        "--run", metavar="DIR", help="a run folder (default: the newest under --runs)"
    )
    parser.add_argument(
        "--runs", default="runs", metavar="DIR", help="where runs lie (default: runs)"
    )


def add_query(parser: argparse.ArgumentParser) -> None:
    """--user, --items and --text: what is asked."""
    parser.add_argument("--user", metavar="ID", help="whom it is for")
    parser.add_argument(
        "--items", nargs="+", default=[], metavar="ID", help="context items"
    )
    parser.add_argument(
        "--text", metavar="TEXT", help="a query, or what the items are for"
    )


def add_where(parser: argparse.ArgumentParser) -> None:
    """--within, --exclude and --exclude-seen: what the answer keeps to."""
    parser.add_argument(
        "--within",
        action="append",
        default=[],
        metavar="PROPERTY=VALUE[|VALUE]",
        help="keep to items with one of these values (quote the |); may be given again",
    )
    parser.add_argument(
        "--exclude", nargs="+", default=[], metavar="ID", help="never these items"
    )
    parser.add_argument(
        "--exclude-seen",
        action="store_true",
        help="only what the user has no interaction with",
    )


def where_of(options: argparse.Namespace) -> Constraints:
    """What add_where's options say."""
    return Constraints(
        exclude=tuple(options.exclude),
        within=within(options.within),
        exclude_seen=options.exclude_seen,
    )


def load(options: argparse.Namespace) -> Recommender:
    """The run that was named, or the newest.

    Raises:
        RunError: There is none, or it is damaged.
    """
    from fusion.recommender import Recommender
    from fusion.runs.folder import list_runs

    if options.run:
        return Recommender.load(options.run)
    runs = list_runs(options.runs) if Path(options.runs).is_dir() else []
    if not runs:
        raise RunError(
            f"{options.runs}: no runs there; train one (trousseau train --graph) "
            "or name one by --run"
        )
    return Recommender.load(runs[-1])


def within(settings: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """PROPERTY=VALUE|VALUE as Constraints take it.

    Raises:
        InputError: One has no "=" or no value.
    """
    allowed = []
    for setting in settings:
        name, _, values = setting.partition("=")
        chosen = tuple(value.strip() for value in values.split("|") if value.strip())
        if not name.strip() or not chosen:
            raise InputError(f"{setting!r} is no PROPERTY=VALUE[|VALUE]")
        allowed.append((name.strip(), chosen))
    return tuple(allowed)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; a line "nothing found" where there are no rows."""
    if not rows:
        return "nothing found"
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in (head, *rows)
    ]
    return "\n".join(line.rstrip() for line in lines)
