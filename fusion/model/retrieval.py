"""Retrieval: the candidates that the features, the vector search and popularity bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from fusion.model.feature import Feature
from fusion.query_batch import QueryTensors

COLD_CANDIDATES = 20  # candidates from among the cold items, which few counts can bring
POPULAR_CANDIDATES = 40  # at most, by each measure of popularity


class Retrieval:
    """Gathers the candidates of queries.

    Args:
        features: In order.
        popularity: (I,) each; the most popular by each of them are candidates of all queries.
    """

    def __init__(
        self, features: Sequence[Feature], popularity: Sequence[Tensor]
    ) -> None:
        self.features = features
        self.items, self.device = len(popularity[0]), popularity[0].device
        self.cold_items = (popularity[0] == 0).nonzero().squeeze(1)
        self._popular = [
            counts.argsort(descending=True, stable=True) for counts in popularity
        ]

    def __call__(
        self,
        batch: QueryTensors,
        found: Mapping[str, Tensor],
        each: int,
        extra: Tensor | None,
    ) -> Tensor:
        """(B, C) candidate rows ascending, each once, -1 where a query has fewer than C.

        Args:
            batch: B queries.
            found: By feature, (B, I) what it says of every item; of what is no answer it is
                set to 0.
            each: How many items a feature brings.
            extra: (B, X) further candidates.
        """
        each = min(each, self.items)
        parts = [] if extra is None else [extra]
        owners, items = batch.excluded_owners, batch.excluded
        # What is no answer takes no candidate's place.
        for scores in found.values():
            scores[owners, items] = 0
        for feature in self.features:
            if feature.name not in found:
                continue
            scores = found[feature.name]
            if feature.retrieves:
                parts.append(self._strongest(scores, each))
            if feature.retrieves_cold:
                parts.append(self._strongest_cold(scores, each))
        excluded = torch.zeros(
            len(batch), self.items + 1, dtype=torch.bool, device=self.device
        )
        excluded[owners, items] = True
        parts += self._most_popular(batch, excluded, each)
        rows = torch.cat(parts, 1)
        rows = rows.masked_fill(excluded.gather(1, rows), self.items)
        return self._distinct(rows)

    def _strongest(self, scores: Tensor, each: int) -> Tensor:
        best = scores.topk(each, sorted=False)
        return torch.where(best.values > 0, best.indices, self.items)

    def _strongest_cold(self, scores: Tensor, each: int) -> Tensor:
        count = min(COLD_CANDIDATES, each, len(self.cold_items))
        best = scores[:, self.cold_items].topk(count, sorted=False)
        return torch.where(best.values > 0, self.cold_items[best.indices], self.items)

    def _most_popular(
        self,
        batch: QueryTensors,
        excluded: Tensor,
        each: int,
    ) -> list[Tensor]:
        """The most popular of what is not excluded, by each measure."""
        count = min(each, POPULAR_CANDIDATES)
        many = torch.bincount(batch.excluded_owners, minlength=1)
        most = int(many.max())
        found = []
        for order in self._popular:
            popular = order[: count + most]
            free = ~excluded[:, popular]
            chosen = free & (free.cumsum(1) <= count)
            found.append(torch.where(chosen, popular, self.items))
        return found

    def _distinct(self, rows: Tensor) -> Tensor:
        """Each row once, ascending; I stands for none, and -1 in what is returned."""
        rows = rows.sort(1).values
        again = rows[:, 1:] == rows[:, :-1]
        rows[:, 1:].masked_fill_(again, self.items)
        rows = rows.sort(1).values
        counts = (rows < self.items).sum(1)
        most = max(int(counts.max()), 1)
        rows = rows[:, :most]
        return rows.masked_fill(rows == self.items, -1)
