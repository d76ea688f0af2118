"""Explain: paths from a query to an item, how much each carries the score, and what they say in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from fusion.explain.attribution import CARRIES, choose, of_words
from fusion.explain.cases import ExplanationTarget
from fusion.explain.explanation import (
    Explanation,
    GraphPath,
    PathEdge,
    PathSupport,
    Stop,
    Word,
)
from fusion.explain.notes import unknown
from fusion.explain.occlusion import Occlusion
from fusion.explain.segments import Segment, Segmenter
from fusion.explain.sentences import Clause, Phrases
from fusion.model.bm25 import Lexical, telling
from fusion.query import Query
from fusion.ranking.ranker import Ranker
from kg.errors import DataError, InputError, StoreError
from kg.pathfinding.search import Node, NodePath, PathSearch
from kg.stores.base import GraphStore
from kg.stores.cypher import path_query
from kg.stores.verify import Edge, look_up

POOL = 10  # paths whose support is measured, to choose the shown ones from
MATCHES = 3  # nodes of a type that words are taken to mean
_MEANT = 10.0  # how much dearer a path is that begins at what words are taken to mean: no count of the score does
_AGAIN = (
    2.0  # how much dearer a path is for every path of its kind that is chosen already
)


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
        ask: What was asked.
        item: The item's id.
        k: Most paths.
        support: Measure what each path, edge and word carries; without it paths are chosen by
            hops, hubs and times.
        verify: A store, or the address of one, in which every edge is looked up; True means
            the one that the recommender was trained on.
        language: Of the sentences: "en" or "zh".
        phrases: A TOML file with templates of your own.

    Raises:
        DataError: There is no such item, or it is at hand in the query and so never an answer.
        StoreError: The store cannot be read, or nobody knows which one it was.
        InputError: The language or the file of phrases cannot be used.
        ValueError: k is below 1.
    """
    return recommender.derived(Explainer).explain(
        query, item, k, support, verify, language, phrases
    )


