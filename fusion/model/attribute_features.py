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
        values, width = self.values(rows), self.items.width
        number = torch.full((width + 1,), len(values), device=rows.device)
        number[values] = torch.arange(len(values), device=rows.device)
        return Attribute(self.items.among(rows, values), number[self.table[rows]])

    def look_up(self, scores: Tensor, rows: Tensor) -> Tensor:
        """(B, C) sum of a query's scores (B, V) over the values of each item (B, C)."""
        padded = torch.nn.functional.pad(scores, (0, 1))
        columns = range(self.table.shape[1])
        parts = (padded.gather(1, self.table[rows, m]) for m in columns)
        return sum(parts, start=torch.zeros(()))


class SharedValues(Feature):
    """How many values the context items share with the item.

    Args:
        relation: Its name.
        attribute: Its values.
        over: SUM or RECENT.
    """

    def __init__(self, relation: str, attribute: Attribute, over: Over) -> None:
        self.name = f"{relation} at hand{over.value}"
        self.relation, self.attribute, self.over = relation, attribute, over

    def column(self, batch: QueryTensors, rows: Tensor) -> Tensor:
        """As Feature."""
        weights = None
        if self.over is Over.RECENT:
            weights = recency_weights(batch.owners, len(batch))
        held = self.attribute.items.spread(
            batch.context, batch.owners, len(batch), weights=weights
        )
        return self.attribute.look_up(held, rows)

    def recounted(self, counted: Counted, pair: QueryItemPair) -> float | None:
        """As Feature."""
        return reduce_values(counted.values[self.relation], self.over)

    def among(self, pool: Pool) -> Feature:
        """As Feature."""
        return SharedValues(self.relation, self.attribute.among(pool.rows), self.over)


class ValuesTogether(Feature):
    """How much likelier the context items' values and the item's are in one bundle than by chance.

    Args:
        relation: Its name.
        attribute: Its values.
        together: (V, V) how much likelier two values are in one bundle than by chance.
    """

    def __init__(self, relation: str, attribute: Attribute, together: Sparse) -> None:
        self.name = f"{relation} together"
        self.relation, self.attribute, self.together = relation, attribute, together

    def column(self, batch: QueryTensors, rows: Tensor) -> Tensor:
        """As Feature."""
        attribute, size = self.attribute, len(batch)
        held = attribute.items.spread(batch.context, batch.owners, size)
        owner, value = held.nonzero(as_tuple=True)
        return attribute.look_up(self.together.spread(value, owner, size), rows)

    def recounted(self, counted: Counted, pair: QueryItemPair) -> float | None:
        """As Feature."""
        return counted.together[self.relation]

    def among(self, pool: Pool) -> Feature:
        """As Feature."""
        values = self.attribute.values(pool.rows)
        together = self.together.among(values, values)
        return ValuesTogether(self.relation, self.attribute.among(pool.rows), together)


class ValuesOfUser(Feature):
    """How often the user interacted with the item's values.

    Args:
        relation: Its name.
        attribute: Its values.
        users: (U, V) how often a user interacted with each value.
    """

    def __init__(self, relation: str, attribute: Attribute, users: Sparse) -> None:
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
    counts = np.diff(items.indptr)
    width = max(int(counts.max(initial=0)), 1)
    table = np.full((items.shape[0], width), items.shape[1], np.int64)
    owner = np.repeat(np.arange(items.shape[0]), counts)
    table[owner, np.arange(len(owner)) - items.indptr[owner]] = items.indices
    return table
