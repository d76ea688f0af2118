"""Pool: the model's own score among a few hundred items, for very many sets of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from fusion.model.context import ITEM, USER, WORDS
from fusion.model.features import Sparse, lately
from fusion.query_batch import QueryBatch
from fusion.ranking.ranker import Ranker
from kg.tables import FloatArray, IntArray


class Pool:
    """P items of a catalogue, and score(item | set of others, user, words) for each of them.

    The scores are those of `Recommender.scores`, item for item. What makes them quick is that
    all counts are looked up
    among the P items alone: (P, P) slices, cut once.

    Args:
        recommender: Whose scores.
        rows: P distinct item rows.
        user: A user's row, -1 where nobody is known.
        text: Words, "" where there are none.

    Attributes:
        bias: (P,) added to the items' scores.
        pair: (P, P) the least of the rows of the context items is added; (0, 0) for nothing.
    """

    def __init__(
        self, recommender: Ranker, rows: IntArray, user: int = -1, text: str = ""
    ) -> None:
        self.recommender, self.rows, self.user, self.text = (
            recommender,
            rows,
            user,
            text,
        )
        self.place = {row: place for place, row in enumerate(rows.tolist())}
        self.bias: FloatArray = np.zeros(len(rows))
        self.pair: FloatArray = np.zeros((0, 0))
        snapshot, model = recommender.snapshot, recommender.model
        self._device, self._at = (
            snapshot.device,
            torch.as_tensor(rows, device=snapshot.device),
        )
        self._gather()
        if model.head is not None:
            self._cut()

    @torch.inference_mode()
    def _gather(self) -> None:
        """The vectors of all that can be at hand, S of P items, then the user and the words, where there are any."""
        model, embeddings = self.recommender.model, self.recommender.embeddings
        words = self.recommender.words(QueryBatch.of([-1], texts=[self.text]))
        self._words = words
        words = torch.nn.functional.normalize(words[words.abs().sum(1) > 0], dim=1)
        known = [self.user] if self.user >= 0 and len(embeddings.users.fused) else []
        items = type(embeddings.items)(*(part[self._at] for part in embeddings.items))
        user = type(embeddings.users)(*(part[known] for part in embeddings.users))
        kinds = np.repeat([ITEM, USER, WORDS], [len(self._at), len(known), len(words)])
        vectors = torch.cat([items.fused, user.fused, words])
        self._logit, self._value = model.context.parts(
            vectors, torch.as_tensor(kinds, device=self._device)
        )
        self._text = torch.cat([items.text, torch.zeros_like(user.text), words])
        self._graph = torch.cat([items.graph, user.graph, torch.zeros_like(words)])
        self._vectors = torch.stack([items.fused, items.text, items.graph])

    @torch.inference_mode()
    def _cut(self) -> None:
        """Look up all that does not depend on which items are at hand."""
        features, at, size = (
            self.recommender.snapshot.features,
            self._at,
            len(self.rows),
        )
        inverse = torch.full((features.items,), -1, device=self._device)
        inverse[at] = torch.arange(size, device=self._device)
        known = torch.tensor(
            [self.user] if self.user >= 0 else [], dtype=torch.long, device=self._device
        )
        owner = torch.zeros_like(known)
        blank = torch.zeros(0, size, device=self._device)
        self._taken = _rows(
            [m.spread(known, owner, 1)[0, at] for m in features.user_item.values()],
            blank,
        )
        near = [_square(m, at, inverse) for m in features.item_item.values()]
        self._best = [
            n for n, name in enumerate(features.item_item) if name.endswith("cosine")
        ]
        self._lexical = (
            blank
            if features.lexical is None
            else features.lexical([self.text], self._device)[:, at]
        )
        self._attributes = []
        for path in features.attributes.values():
            table = path.table[at]  # V where there is no further value
            values = torch.unique(table)
            values = values[values < path.items.width]
            number = torch.zeros(
                path.items.width + 1, dtype=torch.long, device=self._device
            )
            number[values] = torch.arange(len(values), device=self._device)
            own = torch.zeros(size, len(values), device=self._device)
            there = table < path.items.width
            line = torch.arange(size, device=self._device)[:, None].expand_as(table)[
                there
            ]
            own[line, number[table[there]]] = 1
            inside = torch.full((path.together.width,), -1, device=self._device)
            inside[values] = torch.arange(len(values), device=self._device)
            taken = own @ path.users.spread(known, owner, 1)[0, values]
            self._attributes.append(
                (own, _square(path.together, values, inside) @ own.T, taken[None])
            )
            near.append(own @ own.T)
        self._near = _rows(near, torch.zeros(0, size, size, device=self._device))
        one = torch.ones(size, device=self._device)
        facts = [values[at] for values in features.item.values()]
        facts += [
            one * (fact[self.user] if self.user >= 0 else 0)
            for fact in features.user.values()
        ]
        self._facts = _rows(facts, blank)

    @torch.inference_mode()
    def score(
        self, sets: Sequence[Sequence[int]], only: IntArray | None = None
    ) -> FloatArray:
        """(B, P) the score of every item of the pool beside each set of places; -inf for the items of the set.

        Args:
            sets: B sets.
            only: (B, C) places to score, some perhaps twice; -inf for all others. Every place
                where None.
        """
        count, model, size = len(sets), self.recommender.model, len(self.rows)
        lengths = np.fromiter((len(places) for places in sets), np.int64, count)
        local = torch.as_tensor(
            np.fromiter(chain.from_iterable(sets), np.int64), device=self._device
        )
        owner = torch.as_tensor(
            np.repeat(np.arange(count), lengths), device=self._device
        )
        wanted = (
            torch.arange(size).expand(count, -1)
            if only is None
            else torch.as_tensor(only)
        )
        wanted = wanted.to(self._device)
        similarities = self._similarities(local, owner, wanted)
        phi = None if model.head is None else self._phi(local, owner, wanted)
        score = model.rank(phi, similarities, self._words.expand(count, -1))
        out = torch.full((count, size), -torch.inf, device=self._device).scatter(
            1, wanted, score.float()
        )
        out[owner, local] = -torch.inf
        found: FloatArray = out.cpu().numpy().astype(np.float64) + self.bias
        if len(self.pair):
            for b, places in enumerate(sets):
                if len(places):
                    found[b] += self.pair[list(places)].min(0)
        return found

    def _similarities(self, local: Tensor, owner: Tensor, wanted: Tensor) -> Tensor:
        """(B, C, 3) of the queries' vectors, as Hybrid.ask_vectors has them, with some of the pool's."""
        count, normal = len(wanted), torch.nn.functional.normalize
        held = self._logit.new_zeros(count, len(self._logit))
        held[owner, local] = 1
        held[:, len(self.rows) :] = 1
        # Nothing at hand at all has no vector.
        share = self._logit.masked_fill(held == 0, -torch.inf).softmax(1).nan_to_num(0)
        asked = torch.stack(
            [share @ self._value, held @ self._text, held @ self._graph]
        )
        found = normal(asked, dim=2) @ self._vectors.mT
        return found.gather(2, wanted.expand(3, -1, -1)).permute(1, 2, 0)

    def _phi(self, local: Tensor, owner: Tensor, wanted: Tensor) -> Tensor:
        """(B, C, F) what Evidence says of some of the pool, in the order of its names."""
        features, count = (
            self.recommender.snapshot.features,
            torch.bincount(owner, minlength=len(wanted)),
        )
        beside = self._near[
            :, local[:, None], wanted[owner]
        ]  # (M, H, C): of every context item
        blank = beside.new_zeros(len(beside), *wanted.shape)
        total, paths = blank.index_add(1, owner, beside), len(features.item_item)
        best = beside[self._best]
        parts = [self._taken[:, wanted], total[:paths]]
        parts.append(
            blank[: len(best)].scatter_reduce(
                1, owner[:, None].expand_as(best), best, "amax"
            )
        )
        late = blank[:0]
        if features.ordered:
            weights = lately(owner, len(wanted))
            late = blank.index_add(1, owner, beside * weights[:, None])
            parts.append(late[:paths])
        parts.append(self._lexical[:, wanted])
        for n, (own, together, taken) in enumerate(self._attributes, paths):
            held = (
                own.new_zeros(len(wanted), own.shape[1]).index_add(0, owner, own[local])
                > 0
            )
            parts += [
                total[n : n + 1],
                late[n : n + 1],
                (held.float() @ together).gather(1, wanted)[None],
            ]
            parts.append(taken[:, wanted])
        parts += [
            self._facts[:, wanted],
            count[None, :, None].expand(1, *wanted.shape).float(),
        ]
        return torch.cat(parts).permute(1, 2, 0)


def _rows(parts: Sequence[Tensor], blank: Tensor) -> Tensor:
    return torch.stack(list(parts)) if parts else blank


def _square(matrix: Sparse, rows: Tensor, inverse: Tensor) -> Tensor:
    """(P, P) the matrix among some of its rows; inverse (width,) is their place, -1 for the others."""
    lengths = matrix.starts[rows + 1] - matrix.starts[rows]
    ends = lengths.cumsum(0)
    place = torch.arange(int(ends[-1]) if len(ends) else 0, device=rows.device)
    place += (matrix.starts[rows] - ends + lengths).repeat_interleave(lengths)
    column = matrix.columns[place]
    inside = (inverse >= 0)[column].nonzero().squeeze(1)
    out = torch.zeros(len(rows), len(rows), device=rows.device)
    out[torch.searchsorted(ends, inside, right=True), inverse[column[inside]]] = (
        matrix.values[place[inside]]
    )
    return out
