"""Pool: the model's own score among a few hundred items, for very many sets of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fusion.ask import Asks, Ragged
from fusion.evidence import Batch, Sparse, lately
from kg.tables import FloatArray, IntArray

if TYPE_CHECKING:
    from fusion.recommender import Recommender


class Pool:
    """P items of a catalogue, and score(item | set of others, user, words) for each of them.

    The scores are those of `Recommender.scores`, item for item. What makes them quick is that all counts are looked up
    among the P items alone: (P, P) slices, cut once.

    Args:
        recommender: Whose scores.
        rows: P distinct item rows.
        user: A user's row, -1 where nobody is known.
        text: Words, "" where there are none.

    Attributes:
        bias: (P,) added to the items' scores.
        pair: (P, P) the least of the rows of the items at hand is added; (0, 0) for nothing.
    """

    def __init__(self, recommender: Recommender, rows: IntArray, user: int = -1, text: str = "") -> None:
        self.recommender, self.rows, self.user, self.text = recommender, rows, user, text
        self.place = {row: place for place, row in enumerate(rows.tolist())}
        self.bias: FloatArray = np.zeros(len(rows))
        self.pair: FloatArray = np.zeros((0, 0))
        world, model = recommender.world, recommender.model
        self._device, self._at = world.device, torch.as_tensor(rows, device=world.device)
        self._items = type(recommender.bank.items)(*(part[self._at] for part in recommender.bank.items))
        self._words = recommender.words(
            Asks(np.array([user]), Ragged.of([[]]), (text,), Ragged.of([[]]), np.zeros(1, np.int64))
        )
        if model.head is not None:
            self._cut()

    @torch.inference_mode()
    def _cut(self) -> None:
        """Look up all that does not depend on which items are at hand."""
        evidence, at, size = self.recommender.world.evidence, self._at, len(self.rows)
        inverse = torch.full((evidence.items,), -1, device=self._device)
        inverse[at] = torch.arange(size, device=self._device)
        known = torch.tensor([self.user] if self.user >= 0 else [], dtype=torch.long, device=self._device)
        owner = torch.zeros_like(known)
        self._taken = [m.spread(known, owner, 1)[0, at] for m in evidence.user_item.values()]
        self._near = {name: _square(m, at, inverse) for name, m in evidence.item_item.items()}
        self._lexical = [] if evidence.lexical is None else [evidence.lexical([self.text], self._device)[0, at]]
        self._attributes = []
        for path in evidence.attributes.values():
            table = path.table[at]  # V where there is no further value
            values = torch.unique(table)
            values = values[values < path.items.width]
            number = torch.zeros(path.items.width + 1, dtype=torch.long, device=self._device)
            number[values] = torch.arange(len(values), device=self._device)
            own = torch.zeros(size, len(values), device=self._device)
            there = table < path.items.width
            line = torch.arange(size, device=self._device)[:, None].expand_as(table)[there]
            own[line, number[table[there]]] = 1
            inside = torch.full((path.together.width,), -1, device=self._device)
            inside[values] = torch.arange(len(values), device=self._device)
            taken = own @ path.users.spread(known, owner, 1)[0, values]
            self._attributes.append((own, _square(path.together, values, inside), taken))
        one = torch.ones(size, device=self._device)
        self._facts = [values[at] for values in evidence.item.values()]
        self._facts += [one * (fact[self.user] if self.user >= 0 else 0) for fact in evidence.user.values()]

    @torch.inference_mode()
    def score(self, sets: Sequence[Sequence[int]], only: IntArray | None = None) -> FloatArray:
        """(B, P) the score of every item of the pool beside each set of places; -inf for the items of the set.

        Args:
            sets: B sets.
            only: Places to score; -inf for all others. Every place where None.
        """
        count, model, size = len(sets), self.recommender.model, len(self.rows)
        hand = Ragged.of([self.rows[list(places)] for places in sets])
        asks = Asks(np.full(count, self.user), hand, (self.text,) * count, hand, np.zeros(count, np.int64))
        bank = self.recommender.bank
        wanted = torch.arange(size) if only is None else torch.as_tensor(only)
        wanted = wanted.to(self._device)
        fused, text, graph = model.ask_vectors(asks, bank.items, bank.users, self._words.expand(count, -1))
        own = self._items
        parts = (fused @ own.fused[wanted].T, text @ own.text[wanted].T, graph @ own.graph[wanted].T)
        similarities = torch.stack(parts, 2)
        score = model.log_weight.clamp(max=4.6).exp() * similarities[..., 0]
        place = np.concatenate([np.zeros(0, np.int64), *(np.asarray(places, np.int64) for places in sets)])
        local = torch.as_tensor(place, device=self._device)
        owner = torch.as_tensor(hand.owners, device=self._device)
        if model.head is not None:
            score = score + model.head(self._phi(asks, local, owner, wanted), similarities)
        out = torch.full((count, size), -torch.inf, device=self._device)
        out[:, wanted] = score.float()
        out[owner, local] = -torch.inf
        found = out.cpu().numpy().astype(np.float64) + self.bias
        if len(self.pair):
            for b, places in enumerate(sets):
                if len(places):
                    found[b] += self.pair[list(places)].min(0)
        return found

    def _phi(self, asks: Asks, local: Tensor, owner: Tensor, wanted: Tensor) -> Tensor:
        """(B, C, F) what Evidence says of some of the pool, in the order of its names."""
        count, width = len(asks), len(wanted)
        blank = torch.zeros(count, width, device=self._device)
        hot = torch.zeros(count, len(self.rows), device=self._device)
        hot[owner, local] = 1
        weights = None
        evidence = self.recommender.world.evidence
        if evidence.ordered:
            weights = torch.zeros_like(hot)
            weights[owner, local] = lately(Batch.of(asks, self._device))
        index = owner[:, None].expand(-1, width)
        near = {name: part[:, wanted] for name, part in self._near.items()}
        columns = [taken[wanted].expand(count, -1) for taken in self._taken]
        columns += [hot @ part for part in near.values()]
        columns += [
            blank.scatter_reduce(0, index, part[local], "amax")
            for name, part in near.items() if name.endswith("cosine")
        ]  # fmt: skip
        if weights is not None:
            columns += [weights @ part for part in near.values()]
        columns += [match[wanted].expand(count, -1) for match in self._lexical]
        for own, together, taken in self._attributes:
            held, mine = hot @ own, own[wanted].T
            columns.append(held @ mine)
            if weights is not None:
                columns.append(weights @ own @ mine)
            columns += [(held > 0).float() @ together @ mine, taken[wanted].expand(count, -1)]
        columns += [fact[wanted].expand(count, -1) for fact in self._facts]
        columns.append(torch.bincount(owner, minlength=count)[:, None].expand(-1, width).float())
        return torch.stack(columns, 2)


def _square(matrix: Sparse, rows: Tensor, inverse: Tensor) -> Tensor:
    """(P, P) the matrix among some of its rows; inverse (width,) is their place, -1 for the others."""
    lengths = matrix.starts[rows + 1] - matrix.starts[rows]
    first = (matrix.starts[rows] - lengths.cumsum(0) + lengths).repeat_interleave(lengths)
    place = torch.arange(len(first), device=rows.device) + first
    column, line = (
        inverse[matrix.columns[place]],
        torch.arange(len(rows), device=rows.device).repeat_interleave(lengths),
    )
    inside = column >= 0
    out = torch.zeros(len(rows), len(rows), device=rows.device)
    out[line[inside], column[inside]] = matrix.values[place[inside]]
    return out
