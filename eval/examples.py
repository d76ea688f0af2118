"""Worked queries: what a trained recommender answers, beside what it would say anyway."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from eval.example_choice import POPULAR, SHOWN, Example, choose
from fusion.experiment import Recipe
from fusion.explain.explanation import GraphPath
from fusion.preparation import Prepared
from fusion.query import Query, Recommendation
from fusion.recommender import Recommender

_READ = 40  # answers that repeats of a title are dropped from
_WIDTH = 100

HEAD = (
    "What it answers. These queries are picked: of up to a thousand held-out ones, those "
    "that were answered right with least help of popularity. The figures above are the average."
)


def worked_queries(recommender: Recommender, prepared: Prepared, recipe: Recipe) -> str:
    """A basket to complete with its explanation, a search, and a user: those that the graph has.

    Beside each answer stands its place by popularity, which is what is answered where nothing is
    asked; so what everybody is shown anyway shows as such.
    """
    examples = choose(recommender, prepared, recipe)
    if not examples:
        return ""
    blocks = [textwrap.fill(HEAD, _WIDTH)]
    blocks += [_answered(recommender, example) for example in examples]
    blocks.append(_why(recommender, examples[0]))
    return "\n\n".join(blocks)


@dataclass(frozen=True)
class Line:
    """One answer: its place, and its place by popularity."""

    place: int
    answer: Recommendation
    plain: int


def _answered(recommender: Recommender, example: Example) -> str:
    """The question, the command that asks it, and the answers."""
    answers, dropped = shown(recommender, example)
    lines = _question(recommender, example)
    lines.append(f"{'':4}  {'id':>10}  {'':48}  by popularity")
    for line in answers:
        lines.append(_row(line, example))
    if dropped:
        lines.append(f"      ({dropped} with a title that stands above left out)")
    return "\n".join(lines)


def _row(line: Line, example: Example) -> str:
    """One answer as a row of the table."""
    notes = []
    if line.answer.id in example.right:
        notes.append("<- what was really taken")
    if line.plain <= POPULAR:
        notes.append("popular anyway")
    title = textwrap.shorten(line.answer.title, 48, placeholder=" ...")
    cells = [
        f"{line.place:4}. {line.answer.id:>10}",
        f"{title:48}",
        f"{line.plain:>6,}",
        ", ".join(notes),
    ]
    return "  ".join(cells).rstrip()


def _question(recommender: Recommender, example: Example) -> list[str]:
    """What is asked, in words and as a command."""
    query = example.query
    who = ""
    flags = ""
    if query.user:
        who = f" for {recommender.snapshot.user} {query.user}"
        flags = f" --user {query.user}"
    seen = ""
    if query.where.exclude_seen:
        seen = " --exclude-seen"
    if example.kind == "basket":
        titles = _titles(recommender, query.items)
        basket = " + ".join(titles)
        question = textwrap.wrap(
            f"What goes with {basket}{who}?",
            _WIDTH,
            subsequent_indent="  ",
        )
        ids = " ".join(query.items)
        return [*question, f"  trousseau complete {ids}{flags}{seen}"]
    if example.kind == "words":
        return [
            f'What is meant by "{query.text}"{who}?',
            f'  trousseau search "{query.text}"{flags}{seen}',
        ]
    return [
        f"What next{who}?",
        f"  trousseau recommend {query.user}{seen}",
    ]


def _titles(recommender: Recommender, ids: Sequence[str]) -> list[str]:
    rows = [recommender.items.row(item) for item in ids]
    return [recommender.title(row) for row in rows]


def shown(recommender: Recommender, example: Example) -> tuple[list[Line], int]:
    """The first answers, each title once, and how many repeats were passed over."""
    query = replace(example.query, k=_READ)
    answers = recommender.answer(query)
    nothing = recommender.ranking(Query())
    plain = places(nothing)
    lines: list[Line] = []
    titles: set[str] = set()
    dropped = 0
    for place, answer in enumerate(answers, 1):
        if answer.title in titles:
            continue
        titles.add(answer.title)
        row = recommender.items.row(answer.id)
        line = Line(place, answer, int(plain[row]))
        lines.append(line)
        dropped = place - len(lines)
        if len(lines) == SHOWN:
            break
    return lines, dropped


def places(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """(I,) each item's place, from 1, by (I,) scores."""
    order = np.argsort(-scores, kind="stable")
    count = len(scores)
    place = np.empty(count, np.int64)
    place[order] = np.arange(1, count + 1)
    return place


def _why(recommender: Recommender, example: Example) -> str:
    """The best path to the first example's answer that was really taken, or is least popular."""
    answer = _to_explain(recommender, example)
    explanation = recommender.explain(example.query, answer.id, k=1)
    lines = [f"Why {answer.title} ({answer.id})?"]
    if not explanation.paths:
        lines += explanation.notes
        return "\n".join(lines)
    path = explanation.paths[0]
    for text in (path.sentence, _drawn(path)):
        wrapped = textwrap.wrap(text, _WIDTH - 2)
        lines += [f"  {line}" for line in wrapped]
    if path.support:
        change = -path.support.lost
        lines.append(f"  Without such paths its score changes by {change:+z.2f}.")
    return "\n".join(lines)


def _to_explain(recommender: Recommender, example: Example) -> Recommendation:
    """The first answer that was really taken; where there is none, the least popular."""
    lines, _ = shown(recommender, example)
    for line in lines:
        if line.answer.id in example.right:
            return line.answer
    rarest = max(lines, key=lambda line: line.plain)
    return rarest.answer


def _drawn(path: GraphPath) -> str:
    """A path's nodes and the relations between them, in one line."""
    steps = zip(path.edges, path.nodes[1:], strict=True)
    drawn = path.nodes[0].title
    for edge, node in steps:
        arrow = f"-{edge.relation}->"
        if edge.back:
            arrow = f"<-{edge.relation}-"
        drawn += f" {arrow} {node.title}"
    return drawn
