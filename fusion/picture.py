"""Picture: an explanation as text for a terminal, and as a page that needs no network."""

from __future__ import annotations

import textwrap

from fusion.explanation import Explanation, GraphPath


def to_text(explanation: Explanation, width: int = 100) -> str:
    """The item, what carries it, and each path: its sentence, its nodes, what it carries."""
    head = f"{explanation.item.title} ({explanation.item.id}): place {explanation.rank:,}, "
    head += f"score {explanation.score:.2f}, {explanation.language:.0%} by its words"
    lines = [head]
    if explanation.parts:
        parts = sorted(explanation.parts.items(), key=lambda part: -part[1])
        lines.append("without " + ", ".join(f"{name} {-lost:+.2f}" for name, lost in parts))
    if explanation.words:
        said = [f"{word.word} ({word.where}'s) {-word.lost:+.2f}" for word in explanation.words[:6]]
        lines += textwrap.wrap("without the word " + ", ".join(said), width, subsequent_indent="  ")
    for number, path in enumerate(explanation.paths, 1):
        lines += ["", *textwrap.wrap(f"{number}. {path.sentence}", width, subsequent_indent="   ")]
        lines += [f"   {line}" for line in _drawn(path, width - 3)]
        if path.support:
            support = path.support
            told = f"without it {-support.lost:+.2f} (counted {-support.counted:+.2f}, vectors {-support.vectors:+.2f})"
            if support.rank:
                told += f", {support.rank:+,} places"
            more = f"; without the one shown {-support.alone:+.2f}" if path.times > 1 else ""
            lines.append(f"   {told}{more}")
    lines += ["", *(line for note in explanation.notes for line in textwrap.wrap(note, width))]
    return "\n".join(lines).rstrip()


def _drawn(path: GraphPath, width: int) -> list[str]:
    """A node a line, the edge to the next before it."""
    lines = [textwrap.shorten(path.nodes[0].title, width, placeholder=" …")]
    for depth, (edge, node) in enumerate(zip(path.edges, path.nodes[1:], strict=True)):
        arrow = f"<-{edge.relation}-" if edge.back else f"-{edge.relation}->"
        time = "" if edge.time is None else f" at {edge.time:g}"
        lost = "" if edge.lost is None else f" [{-edge.lost:+.3f}]"
        now = f" ({edge.now})" if edge.now else ""
        text = f"{'  ' * (depth + 1)}{arrow} {node.title}{time}{lost}{now}"
        lines.append(text if len(text) <= width else text[: width - 1] + "…")
    return lines


def to_html(explanation: Explanation) -> str:
    """A page with the paths as a graph; needs no network.

    Raises:
        ImportError: The extra `viz` is not installed.
    """
    raise ImportError("pictures need neo4j-viz; install trousseau[viz]")
