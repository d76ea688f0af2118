"""Ranker: the one object that is evaluated and served, from ids to answers."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Self, TypeAlias, TypeVar

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
FloatScores: TypeAlias = npt.NDArray[np.float64]


class Ranker:
    """Ranks one catalogue for queries: the state and the scores that everything is built on.

    An answer is made in five steps: ids become rows (`queries`), words become vectors
    (`words`), the model brings candidates and scores them (`scores`), and the best that may be
    returned become recommendations (`answer`).

    What it does not know is no error: an unknown user is an anonymous user, unknown context
    items are passed over, and a query of which nothing is known is answered by recent
    popularity.

    Args:
        model: Trained.
        snapshot: Of the training graph.
        embeddings: The vectors of its items and users.
        tables: The training tables.
        counts: Their metapath counts.

    Attributes:
        items: The items' ids.
        facts: What is known of each item by name, for constraints.
        store: The address of the graph that it was trained on, where that is known.
    """

    name = "hybrid"
    store = ""

    def __init__(
        self,
        model: Hybrid,
        snapshot: GraphSnapshot,
        embeddings: EmbeddingCache,
        tables: Tables,
        counts: PathCounts,
    ) -> None:
        # By column, one query's product with every item takes a third of the time.
        fused = embeddings.items.fused.T.contiguous().T
        by_column = embeddings.items._replace(fused=fused)
        self.embeddings = replace(embeddings, items=by_column)
        self.model = model.eval()
        self.snapshot = snapshot
        self.tables = tables
        self.counts = counts
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
        texts, device = NodeTexts.of(tables), torch.device(device)
        graph = build_graph(tables)
        snapshot = GraphSnapshot(
            graph,
            counts,
            texts,
            model.config,
            device,
            seen,
        )
        if embeddings is None:
            vectors = None
            if model.text is not None:
                vectors = model.text.encode_table(model.text.table(texts.texts))
            embeddings = model.encode(snapshot, vectors)
        return cls(
            model,
            snapshot,
            embeddings,
            tables,
            counts,
        )

    def derived(self, make: Callable[[Ranker], T]) -> T:
        """What `make` learns from this ranker, made on first use and kept.

        It is given a weak reference: a cycle would keep both until the next full collection,
        and a server can go for hours without one.
        """
        if make not in self._derived:
            self._derived[make] = make(weakref.proxy(self))
        derived: T = self._derived[make]
        return derived

    def title(self, row: int) -> str:
        """What people read of an item."""
        return self._titles[row]

    def answer(self, query: Query) -> list[Recommendation]:
        """The k best items for any query, best first; fewer where fewer may be returned."""
        queries = self.queries([query])
        found = self.scores(queries)
        rows, scores = found.rows[0].cpu().numpy(), found.score[0].cpu().numpy()
        candidates = np.flatnonzero(rows >= 0)
        # All candidates come before all other items, so they are enough as a rule.
        if len(candidates) >= query.k and self._has_input(queries)[0]:
            order = np.argsort(-scores[candidates], kind="stable")
            best = candidates[order[: query.k]]
            return self._listed(rows[best], scores[best])
        return self._top(self._ranked(queries, found), query.k, ANYTHING)

    def ranking(self, query: Query) -> FloatScores:
        """(I,) a score for every item, -inf for those that may not be returned."""
        queries = self.queries([query])
        return self._ranked(queries, self.scores(queries))

    def _ranked(self, queries: QueryBatch, found: Scores) -> FloatScores:
        scores: FloatScores = self.score(queries, found)[0].astype(np.float64)
        scores[queries.excluded[0]] = -np.inf
        return scores

    def queries(self, queries: Sequence[Query]) -> QueryBatch:
        """Ids to rows; what is unknown is left out, what the constraints forbid is excluded."""
        users = [self._user(query.user) for query in queries]
        context = Ragged.of([self._known(query.items) for query in queries])
        texts = [query.text or "" for query in queries]
        exclude = None
        if any(query.where != ANYTHING for query in queries):
            # Excluded before retrieval, so that it takes no candidate's place.
            allowed = [self.allowed(query.where, query.user) for query in queries]
            exclude = Ragged.of([np.flatnonzero(~some) for some in allowed])
        return QueryBatch.of(
            users,
            context,
            texts,
            exclude,
        )

    def _user(self, user: str | None) -> int:
        """A user's row, -1 of nobody and of somebody unknown."""
        if not self.snapshot.user or user is None:
            return -1
        return self.snapshot.graph.vocabs[self.snapshot.user].row(user)

    def _known(self, ids: Sequence[str]) -> list[int]:
        """The rows of those items that are known, each once."""
        rows = dict.fromkeys(map(self.items.row, ids))
        return [row for row in rows if row >= 0]

    def words(self, queries: QueryBatch) -> Tensor:
        """(B, D) vectors of the queries' words; the latest are kept, since people ask alike."""
        new = [b for b, text in enumerate(queries.texts) if text not in self._words]
        if len(self._words) + len(new) > WORDS_KEPT:
            self._words, new = {}, list(range(len(queries)))
        if new:
            some = queries.take(np.array(new))
            vectors = encode_words(self.model, some, self.snapshot.device)
            self._words.update(zip(some.texts, vectors, strict=True))
        return torch.stack([self._words[text] for text in queries.texts])

    @torch.inference_mode()
    def scores(self, queries: QueryBatch) -> Scores:
        """The candidates of B queries and their scores, with everything these are made of."""
        items, users = self.embeddings.items, self.embeddings.users
        words = self.words(queries)
        return self.model.score(
            self.snapshot,
            queries,
            items,
            users,
            words,
        )

    def query_vectors(self, queries: QueryBatch) -> QueryVectors:
        """What is known of B queries as vectors."""
        items, users = self.embeddings.items, self.embeddings.users
        return self.model.query_vectors(
            queries,
            items,
            users,
            self.words(queries),
        )

    def score(
        self, queries: QueryBatch, found: Scores | None = None
    ) -> npt.NDArray[np.float32]:
        """(B, I) a score for every item: candidates in full, below them the rest by vector."""
        found = self.scores(queries) if found is None else found
        present = found.rows >= 0
        lowest = torch.where(present, found.score, torch.inf).amin(1, keepdim=True)
        lowest = torch.where(lowest.isfinite(), lowest, 0.0)
        rest = found.vector - found.vector.amax(1, keepdim=True) - 1
        out = lowest + rest.nan_to_num(nan=-1e6, neginf=-1e6)
        lines = torch.arange(len(out), device=out.device)[:, None]
        owner = lines.expand_as(found.rows)[present]
        out[owner, found.rows[present]] = found.score[present]
        silent = ~self._has_input(queries)
        if silent.any():
            recent = self.counts.item["recent popularity"]
            popular = recent + 1e-6 * self.counts.item["popularity"]
            where = torch.as_tensor(silent, device=out.device)
            out[where] = torch.as_tensor(popular).to(out)
        array: npt.NDArray[np.float32] = out.float().cpu().numpy()
        return array

    def _has_input(self, queries: QueryBatch) -> npt.NDArray[np.bool_]:
        return queries.has_input(self.model.config.uses_bm25)

    def _top(
        self,
        scores: npt.NDArray[np.floating],
        k: int,
        where: Constraints,
    ) -> list[Recommendation]:
        scores = np.where(self.allowed(where), scores, -np.inf)
        k = min(k, int(np.isfinite(scores).sum()))
        # Only what reaches the k-th score is sorted: sorting all takes long.
        least = np.partition(scores, -k)[-k] if k else np.inf
        rows = np.flatnonzero(scores >= least)
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
        """(I,) which items the constraints leave to a user.

        Raises:
            DataError: A constraint names what is not there.
        """
        allowed = self.facts.allowed(where)
        if where.exclude_seen:
            allowed[self.counts.interacted(self._user(user))] = False
        return allowed
