"""SASRec by its published settings, small enough to train on a few cores.

What it knows nothing about comes last, in the order of popularity.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from eval.baselines.attention import Attention
from eval.baselines.counts import Counts, FloatScores
from eval.baselines.histories import Histories, unknown_last
from fusion.query_batch import QueryBatch, Ragged
from kg.errors import InputError
from kg.graph import Graph
from kg.progress import tqdm
from kg.tables import IntArray


class SASRec:
    """The next item by self-attention over the last ones, trained at every place of every history.

    Kang and McAuley, Self-attentive sequential recommendation, ICDM 2018: two blocks of one
    head; dropout 0.2, for with the 0.5 that they use on sparse data it takes many more epochs.
    The loss is softmax cross-entropy over the
    catalogue instead of one negative an item, with which it beats BERT4Rec: Klenitskiy and
    Vasilev, Turning dross into gold loss, RecSys 2023. A history longer than `length` is cut
    into pieces; events of one time stand in the order of the graph. A query without items asks
    with the user's history; of both, cold items are passed over.

    Args:
        graph: The training graph.
        epochs: Over all histories.
        width: Of the vectors (D).
        blocks: Of attention.
        length: Items that one place can look back on, itself among them.
        dropout: Share of inputs and of what each block adds.
        rate: Adam's learning rate.
        batch: Histories in a step, of about the same length.
        negatives: Where more items than this have interactions, so many are drawn for each
            step's softmax, as many as in the second paper.
        seed: Of the weights and the draws.
        device: Where torch trains and scores.
        progress: Whether to draw a bar.

    Raises:
        ValueError: No user has two events.
    """

    name = "SASRec"

    def __init__(
        self,
        graph: Graph,
        epochs: int = 20,
        width: int = 64,
        blocks: int = 2,
        length: int = 50,
        dropout: float = 0.2,
        rate: float = 1e-3,
        batch: int = 128,
        negatives: int = 3000,
        seed: int = 0,
        device: str = "cpu",
        progress: bool = True,
    ) -> None:
        self.counts, self.length, self.device = Counts(graph), length, device
        self.known = np.flatnonzero(self.counts.popularity)
        self.row = np.full(self.counts.items, -1)
        self.row[self.known] = np.arange(len(self.known))
        histories = Histories(graph)
        self.histories = Ragged(histories.offsets, histories.item)
        pieces = [
            p
            for u in range(len(self.histories))
            for p in _pieces(self.row[self.histories[u]], length + 1)
        ]
        if not pieces:
            raise InputError(f"{self.name}: no user has two events")
        rng, sizes = (
            np.random.default_rng(seed),
            np.array([len(piece) for piece in pieces]),
        )
        with torch.random.fork_rng(devices=[] if device == "cpu" else None):
            torch.manual_seed(seed)
            self.network = Attention(
                len(self.known), width, blocks, length, dropout
            ).to(device)
            optimiser = torch.optim.Adam(
                self.network.parameters(), lr=rate, betas=(0.9, 0.98)
            )
            for _ in tqdm(
                range(epochs),
                desc=self.name,
                unit="epoch",
                leave=False,
                disable=not progress,
            ):
                order = rng.permutation(len(pieces))
                order = order[np.argsort(sizes[order], kind="stable")]  # little padding
                for start in batch * rng.permutation(-(-len(order) // batch)):
                    whole = self._padded(
                        [pieces[p] for p in order[start : start + batch]]
                    )
                    inputs, targets = whole[:, :-1], whole[:, 1:]
                    real = inputs < len(self.known)
                    optimiser.zero_grad()
                    torch.autograd.backward(
                        self._loss(self.network(inputs)[real], targets[real], negatives)
                    )
                    optimiser.step()
        self.network.eval()

    @torch.no_grad()
    def score(self, queries: QueryBatch) -> FloatScores:
        """(B, I) scores."""
        alone = queries.context.lengths == 0
        lists = [
            self.histories[u] if none else queries.context[b]
            for b, (u, none) in enumerate(zip(queries.users, alone, strict=True))
        ]
        rows = [self.row[items] for items in lists]
        rows = [kept[kept >= 0][-self.length :] for kept in rows]
        found = np.array([len(kept) > 0 for kept in rows])
        scores = np.zeros((len(queries), self.counts.items), np.float32)
        last = self.network(self._padded(rows))[:, -1]
        scores[:, self.known] = (
            (last @ self.network.items.weight[: len(self.known)].T).cpu().numpy()
        )
        return unknown_last(
            scores, found[:, None] & (self.row >= 0), self.counts.popularity
        )

    def _loss(self, context: Tensor, targets: Tensor, negatives: int) -> Tensor:
        weight, count = self.network.items.weight, len(self.known)
        if count <= negatives:
            return F.cross_entropy(context @ weight[:count].T, targets)
        drawn = torch.randint(count, (negatives,), device=context.device)
        wrong = (context @ weight[drawn].T).masked_fill(
            drawn == targets[:, None], -torch.inf
        )
        right = (context * weight[targets]).sum(1, keepdim=True)
        # Each drawn item stands for many: their sum is that over the catalogue on average.
        scale = float(np.log((count - 1) / negatives))
        return F.cross_entropy(
            torch.cat([right, wrong + scale], 1), torch.zeros_like(targets)
        )

    def _padded(self, rows: list[IntArray]) -> Tensor:
        """(B, L) the rows at the end of each line, padded on the left with the number of items."""
        width = max(1, *(len(row) for row in rows))
        lines = np.full((len(rows), width), len(self.known))
        for line, row in zip(lines, rows, strict=True):
            line[width - len(row) :] = row
        return torch.from_numpy(lines).to(self.device)


def _pieces(rows: IntArray, length: int) -> Iterator[IntArray]:
    """Pieces of at most `length`, each beginning with the last row of the one before."""
    for stop in range(len(rows), 1, 1 - length):
        yield rows[max(0, stop - length) : stop]
