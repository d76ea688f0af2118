"""LightGCN: its answers on a checkerboard, its gradient and its draws."""

from __future__ import annotations

import numpy as np
import torch

from eval.baselines.lightgcn import LightGCN, _adjacency, _negatives
from tests.eval.baselines.ring import query


def test_lightgcn_finds_the_withheld_square(board, lightgcn):
    graph, withheld = board
    users = np.array(list(withheld))
    taken = [np.unique(graph.events.item[graph.events.user == u]) for u in users]
    for queries in (
        query(*((u, []) for u in users)),
        query(*((-1, items) for items in taken)),
    ):
        for row, items, right in zip(
            lightgcn.score(queries), taken, withheld.values(), strict=True
        ):
            row[items] = -np.inf
            assert row.argmax() == right


def test_lightgcn_adds_the_items_to_the_user(board, lightgcn):
    alone = lightgcn.score(query((0, []), (-1, [2, 4]), (0, [2, 4])))
    known = lightgcn.counts.popularity > 0
    np.testing.assert_allclose(
        alone[2, known], (alone[0] + alone[1])[known], rtol=1e-4, atol=1e-5
    )
    vectors = lightgcn.vectors
    np.testing.assert_allclose(
        alone[1, known],
        (vectors @ (vectors[2] + vectors[4]) / 2)[known],
        rtol=1e-4,
        atol=1e-5,
    )


def test_the_gradient_is_that_of_the_whole_loss(board, lightgcn):
    torch.manual_seed(0)
    first = torch.randn(lightgcn.adjacency.shape[0], 4, requires_grad=True)
    rows = (
        torch.tensor([0, 1, 1]),
        torch.tensor([21, 22, 24]),
        torch.tensor([24, 21, 21]),
    )
    vectors, dense = [first], lightgcn.adjacency.to_dense()
    for _ in range(3):
        vectors.append(dense @ vectors[-1])
    u, i, j = (torch.stack(vectors).mean(0)[some] for some in rows)
    size = torch.cat(rows).bincount(minlength=len(first)).float() @ first.square().sum(
        1
    )
    loss = -torch.log(torch.sigmoid((u * (i - j)).sum(1))).mean() + 0.5 / 2 * size / 3
    torch.testing.assert_close(
        lightgcn._gradient(first, rows, 0.5), torch.autograd.grad(loss, first)[0]
    )


def test_smoothing_is_symmetric_and_normalised():
    found = _adjacency(np.array([0, 0, 1]), np.array([2, 3, 3]), 4).to_dense()
    half = 1 / np.sqrt(2)
    expected = [[0, 0, half, 0.5], [0, 0, 0, half], [half, 0, 0, 0], [0.5, half, 0, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_negatives_were_negatives():
    users, pairs = (
        np.repeat([0, 1], 200),
        np.array([0, 1, 2, 7]),
    )  # of four items 0 took all but 3, 1 only 3
    drawn = _negatives(users, np.arange(4), pairs, 4, np.random.default_rng(0))
    assert (drawn[:200] == 3).mean() > 0.9
    assert set(drawn[200:]) == {0, 1, 2}
    assert (
        len(
            _negatives(
                np.zeros(3, int),
                np.arange(2),
                np.arange(2),
                2,
                np.random.default_rng(0),
            )
        )
        == 3
    )


def test_an_epoch_of_lightgcn_has_so_many_steps_at_most(ring, monkeypatch):
    seen, once = [], LightGCN._gradient

    def counted(self, first, rows, penalty):
        seen.append(len(rows[0]))
        return once(self, first, rows, penalty)

    monkeypatch.setattr(LightGCN, "_gradient", counted)
    LightGCN(ring, epochs=2, width=8, batch=1, steps=3, progress=False)
    pairs = LightGCN(ring, epochs=0, width=8, progress=False).counts.history.nnz
    assert len(seen) == 2 * 3 and sum(seen) == 2 * pairs
