"""python -m fusion explain: why an item is in the answer to a query, as paths in the graph."""

from __future__ import annotations

import argparse
from pathlib import Path

from fusion.commands.common import add_query, add_run, add_where, load, where_of
from fusion.query import Query
from kg.errors import InputError

HELP = "why an item is in the answer: paths in the graph, and what each carries"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare."""
    add_run(parser)
    add_query(parser)
    add_where(parser)
    parser.add_argument(
        "--item",
        metavar="ID",
        help="the item to explain (default: the best of the answer)",
    )
    parser.add_argument("-k", type=int, default=3, help="how many paths (default: 3)")
    parser.add_argument(
        "--fast",
        action="store_true",
        help="paths alone, without measuring what they carry",
    )
    parser.add_argument(
        "--numbers",
        action="store_true",
        help="tell scores as measured, beside places",
    )
    parser.add_argument(
        "--verify",
        nargs="?",
        const=True,
        default=False,
        metavar="GRAPH",
        help="look every edge up in this store: a path, or a Neo4j's address; "
        "alone: the one that was trained on",
    )
    parser.add_argument(
        "--language", default="en", help="of the sentences: en or zh (default: en)"
    )
    parser.add_argument(
        "--phrases", metavar="FILE", help="a TOML file with sentences of your own"
    )
    parser.add_argument(
        "--cypher",
        action="store_true",
        help="print a query a path, to see it in Neo4j Browser",
    )
    parser.add_argument(
        "--html", metavar="FILE", help="write a picture to open in a browser"
    )
    parser.add_argument("--graphml", metavar="FILE", help="write the paths as GraphML")
    parser.add_argument("--json", metavar="FILE", help="write everything as JSON")


def run(options: argparse.Namespace) -> int:
    """Explain, print, and write what was asked for."""
    from fusion.explain.explainer import explain
    from fusion.explain.page import to_html
    from fusion.explain.render import to_text

    recommender = load(options)
    query = Query(
        options.user, tuple(options.items), options.text, where=where_of(options)
    )
    item = options.item
    if item is None:
        answer = recommender.answer(query)
        if not answer:
            raise InputError("the answer is empty; there is nothing to explain")
        item = answer[0].id
    explanation = explain(
        recommender,
        query,
        item,
        options.k,
        not options.fast,
        options.verify,
        options.language,
        options.phrases,
    )
    print(to_text(explanation, numbers=options.numbers))
    if options.cypher:
        print("\n" + "\n\n".join(f"{path.cypher};" for path in explanation.paths))
    if options.html:
        Path(options.html).write_text(to_html(explanation), encoding="utf-8")
    if options.json:
        Path(options.json).write_text(explanation.to_json(), encoding="utf-8")
    if options.graphml:
        explanation.to_graphml(options.graphml)
    return 0
