"""Explain: paths from a query to an item, how much each carries the score, and their sentences."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from fusion.explain.attribution import choose, of_words
from fusion.explain.cases import ExplanationTarget
from fusion.explain.explanation import Explanation, PathSupport, Word
from fusion.explain.matches import TextMatches
from fusion.explain.notes import notes_of
from fusion.explain.occlusion import Occlusion
from fusion.explain.segments import Segmenter
from fusion.explain.sentences import Phrases
from fusion.explain.wording import Wording, edges_of
from fusion.query import Query
from fusion.ranking.ranker import Ranker
from kg.errors import DataError, InputError, StoreError
from kg.pathfinding.search import Node, NodePath, PathSearch
from kg.stores.base import GraphStore
from kg.stores.verify import look_up

POOL = 10  # paths whose support is measured, to choose the shown ones from
# How much dearer a path is that begins at what words are taken to mean: no count of the score
# does.
_MEANT = 10.0
# How much dearer a path is for every path of its kind that is chosen already.
_AGAIN = 2.0


def explain(
    recommender: Ranker,
    query: Query,
    item: str,
    k: int = 3,
    support: bool = True,
    verify: str | GraphStore | bool | None = None,
    language: str = "en",
    phrases: str | Path | None = None,
) -> Explanation:
    """Why an item is where it is in the answer to a query.

    Args:
        recommender: Who answers.
        query: What was asked.
        item: The item's id.
        k: Most paths.
        support: Measure what each path, edge and word carries; without it paths are chosen by
            hops, hubs and times.
        verify: A store, or the address of one, in which every edge is looked up; True means
            the one that the recommender was trained on.
        language: Of the sentences: "en" or "zh".
        phrases: A TOML file with templates of your own.

    Raises:
        DataError: There is no such item, or it is a context item and so never an answer.
        StoreError: The store cannot be read, or nobody knows which one it was.
        InputError: k is below 1, or the language or the file of phrases cannot be used.
    """
    explainer = recommender.derived(Explainer)
    return explainer.explain(
        query,
        item,
        k,
        support,
        verify,
        language,
        phrases,
    )


class Explainer:
    """What explaining needs of one recommender, made once.

    Args:
        recommender: Whose answers.

    Attributes:
        graph: The graph that it learned from.
        occlusion: Scores items again without edges or words.
        segmenter: Takes paths apart.
        search: Finds paths.
    """

    def __init__(self, recommender: Ranker) -> None:
        self.recommender = recommender
        self.graph = recommender.snapshot.graph
        self.occlusion = Occlusion(recommender)
        self.segmenter = Segmenter(self.graph, self.occlusion.recount)
        self.search = PathSearch(self.graph, self.segmenter.blank)

    def explain(
        self,
        query: Query,
        item: str,
        k: int = 3,
        support: bool = True,
        verify: str | GraphStore | bool | None = None,
        language: str = "en",
        phrases: str | Path | None = None,
    ) -> Explanation:
        """As the function of that name."""
        row = self._row(query, item, k)
        speech = Phrases.open(language, self.graph.schema, phrases)
        target = self.occlusion.spot(query, row)
        matches = self.matches(target)
        pool = self.pool(target, matches, POOL if support else k)
        supports: dict[NodePath, PathSupport] = {}
        chosen = pool[:k]
        lost: dict[tuple[str, int], float] = {}
        words: tuple[Word, ...] = ()
        parts: dict[str, float] = {}
        if support:
            supports, chosen, lost = choose(
                self.occlusion,
                self.segmenter,
                target,
                pool,
                k,
            )
            words, parts = of_words(self.occlusion, target)
        wording = Wording(
            self.graph,
            self.segmenter,
            target,
            matches,
            speech,
        )
        paths = [wording.path(path, supports.get(path), lost) for path in chosen]
        if verify:
            edges = edges_of(self.graph, chosen)
            now = look_up(self._store(verify), self.graph.schema, edges)
            paths = [
                wording.checked(told, path, now)
                for told, path in zip(paths, chosen, strict=True)
            ]
        notes = notes_of(
            self.recommender,
            query,
            target,
            paths,
            words,
            parts,
            speech,
        )
        return Explanation(
            query,
            wording.stop((self.graph.item, row)),
            target.served,
            target.rank(target.served),
            tuple(paths),
            float(self.recommender.embeddings.items.share[row]),
            words,
            parts,
            tuple(notes),
        )

    def _row(
        self,
        query: Query,
        item: str,
        k: int,
    ) -> int:
        """The item's row, where it can be explained."""
        if k < 1:
            raise InputError(f"k = {k}: at least 1 path", field="k")
        row = self.recommender.items.row(item)
        if row < 0:
            raise DataError(f"there is no item {item!r} in the catalogue", field="item")
        if item in query.items:
            raise DataError(
                f"item {item!r} is at hand in the query, and such an item is never an answer",
                field="item",
            )
        return row

    def _store(self, verify: str | GraphStore | bool) -> str | GraphStore:
        if not isinstance(verify, bool):
            return verify
        if not self.recommender.store:
            raise StoreError(
                "verify: the run does not say which graph it was trained on; give its address",
                field="verify",
            )
        return self.recommender.store

    @cached_property
    def _matches(self) -> TextMatches:
        return TextMatches(self.recommender)

    def matches(self, target: ExplanationTarget) -> list[Node]:
        """What the query's words may mean: the nodes whose text matches them best."""
        return self._matches.of(target.text, (self.graph.item, target.place.item))

    def sources(self, target: ExplanationTarget) -> list[Node]:
        """The query's items and user as nodes."""
        sources: list[Node] = [
            (self.graph.item, int(row)) for row in target.place.context
        ]
        if target.place.user >= 0 and self.graph.user:
            sources.append((self.graph.user, target.place.user))
        return sources

    def pool(
        self,
        target: ExplanationTarget,
        matches: Sequence[Node],
        count: int,
    ) -> list[NodePath]:
        """Paths to choose from: from the user and context, over few hubs, often, of many kinds."""
        own = self.sources(target)
        end = (self.graph.item, target.place.item)
        found = self.search.find([*own, *matches], end)
        meant = set(matches) - set(own)
        cost = {
            id(path): path.cost
            - float(np.log(path.times))
            + _MEANT * (path.nodes[0] in meant)
            for path in found
        }
        chosen: list[NodePath] = []
        kinds: dict[tuple[tuple[str, bool], ...], int] = {}

        def dear(path: NodePath) -> float:
            return cost[id(path)] + _AGAIN * kinds.get(path.steps, 0)

        while found and len(chosen) < count:
            best = min(found, key=dear)
            found.remove(best)
            chosen.append(best)
            kinds[best.steps] = kinds.get(best.steps, 0) + 1
        return chosen
