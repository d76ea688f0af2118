"""Support: how much of an item's score each path, edge and word carries."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from fusion.explain.cases import POPULARITY, Case, ExplanationTarget
from fusion.explain.explanation import PathSupport, Word
from fusion.explain.occlusion import Occlusion
from fusion.explain.segments import Segmenter
from fusion.model.features import ALIKE, WORDS
from kg.pathfinding.search import NodePath

# What must be lost for a path, or a word, to be said to carry the score: a hundredth in log odds.
CARRIES = 0.01


def choose(
    occlusion: Occlusion,
    segmenter: Segmenter,
    target: ExplanationTarget,
    pool: Sequence[NodePath],
    k: int,
) -> tuple[dict[NodePath, PathSupport], list[NodePath], dict[tuple[str, int], float]]:
    """The k paths that carry most, a kind that is chosen already at half its worth.

    Returns:
        What each chosen path carries; the chosen paths, the best first; and by edge type and
        row what the score loses without each of their edges alone.
    """
    cuts = [segmenter.cut(path) for path in pool]
    lost = _lost(occlusion, target, [Case(cut) for cut in cuts])
    places = _best(pool, lost, k)
    if not places:
        return {}, [], {}
    chosen = [pool[n] for n in places]
    edges = _edges(chosen)
    sides = [
        Case(cuts[n], counted, not counted) for n in places for counted in (True, False)
    ]
    singles = [Case(segmenter.cut(path, False)) for path in chosen]
    alone = [Case({name: np.array([row])}) for name, row in edges]
    measured = _lost(occlusion, target, [*sides, *singles, *alone])
    guessed = occlusion.estimates(target, [cuts[n] for n in places])
    rank = target.rank(target.served)
    supports = {}
    for place, n in enumerate(places):
        counted, vectors = measured[2 * place : 2 * place + 2]
        supports[pool[n]] = PathSupport(
            lost[n],
            target.rank(target.served - lost[n]) - rank,
            counted,
            vectors,
            measured[len(sides) + place],
            float(guessed[place]),
        )
    of_edges = measured[len(sides) + len(singles) :]
    return supports, chosen, dict(zip(edges, of_edges, strict=True))


def _lost(
    occlusion: Occlusion,
    target: ExplanationTarget,
    cases: Sequence[Case],
) -> list[float]:
    """What the score loses in each case."""
    base, *scores = occlusion.scores(target, [Case(), *cases]).tolist()
    return [base - score for score in scores]


def _best(
    pool: Sequence[NodePath],
    lost: Sequence[float],
    k: int,
) -> list[int]:
    """Places of k paths; those that carry nothing go last, in the order they were found."""
    chosen: list[int] = []
    while len(chosen) < min(k, len(pool)):
        kinds = [pool[n].steps for n in chosen]

        def worth(n: int, kinds: Sequence[object] = kinds) -> tuple[float, int]:
            return max(lost[n], 0.0) * 0.5 ** kinds.count(pool[n].steps), -n

        rest = [n for n in range(len(pool)) if n not in chosen]
        chosen.append(max(rest, key=worth))
    return chosen


def _edges(paths: Sequence[NodePath]) -> list[tuple[str, int]]:
    """Edge type and row of each edge of some paths, once."""
    edges = {
        (step[0], row): None
        for path in paths
        for step, row in zip(path.steps, path.edges, strict=True)
    }
    return list(edges)


def of_words(
    occlusion: Occlusion, target: ExplanationTarget
) -> tuple[tuple[Word, ...], dict[str, float]]:
    """What words carry, best first, and what the score's parts carry.

    The item's words are taken out of its own vector, of its BM25 score and of the likeness to
    the context items; the messages it sends stay as they are.
    """
    parts = _parts(occlusion.snapshot.features.names)
    text = occlusion.item_texts[target.place.item] if occlusion.model.text else ""
    asked, own = words_of(target.text), words_of(text)
    cases = [Case(asked=rest) for _, rest in asked]
    cases += [Case(text=rest) for _, rest in own]
    lost = _lost(occlusion, target, [*parts.values(), *cases])
    labels = [(word, "query") for word, _ in asked]
    labels += [(word, "item") for word, _ in own]
    words = [
        Word(word, where, drop)
        for (word, where), drop in zip(labels, lost[len(parts) :], strict=True)
    ]
    telling = [word for word in words if word.lost >= CARRIES]
    telling.sort(key=lambda word: -word.lost)
    return tuple(telling), dict(zip(parts, lost, strict=False))


def _parts(names: Sequence[str]) -> dict[str, Case]:
    """The parts of a score, each as the case in which it is missing."""
    facts = {*POPULARITY, WORDS, "history", "items at hand"}
    counts = [n for n in names if n not in facts and not n.startswith(ALIKE)]
    popularity = [name for name in names if name in POPULARITY]
    return {
        "paths": Case(blank=tuple(counts)),
        "popularity": Case(blank=tuple(popularity)),
        "words": Case(asked="", text=""),
        "vectors": Case(blind=True),
    }


def words_of(text: str, most: int = 12) -> list[tuple[str, str]]:
    """(word, the text without it) for the first distinct words, whatever their capitals."""
    words: dict[str, str] = {}
    for word in re.findall(r"\w+", text):
        words.setdefault(word.lower(), word)
    parts = []
    for word in list(words.values())[:most]:
        rest = re.sub(
            rf"\b{re.escape(word)}\b",
            " ",
            text,
            flags=re.I,
        )
        parts.append((word, " ".join(rest.split())))
    return parts
