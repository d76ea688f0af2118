"""Set scorer: the model's own score among a few hundred items, for many sets of them at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from fusion.model import feature
from fusion.model.features import describe
from fusion.model.nodes import Nodes
from fusion.query_batch import QueryBatch, Ragged
from fusion.ranking.ranker import Ranker
from kg.tables import FloatArray, IntArray


class SetScorer:
    """P items of a catalogue, and score(item | set of others, user, words) for each of them.

    The scores are those of `Ranker.scores`, item for item. They are quick because the vectors
    and the features are cut down to the P items once.

    Args:
        recommender: Whose scores.
        rows: P distinct item rows.
        user: A user's row, -1 where nobody is known.
        text: Words, "" where there are none.

    Attributes:
        place: By item row, its place in the pool.
        bias: (P,) added to the items' scores.
        pair: (P, P) the least of the rows of the context items is added; (0, 0) for nothing.
    """

    @torch.inference_mode()
    def __init__(
        self,
        recommender: Ranker,
        rows: IntArray,
        user: int = -1,
        text: str = "",
    ) -> None:
        self.recommender, self.rows = recommender, rows
        self.place = {row: place for place, row in enumerate(rows.tolist())}
        self.bias: FloatArray = np.zeros(len(rows))
        self.pair: FloatArray = np.zeros((0, 0))
        self._device = recommender.snapshot.device
        at = torch.as_tensor(rows, device=self._device)
        embeddings = recommender.embeddings
        self._known = user >= 0 and len(embeddings.users.fused) > 0
        users = [user] if self._known else []
        self._items = Nodes(*(part[at] for part in embeddings.items))
        self._users = Nodes(*(part[users] for part in embeddings.users))
        query = QueryBatch.of([user], texts=[text])
        self._words = recommender.words(query)
        features = recommender.snapshot.features.features
        pool = feature.Pool(at, query.to(self._device))
        self._features = [one.among(pool) for one in features]

    @torch.inference_mode()
    def score(
        self, sets: Sequence[Sequence[int]], only: IntArray | None = None
    ) -> FloatArray:
        """(B, P) the score of every item of the pool beside each set; -inf for the set's own.

        Args:
            sets: B sets of places.
            only: (B, C) places to score, some perhaps twice; -inf for all others. Every place
                where None.
        """
        count, size, model = len(sets), len(self.rows), self.recommender.model
        nobody = np.full(count, 0 if self._known else -1)
        queries = QueryBatch.of(nobody, Ragged.of([list(places) for places in sets]))
        batch = queries.to(self._device)
        every = np.tile(np.arange(size), (count, 1))
        rows = torch.as_tensor(every if only is None else only, device=self._device)
        words = self._words.expand(count, -1)
        query = model.query_vectors(
            queries,
            self._items,
            self._users,
            words,
        )
        phi = None
        if model.head is not None:
            phi = describe(
                self._features,
                batch,
                rows,
                {},
            )
        score = model.score_rows(
            query,
            self._items,
            rows,
            phi,
        ).float()
        out = torch.full((count, size), -torch.inf, device=self._device)
        out.scatter_(1, rows, score)
        out[batch.excluded_owners, batch.excluded] = -torch.inf
        scores: FloatArray = out.cpu().numpy().astype(np.float64) + self.bias
        if len(self.pair):
            for b, places in enumerate(sets):
                if len(places):
                    scores[b] += self.pair[list(places)].min(0)
        return scores
