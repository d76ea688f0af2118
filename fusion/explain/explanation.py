"""Explanation: the paths from a query to an item, what each carries of the score, its formats."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import networkx as nx

from fusion.query import Query


@dataclass(frozen=True)
class Stop:
    """A node of a path: its type, its id in the database, and what people read."""

    type: str
    id: str
    title: str


@dataclass(frozen=True)
class PathEdge:
    """An edge of a path.

    Attributes:
        relation: The edge type's name.
        back: Whether the path goes against its direction.
        time: When, None where unknown.
        lost: What the score loses without this one edge; None where support was not asked for.
        now: "" where nobody looked; what the live store says: "there", "gone", or "changed"
            (other time or weight).
        when: The time in words, as sentences say it; "" where unknown.
    """

    relation: str
    back: bool
    time: float | None
    lost: float | None = None
    now: str = ""
    when: str = ""


@dataclass(frozen=True)
class PathSupport:
    """How much a path carries: the score with it, less the score without.

    Attributes:
        lost: Without it and all that differ from it in bundles and other people alone.
        rank: How many places the item falls without these.
        counted: The part of `lost` that the counts lose, messages left as they are.
        vectors: The part that the vectors lose, counts left as they are.
        alone: Without the one path that is shown.
        estimate: What the score's gradient guesses for `lost`, much cheaper.
    """

    lost: float
    rank: int
    counted: float
    vectors: float
    alone: float
    estimate: float


@dataclass(frozen=True)
class GraphPath:
    """A path from the query to the item.

    Attributes:
        nodes: In order.
        edges: Between them.
        times: How many paths differ from it in bundles and other people alone, itself included.
        cost: Hops and hubs; low is telling.
        sentence: It in words.
        cypher: A query that shows it in Neo4j Browser.
        support: None where it was not asked for.
    """

    nodes: tuple[Stop, ...]
    edges: tuple[PathEdge, ...]
    times: int
    cost: float
    sentence: str
    cypher: str
    support: PathSupport | None = None

    @property
    def kind(self) -> str:
        """Its type: node and edge types in order."""
        parts = [self.nodes[0].type]
        for edge, node in zip(self.edges, self.nodes[1:], strict=True):
            parts.append(
                f"<-{edge.relation}- {node.type}"
                if edge.back
                else f"-{edge.relation}-> {node.type}"
            )
        return " ".join(parts)


@dataclass(frozen=True)
class Word:
    """A word, where it is ("query" or "item"), and what the score loses without it."""

    word: str
    where: str
    lost: float


@dataclass(frozen=True)
class Explanation:
    """Why an item is where it is in an answer.

    Attributes:
        query: What was asked.
        item: What is explained.
        score: Its score.
        rank: Its place among all items that may be returned, from 1.
        paths: The best first; by support where it was asked for.
        text_weight: Share of the text in the item's vector, 0..1.
        words: Those that carry most, best first; empty where support was not asked for.
        parts: What the score loses without "paths" (every count between query and item),
            "popularity", "words" (the query's and the item's) and "vectors"; empty where support
            was not asked for.
        notes: What else there is to say: an item that was not among those asked for, ids that
            are unknown, edges that have changed, that no path carries the score.
    """

    query: Query
    item: Stop
    score: float
    rank: int
    paths: tuple[GraphPath, ...]
    text_weight: float
    words: tuple[Word, ...]
    parts: dict[str, float]
    notes: tuple[str, ...]

    @cached_property
    def graph(self) -> nx.MultiDiGraph:
        """All paths as one graph: nodes (type, id), edges keyed by type, in their own direction."""
        graph = nx.MultiDiGraph()
        for number, path in enumerate(self.paths, 1):
            for node in path.nodes:
                names = {"type": node.type, "id": node.id, "title": node.title}
                graph.add_node((node.type, node.id), **names)
            ends = zip(path.nodes, path.nodes[1:], strict=False)
            for edge, (here, there) in zip(path.edges, ends, strict=True):
                tail, head = (there, here) if edge.back else (here, there)
                _join(
                    graph,
                    tail,
                    head,
                    edge,
                    number,
                    path.support,
                )
        return graph

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and strings."""
        return asdict(self)

    def to_json(self) -> str:
        """As text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2)

    def to_graphml(self, path: str | Path) -> None:
        """Write the graph for Gephi, yEd, Cytoscape or networkx; a node's name is "type id"."""
        plain = nx.MultiDiGraph()
        for node, facts in self.graph.nodes(data=True):
            plain.add_node(" ".join(node), **facts)
        for tail, head, key, facts in self.graph.edges(keys=True, data=True):
            facts = {
                **facts,
                "relation": key,
                "paths": " ".join(map(str, facts["paths"])),
            }
            plain.add_edge(" ".join(tail), " ".join(head), **facts)
        nx.write_graphml(plain, path)


def _join(
    graph: nx.MultiDiGraph,
    tail: Stop,
    head: Stop,
    edge: PathEdge,
    number: int,
    support: PathSupport | None,
) -> None:
    """Add an edge of a path to the graph; one of several paths has the most support of these."""
    ends = (tail.type, tail.id), (head.type, head.id)
    known = graph.get_edge_data(*ends, edge.relation, {})
    lost = support.lost if support else 0.0
    facts: dict[str, Any] = {
        "paths": [*known.get("paths", []), number],
        "support": max(lost, known.get("support", lost)),
    }
    if edge.time is not None:
        facts["time"] = edge.time
    if edge.lost is not None:
        facts["lost"] = edge.lost
    if edge.now:
        facts["now"] = edge.now
    graph.add_edge(*ends, key=edge.relation, **facts)
