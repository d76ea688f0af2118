"""Ranker: the one object that is evaluated and served: vectors, counts and scores."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fusion.model.hybrid import Hybrid
from fusion.model.inputs import encode_words
from fusion.model.nodes import EmbeddingCache
from fusion.model.scores import QueryVectors, Scores
from fusion.model.snapshot import GraphSnapshot, NodeTexts
from fusion.query import Constraints, Query, Recommendation
from fusion.query_batch import QueryBatch, Ragged
from fusion.ranking.filters import Facts
from kg.graph import build_graph
from kg.metapaths.count import PathCounts
from kg.tables import IntArray, Tables

ANYTHING = Constraints()
WORDS_KEPT = 10_000  # queries whose vectors are kept
T = TypeVar("T")


class Ranker:
    """Ranks one catalogue for queries: the state and the scores that everything is built on.

    What it does not know is no error: an unknown user is an anonymous user, unknown items
    at hand are passed over, and a query of which nothing is known is answered by recent
    popularity.

    Args:
        model: Trained.
        world: The training graph.
        bank: The vectors of its items and users.
        tables: The training tables.
        counts: Its metapath counts.
    """

    name = "hybrid"
    store = ""  # the address of the graph that it was trained on, where that is known

    def __init__(
        self,
        model: Hybrid,
        snapshot: GraphSnapshot,
        embeddings: EmbeddingCache,
        tables: Tables,
        counts: PathCounts,
    ) -> None:
        # By column, one query's product with every item takes a third of the time.
        self.embeddings = replace(
            embeddings,
            items=embeddings.items._replace(
                fused=embeddings.items.fused.T.contiguous().T
            ),
        )
        self.model, self.snapshot, self.tables, self.counts = (
            model.eval(),
            snapshot,
            tables,
            counts,
        )
        self.items = snapshot.graph.vocabs[snapshot.item]
        self.facts = Facts(tables)
        self._words: dict[str, Tensor] = {}
        self._titles = tables.titles(snapshot.item)
        self._derived: dict[Callable[..., Any], Any] = {}

    @classmethod
    def assemble(
        cls,
        model: Hybrid,
        tables: Tables,
        counts: PathCounts,
        device: torch.device | str,
        embeddings: EmbeddingCache | None = None,
        seen: Tensor | None = None,
    ) -> Self:
        """Put a trained model and its tables together.

        Args:
            model: Trained.
            tables: The training tables.
            counts: Their metapath counts.
            device: Where tensors live.
            embeddings: Of the items and users; computed anew where None.
            seen: As in GraphSnapshot.
        """
        config, texts, device = model.config, NodeTexts.of(tables), torch.device(device)
        snapshot = GraphSnapshot(
            build_graph(tables),
            counts,
            texts,
            config,
            device,
            seen,
        )
        if embeddings is None:
            vectors = (
                model.text.encode_table(model.text.table(texts.texts))
                if model.text is not None
                else None
            )
            embeddings = model.encode(snapshot, vectors)
        return cls(model, snapshot, embeddings, tables, counts)

    def derived(self, make: Callable[[Ranker], T]) -> T:
        """What `make` learns from this ranker, made on first use and kept.

        It is given a weak reference: a cycle would keep both until the next full collection,
        and a server can go for hours without one.
        """
        if make not in self._derived:
            self._derived[make] = make(weakref.proxy(self))
        found: T = self._derived[make]
        return found

    def title(self, row: int) -> str:
        """What people read of an item."""
        return self._titles[row]

    def answer(self, query: Query) -> list[Recommendation]:
        """The k best items for any query, best first; fewer where the catalogue or the constraints leave fewer."""
        queries = self.queries([query])
        found = self.scores(queries)
        rows, scores = found.rows[0].cpu().numpy(), found.score[0].cpu().numpy()
        fits = np.flatnonzero(rows >= 0)
        if len(fits) < query.k or not queries.has_input(self.model.config.uses_bm25)[0]:
            return self._top(self._ranked(queries, found), query.k, ANYTHING)
        best = fits[
            np.argsort(-scores[fits], kind="stable")[: query.k]
        ]  # candidates come before all others
        return self._listed(rows[best], scores[best])

    def ranking(self, query: Query) -> npt.NDArray[np.float64]:
        """(I,) a score for every item, -inf for those at hand and those that query.where leaves out."""
        return self._ranked(self.queries([query]))

    def _ranked(
        self, queries: QueryBatch, found: Scores | None = None
    ) -> npt.NDArray[np.float64]:
        scores: npt.NDArray[np.float64] = self.score(queries, found)[0].astype(
            np.float64
        )
        scores[queries.excluded[0]] = -np.inf
        return scores

    def queries(self, queries: Sequence[Query]) -> QueryBatch:
        """Ids to rows; what is unknown is left out, and what the constraints leave out is masked."""
        rows = [self._user(a.user) for a in queries]
        items = [
            [row for row in dict.fromkeys(map(self.items.row, a.items)) if row >= 0]
            for a in queries
        ]
        texts = [a.text or "" for a in queries]
        exclude = None
        if any(a.where != ANYTHING for a in queries):
            # Excluded before retrieval, so that it takes no candidate's place.
            exclude = Ragged.of(
                [np.flatnonzero(~self.allowed(a.where, a.user)) for a in queries]
            )
        return QueryBatch.of(rows, Ragged.of(items), texts, exclude)

    def _user(self, user: str | None) -> int:
        return (
            self.snapshot.graph.vocabs[self.snapshot.user].row(user)
            if self.snapshot.user and user is not None
            else -1
        )

    @torch.inference_mode()
    def scores(self, queries: QueryBatch) -> Scores:
        """The candidates of B queries and their scores, with everything these are made of."""
        return self.model.score(
            self.snapshot,
            queries,
            self.embeddings.items,
            self.embeddings.users,
            self.words(queries),
        )

    def query_vectors(self, queries: QueryBatch) -> QueryVectors:
        """What is known of B queries as vectors."""
        items, users = self.embeddings.items, self.embeddings.users
        return self.model.query_vectors(queries, items, users, self.words(queries))

    def words(self, queries: QueryBatch) -> Tensor:
        """(B, D) vectors of the queries' words; those of the latest words are kept, since people ask alike."""
        new = [b for b, text in enumerate(queries.texts) if text not in self._words]
        if len(self._words) + len(new) > WORDS_KEPT:
            self._words, new = {}, list(range(len(queries)))
        if new:
            found = encode_words(
                self.model, queries.take(np.array(new)), self.snapshot.device
            )
            self._words.update(
                (queries.texts[b], vector) for b, vector in zip(new, found, strict=True)
            )
        return torch.stack([self._words[text] for text in queries.texts])

    def score(
        self, queries: QueryBatch, found: Scores | None = None
    ) -> npt.NDArray[np.float32]:
        """(B, I) a score for every item: the candidates by the full score, below them the rest by vector alone."""
        found = self.scores(queries) if found is None else found
        present = found.rows >= 0
        lowest = torch.where(present, found.score, torch.inf).amin(1, keepdim=True)
        rest = found.vector - found.vector.amax(1, keepdim=True) - 1
        out = torch.where(lowest.isfinite(), lowest, 0.0) + rest.nan_to_num(
            nan=-1e6, neginf=-1e6
        )
        owner = torch.arange(len(out), device=out.device)[:, None].expand_as(
            found.rows
        )[present]
        out[owner, found.rows[present]] = found.score[present]
        known = queries.has_input(self.model.config.uses_bm25)
        if not known.all():
            popular = (
                self.counts.item["recent popularity"]
                + 1e-6 * self.counts.item["popularity"]
            )
            out[torch.as_tensor(~known, device=out.device)] = torch.as_tensor(
                popular
            ).to(out)
        array: npt.NDArray[np.float32] = out.float().cpu().numpy()
        return array

    def _top(
        self, scores: npt.NDArray[np.floating], k: int, where: Constraints
    ) -> list[Recommendation]:
        scores = np.where(self.allowed(where), scores, -np.inf)
        k = min(k, int(np.isfinite(scores).sum()))
        rows = np.flatnonzero(
            scores >= (np.partition(scores, -k)[-k] if k else np.inf)
        )  # sorting all takes long
        rows = rows[np.argsort(-scores[rows], kind="stable")][:k]
        return self._listed(rows, scores[rows])

    def _listed(
        self, rows: IntArray, scores: npt.NDArray[np.floating]
    ) -> list[Recommendation]:
        share = self.embeddings.items.share.cpu().numpy()
        return [
            Recommendation(
                self.items.key(int(row)),
                self._titles[row],
                float(score),
                float(share[row]),
            )
            for row, score in zip(rows, scores, strict=True)
        ]

    def allowed(
        self, where: Constraints, user: str | None = None
    ) -> npt.NDArray[np.bool_]:
        """(I,) which items the constraints leave to a user; DataError where one names what is not there."""
        allowed = self.facts.allowed(where)
        if where.exclude_seen:
            allowed[self.counts.taken(self._user(user))] = False
        return allowed
