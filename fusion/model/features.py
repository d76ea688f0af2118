"""Evidence: for queries, what the metapath counts say of items, and the candidates that they bring."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from fusion.model.bm25 import Lexical
from fusion.query_batch import QueryBatch, QueryTensors
from kg.counterfactual.index import Counted, QueryItemPair
from kg.metapaths.count import AttributePaths, PathCounts
from kg.metapaths.svd import PURESVD
from kg.tables import FloatArray


class Sparse:
    """A sparse matrix whose rows are gathered, not multiplied: three tensors that move to any device."""

    def __init__(self, matrix: sp.csr_matrix, device: torch.device) -> None:
        self.starts = torch.as_tensor(matrix.indptr.astype(np.int64), device=device)
        self.columns = torch.as_tensor(matrix.indices.astype(np.int64), device=device)
        self.values = torch.as_tensor(matrix.data.astype(np.float32), device=device)
        self.width = matrix.shape[1]

    def spread(
        self,
        rows: Tensor,
        owners: Tensor,
        size: int,
        reduce: str = "sum",
        weights: Tensor | None = None,
    ) -> Tensor:
        """(size, width): row b is the sum (or "amax") of the matrix' rows, times their weights, whose owner is b."""
        if not len(rows):
            return torch.zeros(size, self.width, device=rows.device)
        lengths = self.starts[rows + 1] - self.starts[rows]
        ends = lengths.cumsum(0)
        total = int(ends[-1])
        first = (self.starts[rows] - ends + lengths).repeat_interleave(lengths)
        place = torch.arange(total, device=rows.device) + first
        where = owners.repeat_interleave(lengths) * self.width + self.columns[place]
        out = torch.zeros(size * self.width, device=rows.device)
        values = (
            self.values[place]
            if weights is None
            else self.values[place] * weights.repeat_interleave(lengths)
        )
        if reduce == "sum":
            out.index_add_(0, where, values)
        else:
            out.scatter_reduce_(0, where, values, reduce)
        return out.view(size, self.width)


class _Attribute:
    """One relation from items to attributes, its values padded to (I, M) so that they can be looked up."""

    def __init__(self, paths: AttributePaths, device: torch.device) -> None:
        self.items, self.users, self.together = (
            Sparse(m, device) for m in (paths.items, paths.users, paths.together)
        )
        items = paths.items
        counts = np.diff(items.indptr)
        table = np.full(
            (items.shape[0], max(int(counts.max(initial=0)), 1)),
            items.shape[1],
            np.int64,
        )
        owner = np.repeat(np.arange(items.shape[0]), counts)
        table[owner, np.arange(len(owner)) - items.indptr[owner]] = items.indices
        self.table = torch.as_tensor(table, device=device)

    def look_up(self, scores: Tensor, rows: Tensor) -> Tensor:
        """(B, C) sum of an query's scores (B, V) over the values of each item."""
        padded = torch.nn.functional.pad(scores, (0, 1))
        return sum(
            (padded.gather(1, self.table[rows, m]) for m in range(self.table.shape[1])),
            start=torch.zeros(()),
        )


WORDS = "words"
ALIKE = "item-word-item cosine"
SHARED_ATTRIBUTES = "item-attributes-item"
COLD_CANDIDATES = 20  # candidates from among items never taken, which no count of takings can bring: those most akin to the query's
DECAY = 0.7  # what an context item counts, against the one after it, where takings have an order
# Paths whose strongest items become candidates; the others only describe them.
_RETRIEVING = {
    WORDS,
    "user-item recent",
    "user-item",
    "user-item-item",
    "item-bundle-item",
    "item-next-item",
    "item-item ease",
    SHARED_ATTRIBUTES,
    PURESVD,
}


def _retrieves(name: str) -> bool:
    path = name.removesuffix(" lately")
    return (
        path in _RETRIEVING
        or path.endswith(" cosine")
        or (path[:5] == "user-" and path.endswith("-user-item"))
    )


