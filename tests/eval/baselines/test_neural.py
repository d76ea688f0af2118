"""What LightGCN and SASRec must both get right after a few seconds of training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from eval.baselines.lightgcn import LightGCN
from eval.baselines.sasrec import SASRec
from tests.eval.baselines.ring import QUICK, query


def test_with_nothing_to_go_by_popularity_decides(ring, sasrec, board, lightgcn):
    # Nobody, a user without a history, and an context item that nobody took.
    for model, graph, bare in ((sasrec, ring, 13), (lightgcn, board[0], -1)):
        last = graph.size("item") - 1
        scores = model.score(query((-1, []), (bare, []), (-1, [last])))
        popularity = np.bincount(graph.events.item, minlength=last + 1)
        assert scores.dtype == np.float32
        for row in scores:
            assert (np.diff(row[np.argsort(popularity, kind="stable")]) >= 0).all()
            assert row[popularity.argmax()] > row[last]
        assert (
            model.score(query((0, [])))[0, :last] > model.score(query((0, [])))[0, last]
        ).sum() >= last - 1


def test_asks_do_not_see_each_other(sasrec, lightgcn):
    mixed = query(
        (0, [3, 4]), (-1, []), (1, []), (-1, [11, 0, 1, 2, 3, 4, 5, 6, 7]), (2, [7])
    )
    for model in (sasrec, lightgcn):
        alone = np.concatenate(
            [model.score(mixed.take(np.array([b]))) for b in range(len(mixed))]
        )
        np.testing.assert_allclose(model.score(mixed), alone, rtol=1e-4, atol=1e-4)


def test_the_same_seed_gives_the_same_and_the_world_goes_on(ring):
    queries = query((0, []), (-1, [3]))
    makers: dict[Any, dict[str, Any]] = {
        SASRec: QUICK,
        LightGCN: {"width": 8, "progress": False},
    }
    for maker, options in makers.items():
        torch.manual_seed(5)
        one = maker(ring, epochs=2, **options).score(queries)
        after = torch.rand(1)
        two = maker(ring, epochs=2, **options).score(queries)
        np.testing.assert_array_equal(one, two)
        assert (maker(ring, epochs=2, seed=1, **options).score(queries) != one).any()
        torch.manual_seed(5)
        assert torch.rand(1) == after, "training drew from the process's own generator"


def test_without_histories_there_is_nothing_to_learn(ring):
    nobody = replace(
        ring, events=replace(ring.events, user=np.full(len(ring.events), -1))
    )
    with pytest.raises(ValueError, match="LightGCN: no event has a user"):
        LightGCN(nobody)
    with pytest.raises(ValueError, match="SASRec: no user has two events"):
        SASRec(nobody)
