"""SASRec: the order it learns, its loss and its pieces."""

from __future__ import annotations

import numpy as np
import torch

from eval.baselines.sasrec import SASRec, _pieces
from tests.eval.baselines.ring import QUICK, query


def test_sasrec_learns_the_order(sasrec):
    # The same items in another order lead elsewhere.
    scores = sasrec.score(
        query((-1, [3, 4, 5]), (-1, [5, 4, 3]), (-1, [11]), (2, []), (2, [6, 7]))
    )
    assert scores.argmax(axis=1)[[0, 2, 3, 4]].tolist() == [6, 0, 9, 8]
    assert scores[1].argmax() != 6


def test_sasrec_with_negatives_drawn_learns_it_too(ring):
    model = SASRec(ring, epochs=60, negatives=4, **QUICK)
    assert model.score(query((-1, [3, 4, 5]), (-1, [11]))).argmax(axis=1).tolist() == [
        6,
        0,
    ]


def test_drawn_negatives_stand_for_the_catalogue(ring):
    model = SASRec(ring, epochs=1, **QUICK)
    torch.manual_seed(0)
    context, targets = torch.randn(5, 16), torch.arange(5)
    whole = model._loss(context, targets, 12)
    drawn = torch.stack([model._loss(context, targets, 4) for _ in range(400)]).mean()
    assert abs(whole - drawn) < 0.1 * whole
    model.network.items.weight.data = torch.eye(13, 16)
    assert model._loss(100 * torch.eye(5, 16), targets, 11) < 0.01, (
        "the target stood among the wrong ones"
    )


def test_pieces_meet_and_end_with_the_latest():
    assert [p.tolist() for p in _pieces(np.arange(8), 4)] == [
        [4, 5, 6, 7],
        [1, 2, 3, 4],
        [0, 1],
    ]
    assert [p.tolist() for p in _pieces(np.arange(3), 4)] == [[0, 1, 2]]
    assert list(_pieces(np.arange(1), 4)) == []
