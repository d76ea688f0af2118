"""Feature: one column of what is counted of a query and an item, and the kinds of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fusion.model.bm25 import Lexical
from fusion.model.sparse import Sparse
from fusion.query_batch import QueryTensors
from kg.counterfactual.index import Counted, QueryItemPair
from kg.tables import FloatArray

DECAY = 0.7  # weight of a context item against the one after it, where the graph has an order


class Pool(NamedTuple):
    """Some items, and what all sets of them are scored for.

    Attributes:
        rows: (P,) the items' rows.
        query: One query: a user and a text, no context items.
    """

    rows: Tensor
    query: QueryTensors


class Feature(ABC):
    """One column of the features.

    Attributes:
        name: Of the column.
        retrieves: Whether the items of which it says most become candidates; of a feature of
            the whole catalogue.
        retrieves_cold: Whether it brings candidates from among the cold items, too.
    """

    name: str
    retrieves = False
    retrieves_cold = False

    @abstractmethod
    def column(self, batch: QueryTensors, rows: Tensor) -> Tensor:
        """(B, C) what it says of item rows (B, C)."""

    def recounted(self, counted: Counted, pair: QueryItemPair) -> float | None:
        """The same of one query and item counted anew; None where that is not counted."""
        return None

    def among(self, pool: Pool) -> Feature:
        """The same feature of the pool's items alone, numbered as in the pool, beside any context."""
        return Fixed(self.name, self.column(pool.query, pool.rows[None])[0])


class Fixed(Feature):
    """A value an item, whatever the query.

    Args:
        name: Of the column.
        values: (I,)
    """

    def __init__(self, name: str, values: Tensor) -> None:
        self.name, self.values = name, values

    def column(self, batch: QueryTensors, rows: Tensor) -> Tensor:
        """As Feature."""
        return self.values[rows]


class ItemFact(Fixed):
    """A fact of the item alone, such as its popularity."""

    def recounted(self, counted: Counted, pair: QueryItemPair) -> float | None:
        """As Feature."""
        return counted.item.get(self.name)


class UserFact(Feature):
    """A fact of the user alone, 0 where nobody is known.

    Args:
        name: Of the column.
        values: (U,)
    """

    def __init__(self, name: str, values: Tensor) -> None:
        self.name, self.values = name, values

    def column(self, batch: QueryTensors, rows: Tensor) -> Tensor:
        """As Feature."""
        known = self.values[batch.users.clamp(min=0)]
        return torch.where(batch.users >= 0, known, 0)[:, None].expand(rows.shape)

    def recounted(self, counted: Counted, pair: QueryItemPair) -> float | None:
        """As Feature."""
        return counted.user.get(self.name)


class ContextSize(Feature):
    """How many context items the query has."""

    name = "items at hand"

    def column(self, batch: QueryTensors, rows: Tensor) -> Tensor:
        """As Feature."""
        count = torch.bincount(batch.owners, minlength=len(batch))
        return count.float()[:, None].expand(rows.shape)

    def among(self, pool: Pool) -> Feature:
        """As Feature."""
        return self


class CatalogueFeature(Feature):
    """A feature that is counted of all items at once, so that it can retrieve."""

    @abstractmethod
    def everywhere(self, batch: QueryTensors) -> Tensor | None:
        """(B, I) what it says of every item; None where it says nothing to the whole batch."""

    def column(self, batch: QueryTensors, rows: Tensor) -> Tensor:
        """As Feature."""
        scores = self.everywhere(batch)
        if scores is None:
            return torch.zeros(rows.shape, device=rows.device)
        return scores.gather(1, rows)


class UserPath(CatalogueFeature):
    """Metapath counts from the user to the item.

    Args:
        name: Of the path.
        matrix: (U, I) the counts.
        retrieves: As in Feature.
    """

    def __init__(self, name: str, matrix: Sparse, retrieves: bool) -> None:
        self.name, self.matrix, self.retrieves = name, matrix, retrieves

    def everywhere(self, batch: QueryTensors) -> Tensor | None:
        """As CatalogueFeature."""
        known = batch.known_users
        if not len(known):
            return None
        return self.matrix.spread(batch.users[known], known, len(batch))

    def recounted(self, counted: Counted, pair: QueryItemPair) -> float | None:
        """As Feature."""
        return counted.user_item.get(self.name)


class Over(Enum):
    """How the counts of several context items become one; the value ends the column's name."""

    SUM = ""
    BEST = " best"
    RECENT = " lately"  # a sum in which the latest counts most


class ItemPath(CatalogueFeature):
    """Metapath counts from the context items to the item.

    Args:
        path: Its name.
        matrix: (I, I) the counts.
        over: How the context items' counts become one.
        retrieves: As in Feature.
        retrieves_cold: As in Feature.
    """

    def __init__(
        self,
        path: str,
        matrix: Sparse,
        over: Over,
        retrieves: bool = False,
        retrieves_cold: bool = False,
    ) -> None:
        self.name = path + over.value
        self.path, self.matrix, self.over = path, matrix, over
        self.retrieves, self.retrieves_cold = retrieves, retrieves_cold

    def everywhere(self, batch: QueryTensors) -> Tensor | None:
        """As CatalogueFeature."""
        if not len(batch.context):
            return None
        reduce = "amax" if self.over is Over.BEST else "sum"
        weights = None
        if self.over is Over.RECENT:
            weights = recency_weights(batch.owners, len(batch))
        return self.matrix.spread(
            batch.context, batch.owners, len(batch), reduce, weights
        )

    def recounted(self, counted: Counted, pair: QueryItemPair) -> float | None:
        """As Feature."""
        values = counted.item_item.get(self.path)
        return None if values is None else self.reduce(values)

    def reduce(self, values: FloatArray) -> float:
        """One number of the (H,) counts of the context items, the latest last."""
        return reduce_values(values, self.over)

    def among(self, pool: Pool) -> Feature:
        """As Feature."""
        return ItemPath(self.path, self.matrix.among(pool.rows, pool.rows), self.over)


class BM25Score(CatalogueFeature):
    """How well the query's text matches the item's.

    Args:
        name: Of the column.
        lexical: The items' texts.
    """

    retrieves = True

    def __init__(self, name: str, lexical: Lexical) -> None:
        self.name, self.lexical = name, lexical

    def everywhere(self, batch: QueryTensors) -> Tensor | None:
        """As CatalogueFeature."""
        if not any(map(str.strip, batch.texts)):
            return None
        return self.lexical(batch.texts, batch.users.device)


def recency_weights(owners: Tensor, size: int) -> Tensor:
    """(H,) DECAY to the power of how many context items of the same query come after.

    Args:
        owners: (H,) ascending, which of the queries each context item belongs to.
        size: B.
    """
    ends = torch.bincount(owners, minlength=size).cumsum(0)
    after = ends[owners] - 1 - torch.arange(len(owners), device=owners.device)
    return DECAY ** after.float()


def reduce_values(values: FloatArray, over: Over) -> float:
    """One number of the (H,) counts of one query's context items."""
    if over is Over.SUM:
        return float(values.sum())
    if over is Over.BEST:
        return float(values.max(initial=0))
    return float(values @ (DECAY ** np.arange(len(values))[::-1]))
