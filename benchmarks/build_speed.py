"""How long a whole combination takes: 5 slots under a budget over 100,000 items.

python benchmarks/build_speed.py [--items N] [--queries N] [--threads N]

The catalogue is synthetic (baskets, brands, kinds, prices, titles), the weights are random, the
language model is the
shipped one: times do not depend on what a model has learned.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pyarrow as pa
import torch

from encoders.text.encoder import TextConfig, TextEncoder
from fusion.bundles.plan import Plan, Slot
from fusion.model.config import FusionConfig
from fusion.model.hybrid import Hybrid
from fusion.model.nodes import EmbeddingCache, Nodes
from fusion.model.snapshot import GraphSnapshot, NodeTexts, edge_keys
from fusion.query import Query
from fusion.recommender import Recommender
from kg.graph import build_graph
from kg.metapaths.count import count_paths
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import Tables

KINDS, BRANDS, USERS, BASKETS = 60, 500, 5_000, 60_000
SCHEMA = GraphSchema(
    (
        NodeType("user", "user"),
        NodeType("basket", "bundle"),
        NodeType("item", "item", title="title", text=("title",), properties=("price",)),
        NodeType("kind", "attribute", text=("id",)),
        NodeType("brand", "attribute"),
    ),
    (
        EdgeType("made", "user", "basket", "interaction", time="time"),
        EdgeType("contains", "basket", "item", "membership"),
        EdgeType("is_a", "item", "kind", "relation"),
        EdgeType("by", "item", "brand", "relation"),
    ),
)


def catalogue(items: int) -> Tables:
    """A synthetic shop; popular items are few, as in real ones."""
    rng = np.random.default_rng(0)
    words = np.array(
        [
            f"{a}{b}"
            for a in ("soft", "blue", "oak", "fine", "raw", "lux")
            for b in range(900)
        ]
    )
    basket = np.repeat(np.arange(BASKETS), rng.integers(2, 7, BASKETS))
    item = (items * rng.random(len(basket)) ** 3).astype(np.int64)
    pairs = np.unique(np.stack([basket, rng.permutation(items)[item]]), axis=1)
    titles = [" ".join(row) for row in rng.choice(words, (items, 4))]

    def names(letter: str, rows: np.ndarray) -> list[str]:
        return [f"{letter}{row}" for row in rows.tolist()]

    every = np.arange(items)
    nodes = {
        "user": pa.table({"id": names("u", np.arange(USERS))}),
        "basket": pa.table({"id": names("b", np.arange(BASKETS))}),
        "item": pa.table(
            {
                "id": names("i", every),
                "title": titles,
                "price": rng.gamma(2.0, 15.0, items).round(2),
            }
        ),
        "kind": pa.table({"id": names("kind ", np.arange(KINDS))}),
        "brand": pa.table({"id": names("v", np.arange(BRANDS))}),
    }
    edges = {
        "made": pa.table(
            [
                names("u", rng.integers(0, USERS, BASKETS)),
                names("b", np.arange(BASKETS)),
                rng.integers(1, 53, BASKETS).astype(float),
            ],
            ["source", "target", "time"],
        ),
        "contains": pa.table(
            [names("b", pairs[0]), names("i", pairs[1])], ["source", "target"]
        ),
        "is_a": pa.table(
            [names("i", every), names("kind ", rng.integers(0, KINDS, items))],
            ["source", "target"],
        ),
        "by": pa.table(
            [names("i", every), names("v", rng.integers(0, BRANDS, items))],
            ["source", "target"],
        ),
    }
    return Tables(SCHEMA, nodes, edges)


def untrained(tables: Tables) -> Recommender:
    """A hybrid of the usual shape with random weights and vectors."""
    torch.manual_seed(0)
    graph, config = build_graph(tables), FusionConfig()
    counts, texts = count_paths(graph), NodeTexts.of(tables)
    snapshot = GraphSnapshot(graph, counts, texts, config, torch.device("cpu"))
    text = TextEncoder(TextConfig(), config.embedding_dim)
    types = (snapshot.user, snapshot.item)
    model = Hybrid(
        config,
        text,
        None,
        snapshot.sizes,
        edge_keys(graph, counts),
        types,
        len(snapshot.features.names),
    )

    def drawn(size: int) -> torch.Tensor:
        return torch.nn.functional.normalize(
            torch.randn(size, config.embedding_dim), dim=1
        )

    def vectors(size: int) -> Nodes:
        return Nodes(drawn(size), drawn(size), drawn(size), torch.rand(size))

    embeddings = EmbeddingCache(
        drawn(len(texts.texts)), vectors(snapshot.items), vectors(snapshot.users)
    )
    return Recommender(model, snapshot, embeddings, tables, counts)


def timed(work: Callable[[int], object], times: int) -> tuple[np.ndarray, float]:
    """Milliseconds of each call but the first three, and the median of the processor's."""
    for n in range(3):
        work(n)
    spent, busy = [], []
    for n in range(times):
        start, own = time.perf_counter(), time.process_time()
        work(n)
        spent.append(1000 * (time.perf_counter() - start))
        busy.append(1000 * (time.process_time() - own))
    return np.array(spent), float(np.median(busy))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--items", type=int, default=100_000, help="in the catalogue (default: 100,000)"
    )
    parser.add_argument(
        "--queries", type=int, default=40, help="how many are timed (default: 40)"
    )
    parser.add_argument("--threads", type=int, default=2, help="of torch (default: 2)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recommender = untrained(catalogue(options.items))
    rng = np.random.default_rng(1)
    queries = [
        (
            f"i{rng.integers(options.items)}",
            f"soft{n} blue{n}",
            rng.permutation(KINDS)[:5],
        )
        for n in range(64)
    ]

    def plan(kinds: np.ndarray) -> Plan:
        return Plan(
            budget=120.0,
            slots=tuple(Slot(f"kind {k}", (("kind", (f"kind {k}",)),)) for k in kinds),
        )

    def answer(n: int) -> object:
        item, words, _ = queries[n % len(queries)]
        return recommender.answer(Query(items=(item,), text=words))

    def one(n: int) -> object:
        item, words, kinds = queries[n % len(queries)]
        return recommender.build(plan(kinds), items=(item,), text=f"{words} {n}")

    def words_alone(n: int) -> object:
        _, words, kinds = queries[n % len(queries)]
        return recommender.build(plan(kinds), text=f"{words} {n}")

    for name, work in (
        ("one answer", answer),
        ("build from an item and words", one),
        ("from words", words_alone),
    ):
        spent, busy = timed(work, options.queries)
        median, most = np.quantile(spent, [0.5, 0.95])
        print(
            f"{name:30} median {median:7.1f} ms, 95 % within {most:7.1f} ms; "
            f"processor {busy:7.1f} ms"
        )


if __name__ == "__main__":
    main()
