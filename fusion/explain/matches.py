"""Text matches: the attributes and items that a query's words may mean, by BM25 score."""

from __future__ import annotations

import numpy as np

from fusion.model.bm25 import Lexical, telling
from fusion.ranking.ranker import Ranker
from kg.pathfinding.search import Node

MATCHES = 3  # nodes of a type that words are taken to mean


class TextMatches:
    """BM25 over the texts of each node type that has any.

    Args:
        recommender: Whose graph and texts. The index of its items is taken where it has one.
    """

    def __init__(self, recommender: Ranker) -> None:
        self._device = recommender.snapshot.device
        graph, tables = recommender.snapshot.graph, recommender.tables
        named = {
            node.name
            for node in graph.schema.nodes
            if node.role in {"attribute", "item"} and node.text
        }
        of_items = recommender.snapshot.features.lexical
        self.indexes: dict[str, Lexical] = {}
        for kind in graph.vocabs:
            if kind not in named:
                continue
            if kind == graph.item and of_items is not None:
                self.indexes[kind] = of_items
                continue
            texts = tables.texts(kind)
            if Lexical.fits(texts):
                self.indexes[kind] = Lexical(texts)

    def of(
        self,
        text: str,
        target: Node,
    ) -> list[Node]:
        """The nodes that match half as well as the best, without the target."""
        if not text.strip():
            return []
        scored: list[tuple[float, Node]] = []
        for kind, index in self.indexes.items():
            scores = index([telling(text)], self._device)[0].cpu().numpy()
            best = np.argsort(-scores, kind="stable")[:MATCHES]
            scored += [
                (float(scores[row]), (kind, int(row)))
                for row in best
                if scores[row] > 0
            ]
        top = max((score for score, _ in scored), default=0.0)
        return [node for score, node in scored if score >= top / 2 and node != target]
