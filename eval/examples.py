"""Worked queries: what a trained recommender answers, beside what it would say anyway."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from eval.example_choice import POPULAR, SHOWN, Example, choose
from fusion.experiment import Recipe
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
    blocks += [_told(recommender, example) for example in examples]
    blocks.append(_why(recommender, examples[0]))
    return "\n\n".join(blocks)


@dataclass(frozen=True)
class Line:
    """One answer: its place, and its place by popularity."""

    place: int
    answer: Recommendation
    plain: int


def _told(recommender: Recommender, example: Example) -> str:
    """The question, the command that asks it, and the answers."""
    lines, dropped = shown(recommender, example)
    rows = []
    for line in lines:
        notes = []
        if line.answer.id in example.right:
            notes.append("<- what was really taken")
        if line.plain <= POPULAR:
            notes.append("popular anyway")
        title = textwrap.shorten(line.answer.title, 48, placeholder=" ...")
        cells = f"{line.place:4}. {line.answer.id:>10}  {title:48}"
        rows.append(f"{cells}  {line.plain:>6,}  {', '.join(notes)}".rstrip())
    head = f"{'':4}  {'id':>10}  {'':48}  by popularity"
    foot = (
        [f"      ({dropped} with a title that stands above left out)"]
        if dropped
        else []
    )
    asked = _question(recommender, example)
    return "\n".join([*asked, head, *rows, *foot])


def _question(recommender: Recommender, example: Example) -> list[str]:
    """What is asked, in words and as a command."""
    query = example.query
    who = f" for {recommender.snapshot.user} {query.user}" if query.user else ""
    user = f" --user {query.user}" if query.user else ""
    seen = " --exclude-seen" if query.where.exclude_seen else ""
    if example.kind == "basket":
        titles = _titles(recommender, query.items)
        basket = textwrap.wrap(
            f"What goes with {' + '.join(titles)}{who}?", _WIDTH, subsequent_indent="  "
        )
        ids = " ".join(query.items)
        return [*basket, f"  trousseau complete {ids}{user}{seen}"]
    if example.kind == "words":
        question = f'What is meant by "{query.text}"{who}?'
        return [question, f'  trousseau search "{query.text}"{user}{seen}']
    return [f"What next{who}?", f"  trousseau recommend {query.user}{seen}"]


def _titles(recommender: Recommender, ids: Sequence[str]) -> list[str]:
    return [recommender.title(recommender.items.row(item)) for item in ids]


def shown(recommender: Recommender, example: Example) -> tuple[list[Line], int]:
    """The first answers, each title once, and how many repeats were passed over."""
    answers = recommender.answer(replace(example.query, k=_READ))
    plain = places(recommender.ranking(Query()))
    lines: list[Line] = []
    titles: set[str] = set()
    for place, answer in enumerate(answers, 1):
        if len(lines) == SHOWN:
            break
        if answer.title in titles:
            continue
        titles.add(answer.title)
        row = recommender.items.row(answer.id)
        lines.append(Line(place, answer, int(plain[row])))
    return lines, (lines[-1].place - len(lines) if lines else 0)


def places(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """(I,) each item's place, from 1, by (I,) scores."""
    order = np.argsort(-scores, kind="stable")
    place = np.empty(len(scores), np.int64)
    place[order] = np.arange(1, len(scores) + 1)
    return place


def _why(recommender: Recommender, example: Example) -> str:
    """The best path to the first example's answer that was really taken, or is least popular."""
    lines, _ = shown(recommender, example)
    right = [line for line in lines if line.answer.id in example.right]
    rare = sorted(lines, key=lambda line: -line.plain)
    answer = (right or rare)[0].answer
    explanation = recommender.explain(example.query, answer.id, k=1)
    head = f"Why {answer.title} ({answer.id})?"
    if not explanation.paths:
        return "\n".join([head, *explanation.notes])
    path = explanation.paths[0]
    drawn = path.nodes[0].title
    for edge, node in zip(path.edges, path.nodes[1:], strict=True):
        arrow = f"<-{edge.relation}-" if edge.back else f"-{edge.relation}->"
        drawn += f" {arrow} {node.title}"
    told = textwrap.wrap(path.sentence, _WIDTH - 2)
    picture = textwrap.wrap(drawn, _WIDTH - 2)
    told_lines = [head, *(f"  {line}" for line in [*told, *picture])]
    if path.support:
        lost = path.support.lost
        told_lines.append(f"  Without such paths its score changes by {-lost:+z.2f}.")
    return "\n".join(told_lines)