class Explainer:
    """What explaining needs of one recommender, made once.

    Args:
        recommender: Whose answers.
    """

    def __init__(self, recommender: Ranker) -> None:
        self.recommender, self.graph = recommender, recommender.snapshot.graph
        self.occlusion = Occlusion(recommender)
        self.linker = Segmenter(self.graph, self.occlusion.recount)
        self.walks = PathSearch(self.graph, self.linker.blank)

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
        if k < 1:
            raise InputError(f"k = {k}: at least 1 path", field="k")
        row = self.recommender.items.row(item)
        if row < 0:
            raise DataError(f"there is no item {item!r} in the catalogue", field="item")
        if item in query.items:
            raise DataError(
                f"item {item!r} is at hand in the ask, and what is at hand is never an answer",
                field="item",
            )
        said = Phrases.open(language, self.graph.schema, phrases)
        spot = self.occlusion.spot(query, row)
        matches = self.matches(spot)
        walks = self.pool(spot, matches, POOL if support else k)
        supports: dict[NodePath, PathSupport] = {}
        chosen = walks[:k]
        lost: dict[tuple[str, int], float] = {}
        words: tuple[Word, ...] = ()
        parts: dict[str, float] = {}
        if support:
            supports, chosen, lost = choose(self.occlusion, self.linker, spot, walks, k)
            words, parts = of_words(self.occlusion, spot)
        paths = [
            self._path(spot, w, said, matches, supports.get(w), lost) for w in chosen
        ]
        now = (
            look_up(self._store(verify), self.graph.schema, self._edges_of(chosen))
            if verify
            else {}
        )
        paths = [self._checked(p, w, now) for p, w in zip(paths, chosen, strict=True)]
        notes = self._notes(query, spot, paths, words, parts, said)
        target = self._stop((self.graph.item, row), said)
        share = float(self.recommender.embeddings.items.share[row])
        found = tuple(paths), share, words, parts, tuple(notes)
        return Explanation(query, target, spot.served, spot.rank(spot.served), *found)

    def _store(self, verify: str | GraphStore | bool) -> str | GraphStore:
        if not isinstance(verify, bool):
            return verify
        if not self.recommender.store:
            raise StoreError(
                "verify: the run does not say which graph it was trained on; give its address"
            )
        return self.recommender.store

    def _notes(
        self,
        query: Query,
        spot: ExplanationTarget,
        paths: Sequence[GraphPath],
        words: Sequence[Word],
        parts: dict[str, float],
        said: Phrases,
    ) -> list[str]:
        notes, rank = unknown(self.recommender, query, said), spot.rank(spot.served)
        if not spot.returned:
            notes.append(said.note("left_out"))
        elif rank > query.k:
            notes.append(
                said.note(
                    "not_among" if spot.candidate else "not_found",
                    str(query.k),
                    f"{rank:,}",
                )
            )
        if not paths:
            notes.append(said.note("none"))
        best = max((p.support.lost for p in paths if p.support), default=0.0)
        if parts:
            if paths and best < CARRIES:
                notes.append(said.note("nothing", f"{CARRIES:g}"))
            telling = max(
                ("words", "popularity", "vectors"), key=lambda part: parts[part]
            )
            if telling == "words" and parts["words"] > max(best, CARRIES):
                telling_words = {
                    w.word.lower(): said.quote(w.word)
                    for w in words
                    if 10 * w.lost >= words[0].lost
                }
                listed = ", ".join(list(telling_words.values())[:3])
                notes.append(
                    said.note("by_words", listed)
                    if listed
                    else said.note("by_all_words")
                )
            elif best < CARRIES <= parts[telling]:
                notes.append(said.note(f"by_{telling}"))
        moved = {
            (edge.relation, frozenset(ends)): None
            for path in paths
            for edge, *ends in zip(path.edges, path.nodes, path.nodes[1:], strict=False)
            if edge.now in {"gone", "changed"}
        }
        if moved:
            notes.append(
                said.note(
                    "moved",
                    str(len(moved)),
                    ", ".join(dict.fromkeys(name for name, _ in moved)),
                )
            )
        return notes

    def matches(self, spot: ExplanationTarget) -> list[Node]:
        """What the query's words may mean: the attributes and items whose text matches them best."""
        found: list[tuple[float, Node]] = []
        for kind, lexical in self._texts.items() if spot.text.strip() else []:
            scores = (
                lexical(
                    [telling(spot.text)], self.occlusion.recommender.snapshot.device
                )[0]
                .cpu()
                .numpy()
            )
            best = np.argsort(-scores, kind="stable")[:MATCHES]
            found += [
                (float(scores[row]), (kind, int(row)))
                for row in best
                if scores[row] > 0
            ]
        top = max((score for score, _ in found), default=0.0)
        return [
            node
            for score, node in found
            if score >= top / 2 and node != (self.graph.item, spot.place.item)
        ]

    @cached_property
    def _texts(self) -> dict[str, Lexical]:
        named = {
            n.name
            for n in self.graph.schema.nodes
            if n.role in {"attribute", "item"} and n.text
        }
        kept = self.recommender.snapshot.features.lexical
        found = (
            {}
            if kept is None or self.graph.item not in named
            else {self.graph.item: kept}
        )
        texts = {
            kind: self.recommender.tables.texts(kind)
            for kind in self.graph.vocabs
            if kind in named - {*found}
        }
        made = {
            kind: Lexical(every) for kind, every in texts.items() if Lexical.fits(every)
        }
        return {
            kind: lexical
            for kind in self.graph.vocabs
            if (lexical := {**found, **made}.get(kind))
        }

    def sources(self, spot: ExplanationTarget) -> list[Node]:
        """The query's items and user as nodes."""
        sources: list[Node] = [
            (self.graph.item, int(row)) for row in spot.place.context
        ]
        if spot.place.user >= 0 and self.graph.user:
            sources.append((self.graph.user, spot.place.user))
        return sources

    def pool(
        self, spot: ExplanationTarget, matches: Sequence[Node], count: int
    ) -> list[NodePath]:
        """Paths to choose from: from the user and what is at hand, over few hubs, many times, of many kinds."""
        found = self.walks.find(
            [*self.sources(spot), *matches], (self.graph.item, spot.place.item)
        )
        chosen: list[NodePath] = []
        seen: dict[tuple[tuple[str, bool], ...], int] = {}
        meant = set(matches) - set(self.sources(spot))
        dear = {
            id(w): w.cost - float(np.log(w.times)) + _MEANT * (w.nodes[0] in meant)
            for w in found
        }
        while found and len(chosen) < count:
            best = min(found, key=lambda w: dear[id(w)] + _AGAIN * seen.get(w.steps, 0))
            found.remove(best)
            chosen.append(best)
            seen[best.steps] = seen.get(best.steps, 0) + 1
        return chosen

    def _stop(self, node: Node, said: Phrases) -> Stop:
        kind, row = node
        key = self.graph.vocabs[kind].key(row)
        title = self.graph.titles[kind][row] if kind in self.graph.titles else key
        named = title != key or self._is_attribute(
            kind
        )  # an attribute's id is its name: sentences say its type
        return Stop(kind, key, title if named else said.nameless(kind, key))

    def _is_attribute(self, kind: str) -> bool:
        return self.graph.schema.node(kind).role == "attribute"

    def _path(
        self,
        spot: ExplanationTarget,
        walk: NodePath,
        said: Phrases,
        matches: Sequence[Node],
        support: PathSupport | None,
        lost: dict[tuple[str, int], float],
    ) -> GraphPath:
        nodes = tuple(self._stop(node, said) for node in walk.nodes)
        edges = []
        for (name, back), row, edge in zip(
            walk.steps, walk.edges, self._edges_of([walk]), strict=True
        ):
            time = None if edge.time is None or np.isnan(edge.time) else edge.time
            when = said.when(time, self.graph.schema.edge(name).time)
            edges.append(PathEdge(name, back, time, lost.get((name, row)), when=when))
        clauses = [
            self._clause(spot, walk, link, said) for link in self.linker.links(walk)
        ]
        first = self._called(spot, walk.nodes[0], said)
        before = said.note("words", first) if walk.nodes[0] in matches else ""
        query = path_query(
            self.graph.schema, [(n.type, n.id) for n in nodes], walk.steps
        )
        return GraphPath(
            nodes,
            tuple(edges),
            walk.times,
            walk.cost,
            said.sentence(clauses, before),
            query,
            support,
        )

    def _clause(
        self, spot: ExplanationTarget, walk: NodePath, link: Segment, said: Phrases
    ) -> Clause:
        name, back = walk.steps[link.first]
        time = None
        if link.kind == "took":
            own = self.linker.takings(link.a[1], link.b[1])
            times = self.graph.events.time[own]
            time = None if np.isnan(times).all() else float(np.nanmax(times))
        a, b = (self._called(spot, node, said) for node in (link.a, link.b))
        return Clause(
            link.kind,
            a,
            b,
            link.a[0],
            link.b[0],
            name,
            back,
            link.times,
            time,
            self._unit,
        )

    @cached_property
    def _unit(self) -> str:
        """What times are called."""
        dated = [
            e.time
            for role in ("interaction", "membership")
            for e in self.graph.schema.edges
            if e.role == role
        ]
        return next((time for time in dated if time), "")

    def _called(self, spot: ExplanationTarget, node: Node, said: Phrases) -> str:
        kind, row = node
        stop = self._stop(node, said)
        titled = kind in self.graph.titles and self.graph.titles[kind][row] != stop.id
        name = (
            said.quote(stop.title) if titled or self._is_attribute(kind) else stop.title
        )
        return (
            said.at_hand(name)
            if kind == self.graph.item and row in spot.place.context
            else name
        )

    def _edges_of(self, walks: Sequence[NodePath]) -> list[Edge]:
        found = []
        for walk in walks:
            for (name, back), row, here, there in zip(
                walk.steps, walk.edges, walk.nodes, walk.nodes[1:], strict=False
            ):
                tail, head = (there, here) if back else (here, there)
                edge, kind = (
                    self.graph.edges[(tail[0], name, head[0])],
                    self.graph.schema.edge(name),
                )
                source, target = (
                    self.graph.vocabs[end].key(n) for end, n in (tail, head)
                )
                weight = float(edge.weight[row]) if kind.weight else None
                found.append(
                    Edge(
                        name,
                        source,
                        target,
                        weight,
                        float(edge.time[row]) if kind.time else None,
                    )
                )
        return found

    def _checked(
        self, path: GraphPath, walk: NodePath, now: dict[Edge, str]
    ) -> GraphPath:
        edges = self._edges_of([walk])
        return replace(
            path,
            edges=tuple(
                replace(p, now=now.get(e, ""))
                for p, e in zip(path.edges, edges, strict=True)
            ),
        )
