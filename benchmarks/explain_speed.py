"""How long explanations take, beside the answer to the same query and beside networkx.

    python benchmarks/explain_speed.py runs/<id> --queries 20

Asks are users drawn at random, and by task what the run held out for the test: baskets, words.
Every query is answered, explained without and with support, and those of users are searched by
networkx, one after the other, so that what else the machine does falls on all alike; nothing
of a query is kept from one to the next. The ratios are medians of the ratios of a query, of the
processor's time. networkx looks for the first simple paths of at most three hops between the
same user and item, which is less than what explaining looks for.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import networkx as nx
import numpy as np

from eval.studies.explanations import held_queries, named, warmed
from fusion.explain.explainer import Explainer
from fusion.query import Query
from fusion.recommender import Recommender

HOPS = 3  # networkx looks one way; four hops over hubs take it minutes


def undirected(explainer: Explainer) -> nx.Graph:
    """The training graph, without directions and repetitions, as networkx has it."""
    made = nx.Graph()
    for (source, _, target), edge in explainer.graph.edges.items():
        pairs = zip(edge.source.tolist(), edge.target.tolist(), strict=True)
        made.add_edges_from(((source, a), (target, b)) for a, b in pairs)
    return made


def drawn(
    recommender: Recommender, folder: Path, queries: int, seed: int
) -> dict[str, list[Query]]:
    """Asks to explain, by what they are."""
    graph, rng = recommender.snapshot.graph, np.random.default_rng(seed)
    found: dict[str, list[Query]] = {}
    if graph.user:
        known = np.unique(graph.events.user[graph.events.user >= 0])
        rows = rng.choice(known, min(queries, len(known)), replace=False)
        found["users"] = [
            Query(graph.vocabs[graph.user].key(row)) for row in rows.tolist()
        ]
    for task, held in held_queries(recommender, folder).items():
        rows = rng.choice(len(held), min(queries, len(held)), replace=False)
        found[task] = [named(recommender, held, int(row)) for row in rows]
    return found


def measured(
    explainer: Explainer, queries: list[Query], whole: nx.Graph | None, most: int
) -> dict[str, Any]:
    """Seconds by what was timed, and how they compare; networkx where it has the whole graph."""
    recommender, graph = explainer.recommender, explainer.graph
    found: dict[str, list[tuple[float, float]]] = {}

    def timed(name: str, what: Callable[..., Any], *given: Any) -> Any:
        explainer.occlusion.spot(
            Query(), 0
        )  # the latest query's scores are kept, and these are none of these queries'
        began = time.perf_counter(), time.process_time()
        made = what(*given)
        found.setdefault(name, []).append(
            (time.perf_counter() - began[0], time.process_time() - began[1])
        )
        return made

    def search(user: int, item: int) -> int:
        paths = nx.all_simple_paths(whole, (graph.user, user), (graph.item, item), HOPS)
        return sum(1 for _ in zip(range(most), paths, strict=False))

    for query in queries:
        item = timed("answer", recommender.answer, query)[0].id
        timed("paths", explainer.explain, query, item, 3, False)
        timed("paths and support", explainer.explain, query, item)
        if whole is not None and query.user is not None and graph.user:
            timed(
                "networkx",
                search,
                graph.vocabs[graph.user].row(query.user),
                recommender.items.row(item),
            )
    seconds = {name: np.array(values) for name, values in found.items()}
    report: dict[str, Any] = {
        name: {
            f"p{p}{clock}": float(np.percentile(values[:, at], p))
            for at, clock in enumerate(("", " of processor time"))
            for p in (50, 95)
        }
        for name, values in seconds.items()
    }
    ratios = {
        f"{name} / {other}": float(
            np.median(seconds[name][:, 1] / seconds[other][:, 1])
        )
        for name, other in (
            ("paths", "answer"),
            ("paths and support", "answer"),
            ("networkx", "paths"),
        )
        if name in seconds
    }
    return {"queries": len(queries), "seconds": report, "ratios": ratios}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="a run folder")
    parser.add_argument(
        "--queries", type=int, default=20, help="how many of each kind (default: 20)"
    )
    parser.add_argument(
        "--most",
        type=int,
        default=1000,
        help="paths after which networkx stops; 0 leaves it out (default: 1000)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    options = parser.parse_args()
    recommender = Recommender.load(options.run)
    every = drawn(recommender, Path(options.run), options.queries, options.seed)
    explainer, ready = warmed(recommender)
    whole = undirected(explainer) if options.most else None
    found = {
        kind: measured(
            explainer, queries, whole if kind == "users" else None, options.most
        )
        for kind, queries in every.items()
    }
    print(json.dumps({"seconds until ready": ready, **found}, indent=2))


if __name__ == "__main__":
    main()
