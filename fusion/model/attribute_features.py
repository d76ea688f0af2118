"""Features of one relation from items to attributes: how the items' values meet the query's."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from torch import Tensor

from fusion.model.feature import Feature, Over, Pool, recency_weights, reduce_values
from fusion.model.sparse import Sparse
from fusion.query_batch import QueryTensors
from kg.counterfactual.index import Counted, QueryItemPair
from kg.metapaths.sparse import Matrix


class Attribute:
    """One relation from items to attributes with V values.

    Args:
        items: (I, V) which item has which value.
        table: (I, M) the same, padded with V, so that values can be looked up.
    """

    def __init__(self, items: Sparse, table: Tensor) -> None:
        self.items, self.table = items, table

    @classmethod
    def of(cls, items: Matrix, device: torch.device) -> Self:
        """From (I, V) counts."""
        table = torch.as_tensor(_padded(items), device=device)
        return cls(Sparse.of(items, device), table)

    def values(self, rows: Tensor) -> Tensor:
        """The values that some items have, ascending."""
        values: Tensor = torch.unique(self.table[rows])
        return values[values < self.items.width]

    def among(self, rows: Tensor) -> Attribute:
        """The same of some items and of the values that these have, numbered as they come."""
        values = self.values(rows)
        size = self.items.width + 1
        number = torch.full((size,), len(values), device=rows.device)
        number[values] = torch.arange(len(values), device=rows.device)
        items = self.items.among(rows, values)
        return Attribute(items, number[self.table[rows]])

    def look_up(self, scores: Tensor, rows: Tensor) -> Tensor:
        """(B, C) sum of a query's scores (B, V) over the values of each item (B, C)."""
        padded = torch.nn.functional.pad(scores, (0, 1))
        total = torch.zeros((), device=scores.device)
        for column in self.table.T:
            total = total + padded.gather(1, column[rows])
        return total


class SharedValues(Feature):
    """How many values the context items share with the item.

    Args:
        relation: Its name.
        attribute: Its values.
        over: SUM or RECENT.
    """

    def __init__(
        self,
        relation: str,
        attribute: Attribute,
        over: Over,
    ) -> None:
        self.name = f"{relation} at hand{over.value}"
        self.relation, self.attribute, self.over = relation, attribute, over

    def column(self, batch: QueryTensors, rows: Tensor) -> Tensor:
        """As Feature."""
        weights = None
        if self.over is Over.RECENT:
            weights = recency_weights(batch.owners, len(batch))
        held = self.attribute.items.spread(
            batch.context,
            batch.owners,
            len(batch),
            weights=weights,
        )
        return self.attribute.look_up(held, rows)

    def recounted(self, counted: Counted, pair: QueryItemPair) -> float | None:
        """As Feature."""
        return reduce_values(counted.values[self.relation], self.over)

    def among(self, pool: Pool) -> Feature:
        """As Feature."""
        attribute = self.attribute.among(pool.rows)
        return SharedValues(self.relation, attribute, self.over)


class ValuesTogether(Feature):
    """How much likelier the context items' values and the item's are in one bundle than by chance.

    Args:
        relation: Its name.
        attribute: Its values.
        together: (V, V) how much likelier two values are in one bundle than by chance.
    """

    def __init__(
        self,
        relation: str,
        attribute: Attribute,
        together: Sparse,
    ) -> None:
        self.name = f"{relation} together"
        self.relation, self.attribute, self.together = relation, attribute, together

    def column(self, batch: QueryTensors, rows: Tensor) -> Tensor:
        """As Feature."""
        size = len(batch)
        items = self.attribute.items
        held = items.spread(batch.context, batch.owners, size)
        owner, value = held.nonzero(as_tuple=True)
        scores = self.together.spread(value, owner, size)
        return self.attribute.look_up(scores, rows)

    def recounted(self, counted: Counted, pair: QueryItemPair) -> float | None:
        """As Feature."""
        return counted.together[self.relation]

    def among(self, pool: Pool) -> Feature:
        """As Feature."""
        values = self.attribute.values(pool.rows)
        return ValuesTogether(
            self.relation,
            self.attribute.among(pool.rows),
            self.together.among(values, values),
        )


class ValuesOfUser(Feature):
    """How often the user interacted with the item's values.

    Args:
        relation: Its name.
        attribute: Its values.
        users: (U, V) how often a user interacted with each value.
    """

    def __init__(
        self,
        relation: str,
        attribute: Attribute,
        users: Sparse,
    ) -> None:
        self.name = f"{relation} of user"
        self.relation, self.attribute, self.users = relation, attribute, users

    def column(self, batch: QueryTensors, rows: Tensor) -> Tensor:
        """As Feature."""
        known = batch.known_users
        counts = self.users.spread(batch.users[known], known, len(batch))
        return self.attribute.look_up(counts, rows)

    def recounted(self, counted: Counted, pair: QueryItemPair) -> float | None:
        """As Feature."""
        return counted.of_user[self.relation]


def _padded(items: Matrix) -> np.ndarray:
    """(I, M) each item's values, filled up with V."""
    size, values = items.shape
    counts = np.diff(items.indptr)
    width = max(int(counts.max(initial=0)), 1)
    table = np.full((size, width), values, np.int64)
    owner = np.repeat(np.arange(size), counts)
    place = np.arange(len(owner)) - items.indptr[owner]
    table[owner, place] = items.indices
    return table
