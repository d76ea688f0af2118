"""The console command: trousseau VERB. A verb's own code is imported when it is asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple


class Verb(NamedTuple):
    """What a verb does, and the main function that does it.

    Attributes:
        module: Where `main` is.
        before: Arguments that stand before those given.
        summary: A line of help.
    """

    module: str
    before: tuple[str, ...]
    summary: str


VERBS = {
    "kg": Verb("kg.__main__", (), "load, check and export product graphs"),
    "train": Verb("train", (), "train a recommender on a graph and save it as a run"),
    "compare": Verb(
        "train",
        ("--compare",),
        "a run beside every baseline and its parts trained alone",
    ),
    "recommend": Verb("fusion.__main__", ("answer",), "what a user may want next"),
    "complete": Verb("fusion.__main__", ("answer",), "what goes with some items"),
    "search": Verb("fusion.__main__", ("answer",), "what some words mean"),
    "build": Verb("fusion.__main__", ("build",), "whole outfits or baskets for a plan"),
    "compatibility": Verb(
        "fusion.__main__", ("compatibility",), "how well items go together"
    ),
    "bundles": Verb("fusion.__main__", ("bundles",), "rank existing bundles"),
    "explain": Verb("fusion.__main__", ("explain",), "why an item is in an answer"),
    "serve": Verb("serve.__main__", (), "answer over HTTP"),
    "eval": Verb("eval.__main__", (), "look for leaks, run benchmarks, write tables"),
}
# What a verb's first words may be given as, without a flag.
PLAIN = {"recommend": "--user", "complete": "--items", "search": "--text"}


def usage() -> str:
    """The verbs, one a line."""
    width = max(map(len, VERBS))
    verbs = [f"  {name:{width}}  {verb.summary}" for name, verb in VERBS.items()]
    lines = [
        "usage: trousseau VERB ...",
        "",
        "A recommender for products from their graph.",
        "",
        *verbs,
        "",
        "trousseau VERB --help tells what a verb takes.",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; its exit code, or 2 where there is no such verb."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(usage())
        return 0 if given else 2
    name, *rest = given
    if name not in VERBS:
        print(f"trousseau: there is no verb {name!r}\n\n{usage()}", file=sys.stderr)
        return 2
    verb = VERBS[name]
    flag = PLAIN.get(name)
    if flag and rest and not rest[0].startswith("-"):
        rest = [flag, *rest]
    if name == "compare" and (not rest or rest[0].startswith("--")):
        rest = ["newest", *rest]
    module = importlib.import_module(verb.module)
    return int(module.main([*verb.before, *rest]))


if __name__ == "__main__":
    sys.exit(main())
