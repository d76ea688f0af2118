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

CARRIES = 0.01  # what must be lost for a path, or a word, to be said to carry the score: a hundredth in log odds


def choose(
    occlusion: Occlusion,
    linker: Segmenter,
    spot: ExplanationTarget,
    walks: Sequence[NodePath],
    k: int,
) -> tuple[dict[NodePath, PathSupport], list[NodePath], dict[tuple[str, int], float]]:
    """The k paths that carry most, those of a kind that is chosen already at half their worth, and what they carry.

    Returns:
        What each chosen path carries; the chosen paths, the best first; and by edge type and
        row what the score loses without each of their edges alone.
    """
    cuts = [linker.cut(walk) for walk in walks]
    base, *scores = occlusion.scores(spot, [Case(), *map(Case, cuts)]).tolist()
    lost = [base - score for score in scores]
    chosen: list[int] = []
    while len(chosen) < min(k, len(walks)):
        kinds = [walks[n].steps for n in chosen]
        rest = [n for n in range(len(walks)) if n not in chosen]
        # what carries nothing goes last, in the order in which it was found
        chosen.append(
            max(
                rest,
                key=lambda n: (
                    max(lost[n], 0.0) * 0.5 ** kinds.count(walks[n].steps),
                    -n,
                ),
            )
        )
    if not chosen:
        return {}, [], {}
    kept = [walks[n] for n in chosen]
    every = list(
        dict.fromkeys(
            (s[0], row) for w in kept for s, row in zip(w.steps, w.edges, strict=True)
        )
    )
    sides = [
        Case(cuts[n], counted, not counted) for n in chosen for counted in (True, False)
    ]
    singles = [Case(linker.cut(walk, False)) for walk in kept]
    cases = [
        Case(),
        *sides,
        *singles,
        *(Case({name: np.array([row])}) for name, row in every),
    ]
    base, *scores = occlusion.scores(spot, cases).tolist()
    told = [base - score for score in scores]
    guessed = occlusion.estimates(spot, [cuts[n] for n in chosen])
    supports = {}
    for place, (n, guess) in enumerate(zip(chosen, guessed, strict=True)):
        fell = spot.rank(spot.served - lost[n]) - spot.rank(spot.served)
        counted, vectors = told[2 * place : 2 * place + 2]
        single = told[len(sides) + place]
        supports[walks[n]] = PathSupport(
            lost[n], fell, counted, vectors, single, float(guess)
        )
    return (
        supports,
        kept,
        dict(zip(every, told[len(sides) + len(singles) :], strict=True)),
    )


def of_words(
    occlusion: Occlusion, spot: ExplanationTarget
) -> tuple[tuple[Word, ...], dict[str, float]]:
    """The query's and the item's words that carry anything, best first, and what the score's parts carry.

    The item's words are taken out of its own vector, of the match with the query and of the
    likeness to the context items; the messages it sends stay as they are.
    """
    names = occlusion.snapshot.features.names
    facts = {*POPULARITY, WORDS, "history", "items at hand"}
    parts = {
        "paths": Case(
            blank=tuple(
                name
                for name in names
                if name not in facts and not name.startswith(ALIKE)
            )
        ),
        "popularity": Case(blank=tuple(name for name in names if name in POPULARITY)),
        "words": Case(asked="", text=""),
        "vectors": Case(blind=True),
    }
    text = occlusion.item_texts[spot.place.item] if occlusion.model.text else ""
    asked, own = words_of(spot.text), words_of(text)
    cases = [Case(asked=rest) for _, rest in asked] + [
        Case(text=rest) for _, rest in own
    ]
    base, *scores = occlusion.scores(spot, [Case(), *parts.values(), *cases]).tolist()
    lost = dict(zip(parts, (base - s for s in scores), strict=False))
    labels = [(word, "ask") for word, _ in asked] + [(word, "item") for word, _ in own]
    words = [
        Word(*label, base - s)
        for label, s in zip(labels, scores[len(parts) :], strict=True)
    ]
    return tuple(
        sorted((w for w in words if w.lost >= CARRIES), key=lambda w: -w.lost)
    ), lost


def words_of(text: str, most: int = 12) -> list[tuple[str, str]]:
    """(word, the text without it) for each distinct word of a text, whatever its capitals, the first `most`."""
    words: dict[str, str] = {}
    for word in re.findall(r"\w+", text):
        words.setdefault(word.lower(), word)
    found = list(words.values())[:most]
    return [
        (w, " ".join(re.sub(rf"\b{re.escape(w)}\b", " ", text, flags=re.I).split()))
        for w in found
    ]
