"""Picture: an explanation as text for a terminal, and as a page that needs no network."""

from __future__ import annotations

import html
import textwrap
from typing import Any

from fusion.explain.explanation import Explanation, GraphPath


def to_text(explanation: Explanation, width: int = 100) -> str:
    """The item, what carries it, notes, each path with what it carries, and what its vector is made of."""
    item, language = explanation.item, explanation.text_weight
    lines = [
        f"{item.title} ({item.id}): place {explanation.rank:,}, score {explanation.score:z.2f}"
    ]
    if explanation.parts:
        parts = sorted(explanation.parts.items(), key=lambda part: -part[1])
        lines.append(
            "without " + ", ".join(f"{name} {-lost:+z.2f}" for name, lost in parts)
        )
    if explanation.words:
        said = [
            f"{word.word} ({word.where}'s) {-word.lost:+z.2f}"
            for word in explanation.words[:6]
        ]
        lines += textwrap.wrap(
            "without the word " + ", ".join(said), width, subsequent_indent="  "
        )
    lines += [line for note in explanation.notes for line in textwrap.wrap(note, width)]
    for number, path in enumerate(explanation.paths, 1):
        lines += [
            "",
            *textwrap.wrap(
                f"{number}. {path.sentence}", width, subsequent_indent="   "
            ),
        ]
        lines += [f"   {line}" for line in _drawn(path, width - 3)]
        if path.support:
            support = path.support
            told = f"without it {-support.lost:+z.2f}"
            told += (
                f" (counted {-support.counted:+z.2f}, vectors {-support.vectors:+z.2f})"
            )
            if support.rank:
                told += f", {support.rank:+,} places"
            more = (
                f"; without the one shown {-support.alone:+z.2f}"
                if path.times > 1
                else ""
            )
            lines.append(f"   {told}{more}")
    return "\n".join(
        [
            *lines,
            "",
            f"Its vector: {language:.0%} from words, {1 - language:.0%} from the graph.",
        ]
    )


def _drawn(path: GraphPath, width: int) -> list[str]:
    """A node a line, the edge to the next before it."""
    lines = [textwrap.shorten(path.nodes[0].title, width, placeholder=" …")]
    for depth, (edge, node) in enumerate(zip(path.edges, path.nodes[1:], strict=True)):
        arrow = f"<-{edge.relation}-" if edge.back else f"-{edge.relation}->"
        time = (
            f" {edge.when}"
            if edge.when
            else ""
            if edge.time is None
            else f" at {edge.time:g}"
        )
        lost = "" if edge.lost is None else f" [{-edge.lost:+.3f}]"
        now = f" ({edge.now})" if edge.now else ""
        text = f"{'  ' * (depth + 1)}{arrow} {node.title}{time}{lost}{now}"
        lines.append(text if len(text) <= width else text[: width - 1] + "…")
    return lines


def to_html(explanation: Explanation) -> str:
    """A page with the paths as a graph, edges as wide as they carry; drawn by neo4j-viz, whose viewer it holds.

    Raises:
        ImportError: neo4j-viz is not installed.
    """
    try:
        from neo4j_viz import Node, Relationship, VisualizationGraph
    except ImportError:
        raise ImportError(
            "pictures are drawn by neo4j-viz: pip install 'trousseau[viz]'"
        ) from None
    graph = explanation.graph
    target = (explanation.item.type, explanation.item.id)
    starts = {(path.nodes[0].type, path.nodes[0].id) for path in explanation.paths}
    most = max((facts["support"] for *_, facts in graph.edges(data=True)), default=0.0)
    kinds = sorted({kind for kind, _ in graph})
    places: dict[tuple[str, str], tuple[float, float]] = {}
    depth = max((len(path.edges) for path in explanation.paths), default=0)
    left, top = (
        -_APART * depth / 2,
        -75.0 * (len(explanation.paths) - 1),
    )  # the page opens on the middle
    for row, path in enumerate(explanation.paths):  # a path a line, from left to right
        for at, stop in enumerate(path.nodes[:-1]):
            places.setdefault(
                (stop.type, stop.id), (left + _APART * at, top + 150.0 * row)
            )
    places[target] = (-left, 0.0)
    nodes = []
    for node, facts in graph.nodes(data=True):
        ends = node == target or node in starts
        facts_of: dict[str, Any] = {
            "id": " ".join(node),
            "caption": textwrap.shorten(facts["title"], 28, placeholder=" …"),
            "caption_size": 1,
            "x": places[node][0],
            "y": places[node][1],
            "size": 50 if ends else 40,
            "color": _COLOURS[kinds.index(node[0]) % len(_COLOURS)],
            "properties": {"type": node[0], "id": node[1], "title": facts["title"]},
        }
        nodes.append(Node(**facts_of))
    edges = []
    for number, (tail, head, key, facts) in enumerate(
        graph.edges(keys=True, data=True)
    ):
        share = max(facts["support"], 0.0) / most if most > 0 else 0.0
        facts_of = {
            "id": str(number),
            "source": " ".join(tail),
            "target": " ".join(head),
            "caption": key,
        }
        shown = {name: value for name, value in facts.items() if name != "paths"}
        edges.append(Relationship(**facts_of, width=1 + 7 * share, properties=shown))
    page = str(
        VisualizationGraph(nodes, edges)
        .render(layout="free", theme="light", initial_zoom=1)
        .data
    )
    told = f'<pre style="white-space: pre-wrap; margin: 1em">{html.escape(to_text(explanation))}</pre>'
    page = page.replace(
        "<title>neo4j-viz</title>",
        f"<title>{html.escape(explanation.item.title)}</title>",
        1,
    )
    head, end, tail = page.rpartition("</body>")
    return head + told + end + tail if end else page + told


_APART = 230.0  # from a node to the next
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