class MetapathFeatures:
    """phi of the score, and retrieval by counts.

    Args:
        counts: From the graph as it stood before the queries: an query's own basket must not
            be in it.
        device: Where the tensors live.
        texts: The items' texts in row order, to match them with each other and with the query's
            words; None does without.
    """

    def __init__(
        self,
        counts: PathCounts,
        device: torch.device | str = "cpu",
        texts: Sequence[str] | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.lexical = (
            Lexical.of(tuple(texts))
            if texts is not None and Lexical.fits(texts)
            else None
        )
        self.items = len(counts.item["popularity"])
        self.user_item = {
            k: Sparse(m, self.device) for k, m in counts.user_item.items()
        }
        item_item = {**counts.item_item} | (
            {ALIKE: self.lexical.alike} if self.lexical is not None else {}
        )
        self.item_item = {k: Sparse(m, self.device) for k, m in item_item.items()}
        self.item = {
            k: torch.as_tensor(v, dtype=torch.float32, device=self.device)
            for k, v in counts.item.items()
        }
        self.user = {
            k: torch.as_tensor(v, dtype=torch.float32, device=self.device)
            for k, v in counts.user.items()
        }
        self.attributes = {
            a.name: _Attribute(a, self.device) for a in counts.attributes
        }
        self.cold_items = (self.item["popularity"] == 0).nonzero().squeeze(1)
        by = (self.item["popularity"], self.item["recent popularity"])
        self._popular = [taken.argsort(descending=True, stable=True) for taken in by]
        self.ordered = "item-next-item" in counts.item_item
        best = [f"{k} best" for k in self.item_item if k.endswith("cosine")]
        lately = [f"{k} lately" for k in self.item_item] if self.ordered else []
        of_items = ("at hand", "at hand lately") if self.ordered else ("at hand",)
        described = [
            f"{a} {what}"
            for a in self.attributes
            for what in (*of_items, "together", "of user")
        ]
        words = [WORDS] if self.lexical is not None else []
        self.names = (
            *self.user_item,
            *self.item_item,
            *best,
            *lately,
            *words,
            *described,
            *self.item,
            *self.user,
            "items at hand",
        )

    def __call__(
        self, queries: QueryBatch, each: int, extra: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Candidates and what the paths say of them.

        Args:
            asks: B queries.
            each: How many items a path brings.
            extra: (B, X) further candidate rows: those of the vector search.

        Returns:
            (B, C) item rows ascending, -1 where a query has fewer than C, and (B, C, F) phi,
            all >= 0. An query's own items and those masked are no candidates.
        """
        batch = queries.to(self.device)
        known = (batch.users >= 0).nonzero().squeeze(1)
        nothing = torch.zeros(
            len(batch), self.items, device=self.device
        )  # what all paths from what nobody has come to

        def spread(
            matrix: Sparse, starts: Tensor, owners: Tensor, reduce: str = "sum"
        ) -> Tensor:
            return (
                matrix.spread(starts, owners, len(batch), reduce)
                if len(starts)
                else nothing
            )

        dense = {
            k: spread(m, batch.users[known], known) for k, m in self.user_item.items()
        }
        for name, matrix in self.item_item.items():
            dense[name] = spread(matrix, batch.context, batch.owners)
        for name, matrix in self.item_item.items():
            if name.endswith("cosine"):
                dense[f"{name} best"] = spread(
                    matrix, batch.context, batch.owners, "amax"
                )
        weights = lately(batch.owners, len(batch)) if self.ordered else None
        if weights is not None:
            for name, matrix in self.item_item.items():
                dense[f"{name} lately"] = matrix.spread(
                    batch.context, batch.owners, len(batch), weights=weights
                )
        if self.lexical is not None:
            dense[WORDS] = (
                self.lexical(queries.texts, self.device)
                if any(map(str.strip, queries.texts))
                else nothing
            )
        rows = self._retrieve(
            batch,
            {n: found for n, found in dense.items() if found is not nothing},
            each,
            extra,
        )
        at = rows.clamp(min=0)
        columns = [dense[name].gather(1, at) for name in dense]
        for path in self.attributes.values():
            held = path.items.spread(batch.context, batch.owners, len(batch))
            owner, value = held.nonzero(as_tuple=True)
            together = path.together.spread(value, owner, len(batch))
            taken = path.users.spread(batch.users[known], known, len(batch))
            given = [held]
            if weights is not None:
                given.append(
                    path.items.spread(
                        batch.context, batch.owners, len(batch), weights=weights
                    )
                )
            columns += [
                path.look_up(scores, at) for scores in (*given, together, taken)
            ]
        columns += [values[at] for values in self.item.values()]
        one = torch.ones_like(columns[0])
        for fact in self.user.values():
            columns.append(
                one
                * torch.where(batch.users >= 0, fact[batch.users.clamp(min=0)], 0)[
                    :, None
                ]
            )
        columns.append(
            one * torch.bincount(batch.owners, minlength=len(batch))[:, None]
        )
        return rows, torch.stack(columns, 2)

    def _retrieve(
        self,
        batch: QueryTensors,
        dense: dict[str, Tensor],
        each: int,
        extra: Tensor | None,
    ) -> Tensor:
        each = min(each, self.items)
        found = [] if extra is None else [extra]
        owners, items = batch.excluded_owners, batch.excluded
        own = torch.zeros(
            len(batch), self.items + 1, dtype=torch.bool, device=self.device
        )
        own[owners, items] = True
        for scores in dense.values():  # what is no answer takes no candidate's place
            scores[owners, items] = 0
        # Where there is an order, what was taken lately brings the candidates.
        late = {name for name in self.item_item if f"{name} lately" in dense}
        for name in filter(_retrieves, [n for n in dense if n not in late]):
            best = dense[name].topk(each, sorted=False)
            found.append(torch.where(best.values > 0, best.indices, self.items))
        akin = dense.get(f"{SHARED_ATTRIBUTES} lately", dense.get(SHARED_ATTRIBUTES))
        if akin is not None and len(self.cold_items):
            best = akin[:, self.cold_items].topk(
                min(COLD_CANDIDATES, each, len(self.cold_items)), sorted=False
            )
            found.append(
                torch.where(best.values > 0, self.cold_items[best.indices], self.items)
            )
        count, most = min(each, 40), int(torch.bincount(owners, minlength=1).max())
        for popular in (order[: count + most] for order in self._popular):
            free = ~own[:, popular]
            found.append(
                torch.where(free & (free.cumsum(1) <= count), popular, self.items)
            )
        rows = torch.cat(found, 1)
        rows = rows.masked_fill(own.gather(1, rows), self.items).sort(1).values
        rows[:, 1:].masked_fill_(rows[:, 1:] == rows[:, :-1], self.items)
        rows = rows.sort(1).values
        most = max(int((rows < self.items).sum(1).max()), 1)
        return rows[:, :most].masked_fill(rows[:, :most] == self.items, -1)


def lately(owners: Tensor, size: int) -> Tensor:
    """(H,) DECAY to the power of how many context items come after; they stand in the order taken.

    Args:
        owners: (H,) ascending, which of the queries each context item belongs to.
        size: B.
    """
    ends = torch.bincount(owners, minlength=size).cumsum(0)
    after = ends[owners] - 1 - torch.arange(len(owners), device=owners.device)
    return DECAY ** after.float()


def named(counted: Counted, place: QueryItemPair) -> dict[str, float]:
    """The counts of one query and item, as Evidence names and sums them."""
    lately = DECAY ** np.arange(len(place.hand))[::-1]
    found = {**counted.user_item, **counted.item, **counted.user}
    for name, values in counted.item_item.items():
        found |= summed(name, values)
    for name, values in counted.values.items():
        found |= {
            f"{name} at hand": float(values.sum()),
            f"{name} at hand lately": float(values @ lately),
        }
        found |= {
            f"{name} together": counted.together[name],
            f"{name} of user": counted.of_user[name],
        }
    return found


def summed(name: str, values: FloatArray) -> dict[str, float]:
    """Over the context items, as Evidence does."""
    late = float(values @ (DECAY ** np.arange(len(values))[::-1]))
    return {
        name: float(values.sum()),
        f"{name} best": float(values.max(initial=0)),
        f"{name} lately": late,
    }


def differ(now: float, was: float) -> bool:
    """By more than the last digits, at which quantiles jump."""
    return abs(now - was) > 1e-6 * max(1.0, abs(was))
