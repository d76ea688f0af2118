"""What taking paths out costs: the best and the blind one beside random ones, and all others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eval.studies.explanation_qualities import TrainingFacts
from eval.studies.explanation_summary import Measurements
from fusion.explain.attribution import choose
from fusion.explain.cases import Case, ExplanationTarget
from fusion.explain.explainer import Explainer
from fusion.explain.explanation import Explanation
from fusion.query import Query
from kg.counterfactual.edits import Cut
from kg.pathfinding.search import NodePath

PATHS = 3


def delete_paths(
    explainer: Explainer,
    known: TrainingFacts,
    query: Query,
    made: Explanation,
    found: Measurements,
    rng: np.random.Generator,
    whole: bool,
) -> None:
    """Take the best and the blind path out, and for each a random one; and all but the paths."""
    occlusion, segmenter = explainer.occlusion, explainer.segmenter
    row = explainer.recommender.items.row(made.item.id)
    spot = occlusion.spot(query, row)
    walks = explainer.pool(spot, explainer.matches(spot), 10)
    supports, chosen, _ = choose(occlusion, segmenter, spot, walks, PATHS)
    same = [_others(explainer, spot, walk) for walk in (chosen[0], walks[0])]
    cuts: list[Cut] = [segmenter.cut(chosen[0]), segmenter.cut(walks[0])]
    cuts += [
        segmenter.cut(others[int(rng.integers(len(others)))])
        for others in same
        if others
    ]
    base, *scores = occlusion.scores(spot, [Case(), *map(Case, cuts)]).tolist()
    lost = [base - score for score in scores]
    fell = [spot.rank(spot.served - part) - spot.rank(spot.served) for part in lost]
    found.add(
        lost_best=lost[0], fell_best=fell[0], lost_blind=lost[1], fell_blind=fell[1]
    )
    rest = iter(zip(lost[2:], fell[2:], strict=True))
    for name, others in zip(("best", "blind"), same, strict=True):
        part, places = next(rest) if others else (np.nan, np.nan)
        alike = (
            float(others[0].steps == (chosen if name == "best" else walks)[0].steps)
            if others
            else np.nan
        )
        found.add(
            **{
                f"lost_like_{name}": part,
                f"fell_like_{name}": places,
                f"alike_{name}": alike,
            }
        )
    found.pairs += [(support.estimate, support.lost) for support in supports.values()]
    found.add(
        carried=float(max(s.lost for s in supports.values()) >= 0.01),
        text_weight=made.text_weight,
    )
    found.add(
        **known.qualities(made, spot),
        **{f"without {part}": lost for part, lost in made.parts.items()},
    )
    if whole:
        found.add(**_sufficiency(explainer, spot, chosen))


def _others(
    explainer: Explainer, spot: ExplanationTarget, walk: NodePath
) -> list[NodePath]:
    """Other paths of a path's kind; where there are none, of its length from its source's type."""
    sources = [*explainer.sources(spot), *explainer.matches(spot)]
    every = explainer.search.find(sources, walk.nodes[-1], len(walk.steps), each=50)
    every = [
        w for w in every if len(w.steps) == len(walk.steps) and w.nodes != walk.nodes
    ]
    same = [w for w in every if w.steps == walk.steps]
    return same or [w for w in every if w.nodes[0][0] == walk.nodes[0][0]]


def _sufficiency(
    explainer: Explainer, spot: ExplanationTarget, walks: Sequence[NodePath]
) -> dict[str, float]:
    """What is left, with the paths' edges alone, of what the whole graph adds to the score."""
    graph, kept = explainer.graph, [explainer.segmenter.cut(walk) for walk in walks]
    nothing = {key[1]: np.arange(len(edge)) for key, edge in graph.edges.items()}
    only = dict(nothing)
    for key in graph.edges:
        rows = [cut[key[1]] for cut in kept if key[1] in cut]
        rows += [
            np.array([row])
            for w in walks
            for (n, _), row in zip(w.steps, w.edges, strict=True)
            if n == key[1]
        ]
        if rows:
            only[key[1]] = np.setdiff1d(nothing[key[1]], np.concatenate(rows))
    owners = explainer.segmenter.owners(only)
    base, left, none = explainer.occlusion.scores(
        spot, [Case(), Case(owners), Case(nothing)]
    ).tolist()
    return {"whole": base - none, "left": left - none}
