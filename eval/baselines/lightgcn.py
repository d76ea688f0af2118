"""LightGCN by its published settings, small enough to train on a few cores.

What it knows nothing about comes last, in the order of popularity.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from eval.baselines.counts import Counts, FloatScores
from eval.baselines.neighbours import Factored
from kg.errors import InputError
from kg.graph import Graph
from kg.progress import tqdm
from kg.tables import IntArray


class LightGCN(Factored):
    """Vectors smoothed over interactions, trained on pairs of an interacted item and a negative.

    He et al., LightGCN: simplifying and powering graph convolution network for recommendation,
    SIGIR 2020: `z = mean_l A^l e`, A the symmetrically normalised adjacency, loss `-log
    sigmoid(z_u (z_i - z_j))` and L2 on e. A query's items add the mean of their vectors to the
    user's.

    Args:
        graph: The training graph.
        epochs: Over all pairs of user and item; the paper's 1,000 are more than most data need.
        width: Of the vectors (D).
        layers: How often they are smoothed.
        rate: Adam's learning rate; the paper's is a fifth of it, for its smaller steps.
        penalty: L2 strength.
        batch: Pairs in a step, the paper's number; more where an epoch would have too many steps.
        steps: In an epoch at most, since each smooths the whole graph.
        seed: Of the first vectors and the draws.
        device: Where torch trains.
        progress: Whether to draw a bar.

    Raises:
        ValueError: No event has a user.
    """

    name = "LightGCN"

    def __init__(
        self,
        graph: Graph,
        epochs: int = 50,
        width: int = 64,
        layers: int = 3,
        rate: float = 5e-3,
        penalty: float = 1e-4,
        batch: int = 2048,
        steps: int = 20,
        seed: int = 0,
        device: str = "cpu",
        progress: bool = True,
    ) -> None:
        self.counts, self.layers = Counts(graph), layers
        interacted = self.counts.history.tocoo()
        user, item = interacted.row.astype(np.int64), interacted.col.astype(np.int64)
        if not len(user):
            raise InputError(f"{self.name}: no event has a user")
        users, items = interacted.shape
        self.adjacency = _adjacency(user, item + users, users + items).to(device)
        rng, choice = np.random.default_rng(seed), np.unique(item)
        made = torch.Generator().manual_seed(seed)
        first = (
            (torch.randn(users + items, width, generator=made) / 10)
            .to(device)
            .requires_grad_()
        )
        optimiser = torch.optim.Adam([first], lr=rate)
        pairs = np.sort(user * items + item)
        batch = max(batch, -(-len(user) // steps))
        for _ in tqdm(
            range(epochs),
            desc=self.name,
            unit="epoch",
            leave=False,
            disable=not progress,
        ):
            order = rng.permutation(len(user))
            for start in range(0, len(order), batch):
                u, i = (
                    torch.from_numpy(x[order[start : start + batch]]).to(device)
                    for x in (user, item)
                )
                j = torch.from_numpy(
                    _negatives(
                        user[order[start : start + batch]], choice, pairs, items, rng
                    )
                ).to(device)
                first.grad = self._gradient(first, (u, users + i, users + j), penalty)
                optimiser.step()
        vectors = self._smooth(first.detach()).cpu().numpy()
        self.users, self.vectors = vectors[:users], vectors[users:]
        self.users[np.diff(self.counts.history.indptr) == 0] = 0

    def fold(self, given: Any, users: IntArray) -> FloatScores:
        """(B, D) the mean of the items' vectors and the user's."""
        mean: FloatScores = (
            given @ self.vectors / np.diff(given.indptr)[:, None] + self.users[users]
        )
        return mean

    def _gradient(
        self, first: Tensor, rows: tuple[Tensor, Tensor, Tensor], penalty: float
    ) -> Tensor:
        """(U + I, D) of the loss at the first vectors; rows of users, items and negatives."""
        smooth = self._smooth(first.detach()).requires_grad_()
        u, i, j = (smooth[some] for some in rows)
        size = sum(first[some].square().sum() for some in rows)
        loss = F.softplus(-(u * (i - j)).sum(1)).mean() + penalty / 2 * size / len(u)
        by_smooth, by_first = torch.autograd.grad(loss, (smooth, first))
        # Smoothing is linear and symmetric, so that its gradient is smoothing again.
        return by_first + self._smooth(by_smooth)

    def _smooth(self, vectors: Tensor) -> Tensor:
        total = vectors
        for _ in range(self.layers):
            vectors = self.adjacency @ vectors
            total = total + vectors
        return total / (self.layers + 1)


def _adjacency(one: IntArray, other: IntArray, size: int) -> Tensor:
    """(size, size) symmetric, each edge weighing one over the root of both ends' degrees."""
    degree = np.bincount(np.concatenate([one, other]), minlength=size)
    weight = (1 / np.sqrt(degree[one] * degree[other])).astype(np.float32)
    half = sp.csr_matrix((weight, (one, other)), shape=(size, size))
    whole = (half + half.T).tocsr()
    starts, columns, values = (
        torch.from_numpy(x) for x in (whole.indptr, whole.indices, whole.data)
    )
    with (
        warnings.catch_warnings()
    ):  # torch says once a process that sparse matrices are young
        warnings.simplefilter("ignore")
        return torch.sparse_csr_tensor(
            starts, columns, values, (size, size), check_invariants=False
        )


def _negatives(
    users: IntArray,
    choice: IntArray,
    pairs: IntArray,
    items: int,
    rng: np.random.Generator,
) -> IntArray:
    """(B,) an item for each user, drawn anew up to ten times where it stands in `pairs`."""
    drawn = rng.choice(choice, len(users))
    for _ in range(10):
        key = users * items + drawn
        interacted = (
            pairs[np.minimum(np.searchsorted(pairs, key), len(pairs) - 1)] == key
        )
        if not interacted.any():
            break
        drawn[interacted] = rng.choice(choice, interacted.sum())
    return drawn
