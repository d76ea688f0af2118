"""Render: an explanation as text for a terminal."""

from __future__ import annotations

import textwrap

from fusion.explain.attribution import CARRIES
from fusion.explain.explanation import Explanation, GraphPath, PathSupport


def to_text(
    explanation: Explanation,
    width: int = 100,
    numbers: bool = False,
) -> str:
    """The item, what carries it, notes, each path, and what its vector is made of.

    Args:
        explanation: What is told.
        width: Columns.
        numbers: Tell scores as measured, beside places.
    """
    item, weight = explanation.item, explanation.text_weight
    score = f", score {explanation.score:z.2f}" if numbers else ""
    lines = [f"{item.title} ({item.id}): place {explanation.rank:,}{score}"]
    lines += _parts(explanation, numbers)
    lines += textwrap.wrap(_words(explanation, numbers), width, subsequent_indent="  ")
    for note in explanation.notes:
        lines += textwrap.wrap(note, width)
    first = explanation.paths[0].support if explanation.paths else None
    for number, path in enumerate(explanation.paths, 1):
        sentence = f"{number}. {path.sentence}"
        lines += ["", *textwrap.wrap(sentence, width, subsequent_indent="   ")]
        lines += [f"   {line}" for line in _drawn(path, width - 3, numbers)]
        if path.support is None:
            continue
        lines.append(f"   {_carried(path.support, first if number > 1 else None)}")
        if numbers:
            lines.append(f"   {_measured(path.support, path.times)}")
    vector = f"Its vector: {weight:.0%} from words, {1 - weight:.0%} from the graph."
    return "\n".join([*lines, "", vector])


def _parts(explanation: Explanation, numbers: bool) -> list[str]:
    """What the score is made of, the part first without which it falls most."""
    parts = sorted(explanation.parts.items(), key=lambda part: -part[1])
    if numbers and parts:
        without = (f"{name} {-lost:+z.2f}" for name, lost in parts)
        return ["without " + ", ".join(without)]
    carrying = [name for name, lost in parts if lost >= CARRIES]
    return [f"carried by {', then '.join(carrying)}"] if carrying else []


def _words(explanation: Explanation, numbers: bool) -> str:
    """The words that carry most, "" where none does."""
    words = explanation.words[:6]
    if not words:
        return ""
    if numbers:
        lost = (f"{word.word} ({word.where}'s) {-word.lost:+z.2f}" for word in words)
        return "without the word " + ", ".join(lost)
    return "its words: " + ", ".join(f"{word.word} ({word.where}'s)" for word in words)


def _carried(support: PathSupport, first: PathSupport | None) -> str:
    """What a path carries in places, and beside the first path."""
    if support.lost < CARRIES and not support.rank:
        return "without it the item keeps its place, and its score"
    places = f"{abs(support.rank):,} place{'s' if abs(support.rank) != 1 else ''}"
    if not support.rank:
        moves = "keeps its place"
    else:
        moves = f"{'falls' if support.rank > 0 else 'rises'} {places}"
    carried = f"without it the item {moves}"
    if first is None or first.lost < CARRIES or support.lost < 0:
        return carried
    return f"{carried}; it carries {support.lost / first.lost:.0%} of what path 1 does"


def _measured(support: PathSupport, times: int) -> str:
    """What a path carries, as measured."""
    parts = f"counted {-support.counted:+z.2f}, vectors {-support.vectors:+z.2f}"
    measured = f"score without it {-support.lost:+z.2f} ({parts})"
    if times > 1:
        measured += f"; without the one shown {-support.alone:+z.2f}"
    return measured


def _drawn(
    path: GraphPath,
    width: int,
    numbers: bool,
) -> list[str]:
    """A node a line, the edge to the next before it."""
    lines = [textwrap.shorten(path.nodes[0].title, width, placeholder=" …")]
    for depth, (edge, node) in enumerate(
        zip(path.edges, path.nodes[1:], strict=True), 1
    ):
        arrow = f"<-{edge.relation}-" if edge.back else f"-{edge.relation}->"
        text = f"{'  ' * depth}{arrow} {node.title}"
        if edge.when:
            text += f" {edge.when}"
        elif edge.time is not None:
            text += f" at {edge.time:g}"
        if numbers and edge.lost is not None:
            text += f" [{-edge.lost:+.3f}]"
        if edge.now:
            text += f" ({edge.now})"
        lines.append(text if len(text) <= width else text[: width - 1] + "…")
    return lines
