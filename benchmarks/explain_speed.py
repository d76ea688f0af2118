"""How long explanations take, beside the answer to the same ask and beside a search for paths by networkx.

    python benchmarks/explain_speed.py runs/<id> --asks 20

Every ask is answered, explained without and with support, and searched by networkx, one after the other, so that what
else the machine does falls on all alike. The ratios are medians of the ratios of an ask. networkx looks for the first
simple paths of at most three hops between the same user and item, which is less than what explaining looks for.
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

from eval.explanations import warmed
from fusion.ask import Ask
from fusion.explain import Explainer
from fusion.recommender import Recommender

HOPS = 3  # networkx looks one way; four hops over hubs take it minutes


def undirected(explainer: Explainer) -> nx.Graph:
    """The training graph, without directions and repetitions, as networkx has it."""
    made = nx.Graph()
    for (source, _, target), edge in explainer.graph.edges.items():
        pairs = zip(edge.source.tolist(), edge.target.tolist(), strict=True)
        made.add_edges_from(((source, a), (target, b)) for a, b in pairs)
    return made


def measured(explainer: Explainer, asks: int, most: int, seed: int) -> dict[str, Any]:
    """Seconds by what was timed, of asks about users drawn at random, and how they compare."""
    recommender, graph = explainer.recommender, explainer.graph
    whole = undirected(explainer)
    known = np.unique(graph.events.user[graph.events.user >= 0])
    drawn = np.random.default_rng(seed).choice(known, min(asks, len(known)), replace=False)
    found: dict[str, list[float]] = {"answer": [], "paths": [], "paths and support": [], "networkx": []}

    def timed(name: str, what: Callable[..., Any], *given: Any) -> Any:
        started = time.perf_counter()
        made = what(*given)
        found[name].append(time.perf_counter() - started)
        return made

    def search(user: int, item: int) -> int:
        paths = nx.all_simple_paths(whole, (graph.user, user), (graph.item, item), HOPS)
        return sum(1 for _ in zip(range(most), paths, strict=False))

    for user in drawn.tolist():
        ask = Ask(graph.vocabs[graph.user or ""].key(user))
        item = timed("answer", recommender.answer, ask)[0].id
        timed("paths", explainer.explain, ask, item, 3, False)
        timed("paths and support", explainer.explain, ask, item)
        timed("networkx", search, user, recommender.items.row(item))
    seconds = {name: np.array(values) for name, values in found.items()}
    report: dict[str, Any] = {
        name: {f"p{p}": float(np.percentile(values, p)) for p in (50, 95)} for name, values in seconds.items()
    }
    ratios = {
        f"{name} / {other}": float(np.median(seconds[name] / seconds[other]))
        for name, other in (("paths", "answer"), ("paths and support", "answer"), ("networkx", "paths"))
    }
    return {"asks": len(drawn), "seconds": report, "ratios": ratios}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run folder whose graph has users")
    parser.add_argument("--asks", type=int, default=20, help="how many users ask (default: 20)")
    parser.add_argument("--most", type=int, default=1000, help="paths after which networkx stops (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    options = parser.parse_args()
    recommender = Recommender.load(options.run)
    if not recommender.world.graph.user:
        parser.error(f"{options.run}: its graph has no users")
    explainer, ready = warmed(recommender)
    found = measured(explainer, options.asks, options.most, options.seed)
    print(json.dumps({"seconds until ready": ready, **found}, indent=2))


if __name__ == "__main__":
    main()
