"""Exchange: tables as Parquet files, and a graph as networkx has it, to explore and draw."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import pyarrow.parquet as pq

from kg.graph import Graph
from kg.tables import Tables


def to_networkx(graph: Graph) -> nx.MultiDiGraph:
    """Every node and edge, as networkx has them.

    A node is (type, id); an edge's key is its type, with weight, and time where it is known.
    """
    made = nx.MultiDiGraph()
    for kind, vocab in graph.vocabs.items():
        titles = graph.titles.get(kind, ())
        for row, key in enumerate(vocab.ids.to_pylist()):
            made.add_node(
                (kind, key), type=kind, title=titles[row] if len(titles) else key
            )
    for (source, name, target), edges in graph.edges.items():
        tails, heads = (graph.vocabs[end].ids.to_pylist() for end in (source, target))
        rows = zip(
            edges.source.tolist(),
            edges.target.tolist(),
            edges.weight,
            edges.time,
            strict=True,
        )
        for tail, head, weight, time in rows:
            facts = {"weight": float(weight)} | (
                {"time": float(time)} if time == time else {}
            )
            made.add_edge(
                (source, tails[tail]),
                (target, heads[head]),
                key=name,
                **facts,
            )
    return made


def save_tables(tables: Tables, folder: Path) -> None:
    """schema.toml, nodes/TYPE.parquet and edges/NAME.parquet: what kg.sources.folder reads."""
    for kind, every in (("nodes", tables.nodes), ("edges", tables.edges)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for name, table in every.items():
            pq.write_table(table, folder / kind / f"{name}.parquet", compression="zstd")
    (folder / "schema.toml").write_text(tables.schema.to_toml(), encoding="utf-8")
