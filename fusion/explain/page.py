"""Page: an explanation as a picture to open in a browser, which needs no network."""

from __future__ import annotations

import html
import textwrap
from typing import Any

from fusion.explain.explanation import Explanation
from fusion.explain.render import to_text
from kg.errors import InputError

_ACROSS = 230.0  # from a node of a path to the next
_DOWN = 150.0  # from a path to the next
# Of Okabe and Ito, which people with any colour vision tell apart.
_COLOURS = (
    "#56B4E9",
    "#E69F00",
    "#009E73",
    "#F0E442",
    "#CC79A7",
    "#D55E00",
    "#0072B2",
    "#999999",
)

NodeKey = tuple[str, str]  # type, id


def to_html(explanation: Explanation) -> str:
    """A page with the paths as a graph, edges as wide as they carry, and the measured numbers.

    Drawn by neo4j-viz, whose viewer it holds.

    Raises:
        InputError: neo4j-viz is not installed.
    """
    try:
        from neo4j_viz import Node, Relationship, VisualizationGraph
    except ImportError:
        raise InputError(
            "pictures are drawn by neo4j-viz: pip install 'trousseau[viz]'",
            field="html",
        ) from None
    nodes = [Node(**facts) for facts in _nodes(explanation)]
    edges = [Relationship(**facts) for facts in _edges(explanation)]
    drawn = VisualizationGraph(nodes, edges).render(
        layout="free",
        theme="light",
        initial_zoom=1,
    )
    text = html.escape(to_text(explanation, numbers=True))
    told = f'<pre style="white-space: pre-wrap; margin: 1em">{text}</pre>'
    title = f"<title>{html.escape(explanation.item.title)}</title>"
    page = str(drawn.data).replace("<title>neo4j-viz</title>", title, 1)
    head, end, tail = page.rpartition("</body>")
    return head + told + end + tail if end else page + told


def _places(explanation: Explanation) -> dict[NodeKey, tuple[float, float]]:
    """Where each node stands: a path a line, from left to right, the middle at 0."""
    paths = explanation.paths
    left = -_ACROSS * max((len(path.edges) for path in paths), default=0) / 2
    top = -_DOWN * (len(paths) - 1) / 2
    places: dict[NodeKey, tuple[float, float]] = {}
    for row, path in enumerate(paths):
        for column, stop in enumerate(path.nodes[:-1]):
            place = left + _ACROSS * column, top + _DOWN * row
            places.setdefault((stop.type, stop.id), place)
    places[(explanation.item.type, explanation.item.id)] = (-left, 0.0)
    return places


def _nodes(explanation: Explanation) -> list[dict[str, Any]]:
    graph, places = explanation.graph, _places(explanation)
    ends = {(path.nodes[0].type, path.nodes[0].id) for path in explanation.paths}
    ends.add((explanation.item.type, explanation.item.id))
    kinds = sorted({kind for kind, _ in graph})
    return [
        {
            "id": " ".join(node),
            "caption": textwrap.shorten(facts["title"], 28, placeholder=" …"),
            "caption_size": 1,
            "x": places[node][0],
            "y": places[node][1],
            "size": 50 if node in ends else 40,
            "color": _COLOURS[kinds.index(node[0]) % len(_COLOURS)],
            "properties": {"type": node[0], "id": node[1], "title": facts["title"]},
        }
        for node, facts in graph.nodes(data=True)
    ]


def _edges(explanation: Explanation) -> list[dict[str, Any]]:
    found = list(explanation.graph.edges(keys=True, data=True))
    most = max((facts["support"] for *_, facts in found), default=0.0)
    edges = []
    for number, (tail, head, key, facts) in enumerate(found):
        share = max(facts["support"], 0.0) / most if most > 0 else 0.0
        edges.append(
            {
                "id": str(number),
                "source": " ".join(tail),
                "target": " ".join(head),
                "caption": key,
                "width": 1 + 7 * share,
                "properties": {k: v for k, v in facts.items() if k != "paths"},
            }
        )
    return edges
