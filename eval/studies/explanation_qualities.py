"""What the training graph says of a path: that it is there, and its published qualities."""

from __future__ import annotations

import numpy as np

from fusion.explain.cases import ExplanationTarget
from fusion.explain.explainer import Explainer
from fusion.explain.explanation import Explanation
from kg.tables import FloatArray

BETA = 0.3  # how much the latest interaction, or the most popular entity, counts in LIR and SEP


class TrainingFacts:
    """What the training graph says, looked up without the search's own arrays."""

    def __init__(self, explainer: Explainer) -> None:
        self.explainer = explainer
        tables = explainer.recommender.tables.edges
        self.edges = {
            name: set(
                zip(t["source"].to_pylist(), t["target"].to_pylist(), strict=True)
            )
            for name, t in tables.items()
        }

    def valid(self, made: Explanation) -> list[bool]:
        """A path, whether each of its edges is in the training tables and no node stands twice."""
        found = []
        for path in made.paths:
            nodes = [(node.type, node.id) for node in path.nodes]
            pairs = zip(path.edges, path.nodes, path.nodes[1:], strict=False)
            there = all(
                ((b.id, a.id) if edge.back else (a.id, b.id))
                in self.edges[edge.relation]
                for edge, a, b in pairs
            )
            ends = nodes[-1] == (made.item.type, made.item.id)
            found.append(there and ends and len(set(nodes)) == len(nodes) <= 5)
        return found

    def qualities(self, made: Explanation, spot: ExplanationTarget) -> dict[str, float]:
        """LIR, SEP and ETD (Balloccu et al., 2022), and how unlike the paths' inner nodes are."""
        graph = self.explainer.graph
        recent, popular = [], []
        times = graph.events.time[
            self.explainer.occlusion.recount.of_users(
                np.array([max(spot.place.user, 0)])
            )
        ]
        for path in made.paths:
            dated = [edge.time for edge in path.edges if edge.time is not None]
            if (
                spot.place.user >= 0
                and path.nodes[0].type == graph.user
                and dated
                and not np.isnan(times).all()
            ):
                recent.append(smoothed_rank(times, dated[0]))
            named = [
                n
                for n in path.nodes[1:-1]
                if n.type not in self.explainer.segmenter.blank
            ]
            if named:
                shared = named[-1]
                degrees = self.explainer.search.degree[shared.type].astype(float)
                popular.append(
                    smoothed_rank(
                        degrees,
                        float(degrees[graph.vocabs[shared.type].row(shared.id)]),
                    )
                )
        inner = [
            {
                (n.type, n.id)
                for n in p.nodes[1:-1]
                if n.type not in self.explainer.segmenter.blank
            }
            for p in made.paths
        ]
        apart = [
            1 - len(a & b) / len(a | b) if a | b else 0.0
            for n, a in enumerate(inner)
            for b in inner[n + 1 :]
        ]
        kinds = len({path.kind for path in made.paths})
        return {
            "LIR": float(np.mean(recent)) if recent else np.nan,
            "SEP": float(np.mean(popular)) if popular else np.nan,
            "ETD": kinds / len(made.paths),
            "unlike": float(np.mean(apart)) if apart else np.nan,
        }


def smoothed_rank(values: FloatArray, at: float) -> float:
    """Where a value stands among all, 0..1, by the moving average of the values in order."""
    ordered = np.unique(values[~np.isnan(values)])
    average, found = np.empty(len(ordered)), ordered[0]
    for n, value in enumerate(ordered):
        found = value if n == 0 else (1 - BETA) * found + BETA * value
        average[n] = found
    spread = average[-1] - average[0]
    place = np.searchsorted(ordered, at).clip(max=len(ordered) - 1)
    return float((average[place] - average[0]) / spread) if spread else 1.0
