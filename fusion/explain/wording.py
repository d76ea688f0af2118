"""Wording: a path's nodes, edges and segments in people's terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from fusion.explain.cases import ExplanationTarget
from fusion.explain.explanation import GraphPath, PathEdge, PathSupport, Stop
from fusion.explain.segments import Segment, Segmenter
from fusion.explain.sentences import Clause, Phrases
from kg.graph import Graph
from kg.pathfinding.search import Node, NodePath
from kg.schema import GraphSchema
from kg.stores.cypher import path_query
from kg.stores.verify import Edge


class Wording:
    """Says what paths to one item of one query are.

    Args:
        graph: Whose nodes they join.
        segmenter: Takes them apart.
        target: The query and the item.
        matches: What the query's words may mean.
        speech: In whose words.
    """

    def __init__(
        self,
        graph: Graph,
        segmenter: Segmenter,
        target: ExplanationTarget,
        matches: Sequence[Node],
        speech: Phrases,
    ) -> None:
        self.graph, self.segmenter = graph, segmenter
        self.target, self.matches, self.speech = target, matches, speech
        self._unit = time_unit(graph.schema)

    def stop(self, node: Node) -> Stop:
        """A node with its title; without one it is called by its type and id: "basket 830"."""
        kind, row = node
        key = self.graph.vocabs[kind].key(row)
        title = self._title(node)
        if title == key and not self._is_attribute(kind):
            title = self.speech.nameless(kind, key)
        return Stop(kind, key, title)

    def _title(self, node: Node) -> str:
        """What it is called in the graph: its title, else its id."""
        kind, row = node
        if kind in self.graph.titles:
            return self.graph.titles[kind][row]
        return self.graph.vocabs[kind].key(row)

    def _is_attribute(self, kind: str) -> bool:
        """An attribute's id is its name: sentences say its type."""
        return self.graph.schema.node(kind).role == "attribute"

    def path(
        self,
        path: NodePath,
        support: PathSupport | None,
        lost: Mapping[tuple[str, int], float],
    ) -> GraphPath:
        """A path with its sentence.

        Args:
            path: From the query to the item.
            support: What it carries, None where that was not measured.
            lost: By edge type and row, what the score loses without the edge.
        """
        nodes = tuple(self.stop(node) for node in path.nodes)
        segments = self.segmenter.segments(path)
        clauses = [self._clause(path, segment) for segment in segments]
        before = ""
        if path.nodes[0] in self.matches:
            before = self.speech.note("words", self._called(path.nodes[0]))
        ends = [(node.type, node.id) for node in nodes]
        return GraphPath(
            nodes,
            tuple(self._edges(path, lost)),
            path.times,
            path.cost,
            self.speech.sentence(clauses, before),
            path_query(self.graph.schema, ends, path.steps),
            support,
        )

    def _edges(
        self,
        path: NodePath,
        lost: Mapping[tuple[str, int], float],
    ) -> list[PathEdge]:
        edges = []
        stored = edges_of(self.graph, [path])
        for (name, back), row, edge in zip(
            path.steps,
            path.edges,
            stored,
            strict=True,
        ):
            time = None if edge.time is None or np.isnan(edge.time) else edge.time
            when = self.speech.when(time, self.graph.schema.edge(name).time)
            edges.append(
                PathEdge(
                    name,
                    back,
                    time,
                    lost.get((name, row)),
                    when=when,
                )
            )
        return edges

    def _clause(
        self,
        path: NodePath,
        segment: Segment,
    ) -> Clause:
        name, back = path.steps[segment.first]
        time = None
        if segment.kind == "interacted":
            own = self.segmenter.interactions(segment.a[1], segment.b[1])
            times = self.graph.events.time[own]
            time = None if np.isnan(times).all() else float(np.nanmax(times))
        return Clause(
            segment.kind,
            self._called(segment.a),
            self._called(segment.b),
            segment.a[0],
            segment.b[0],
            name,
            back,
            segment.times,
            time,
            self._unit,
        )

    def _called(self, node: Node) -> str:
        """What a node is called within a sentence."""
        kind, row = node
        stop = self.stop(node)
        name = stop.title
        if self._title(node) != stop.id or self._is_attribute(kind):
            name = self.speech.quote(name)
        if kind == self.graph.item and row in self.target.place.context:
            name = self.speech.at_hand(name)
        return name

    def checked(
        self,
        told: GraphPath,
        path: NodePath,
        now: Mapping[Edge, str],
    ) -> GraphPath:
        """The path with what a live store says of each edge."""
        stored = edges_of(self.graph, [path])
        edges = tuple(
            replace(edge, now=now.get(key, ""))
            for edge, key in zip(told.edges, stored, strict=True)
        )
        return replace(told, edges=edges)


def time_unit(schema: GraphSchema) -> str:
    """The property that holds the times of interactions, else of memberships; "" for none."""
    for role in ("interaction", "membership"):
        for edge in schema.edges:
            if edge.role == role and edge.time:
                return edge.time
    return ""


def edges_of(graph: Graph, paths: Sequence[NodePath]) -> list[Edge]:
    """The edges of paths as a store holds them, one after the other."""
    found = []
    for path in paths:
        ends = zip(path.nodes, path.nodes[1:], strict=False)
        steps = zip(
            path.steps,
            path.edges,
            ends,
            strict=True,
        )
        for (name, back), row, (here, there) in steps:
            tail, head = (there, here) if back else (here, there)
            edge = graph.edges[(tail[0], name, head[0])]
            kind = graph.schema.edge(name)
            found.append(
                Edge(
                    name,
                    graph.vocabs[tail[0]].key(tail[1]),
                    graph.vocabs[head[0]].key(head[1]),
                    float(edge.weight[row]) if kind.weight else None,
                    float(edge.time[row]) if kind.time else None,
                )
            )
    return found
