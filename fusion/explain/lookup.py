"""Look-up: message edges by target, keys among keys, vectors that changed in a case."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

CaseRows = tuple[Tensor, Tensor]  # (P,) cases and rows
# (P,) cases and rows, and (P, D) the vectors there
CaseVectors = tuple[Tensor, Tensor, Tensor]


class Moved(NamedTuple):
    """Messages whose sources changed.

    Attributes:
        place: (M,) which place each goes to.
        source: (M,) which changed source it comes from.
        times: (M,) how many edges carry it.
    """

    place: Tensor
    source: Tensor
    times: Tensor


class IncomingEdges:
    """One relation's edges by target, sources ascending."""

    def __init__(
        self,
        edge: Tensor,
        sizes: tuple[int, int],
    ) -> None:
        self.width = sizes[0]
        self.key = (edge[1] * sizes[0] + edge[0]).sort().values
        self.source = self.key % sizes[0]
        self.starts = torch.searchsorted(
            self.key, torch.arange(sizes[1] + 1, device=edge.device) * sizes[0]
        )

    def degree(self, rows: Tensor) -> Tensor:
        """(n,) how many edges lead to each target."""
        return self.starts[rows + 1] - self.starts[rows]

    def sums(
        self,
        x: Tensor,
        rows: Tensor,
    ) -> Tensor:
        """(n, D) sums over the sources of some targets."""
        count = self.degree(rows)
        first = count.cumsum(0) - count
        place = torch.arange(int(count.sum()), device=rows.device)
        place = place + (self.starts[rows] - first).repeat_interleave(count)
        return nn.functional.embedding_bag(
            self.source[place],
            x,
            first,
            mode="sum",
        )

    def count(
        self,
        source: Tensor,
        target: Tensor,
    ) -> Tensor:
        """(n,) how many edges go from each source to each target."""
        key = target * self.width + source
        return torch.searchsorted(self.key, key, right=True) - torch.searchsorted(
            self.key, key
        )


def find(keys: Tensor, among: Tensor) -> Tensor:
    """(n,) where each key stands among distinct ones, -1 where it does not."""
    if not len(among):
        return torch.full_like(keys, -1)
    ordered, order = among.sort()
    place = torch.searchsorted(ordered, keys)
    place = place.clamp(max=len(ordered) - 1)
    return torch.where(ordered[place] == keys, order[place], -1)


def left_over(keys: Tensor, gone: Tensor) -> Tensor:
    """Which edges stay when each of `gone` takes one edge of its key out."""
    order = keys.argsort(stable=True)
    ordered = keys[order]
    place = torch.arange(len(keys), device=keys.device)
    nth = place - torch.searchsorted(ordered, ordered)
    gone = gone.sort().values
    stop = torch.searchsorted(gone, ordered, right=True)
    many = stop - torch.searchsorted(gone, ordered)
    stays = torch.empty(len(keys), dtype=torch.bool, device=keys.device)
    stays[order] = nth >= many
    return stays


def vectors_at(
    changed: CaseVectors | None,
    place: CaseRows,
    width: int,
    before: Tensor,
) -> Tensor:
    """(n, D) the changed vectors of (case, row) places, else those before.

    Args:
        changed: Where vectors changed, None where none did.
        place: (n,) cases and rows.
        width: Rows of the type.
        before: (width, D).
    """
    case, rows = place
    if changed is None:
        return before[rows]
    keys = case * width + rows
    at = find(keys, changed[0] * width + changed[1])
    new = changed[2][at.clamp(min=0)]
    return torch.where((at >= 0)[:, None], new, before[rows])
