"""LightGCN and SASRec: what a few seconds of training must get right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from eval.baselines.attention import Attention
from eval.baselines.lightgcn import LightGCN, _adjacency, _negatives
from eval.baselines.sasrec import SASRec, _pieces
from fusion.query_batch import QueryBatch, Ragged
from kg.graph import build_graph
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.sources.checkerboard import Checkerboard
from kg.tables import Tables

RING = 12  # whoever takes item i takes item i + 1 next, so that order alone tells what comes
QUICK: dict[str, Any] = {
    "length": 6,
    "width": 16,
    "dropout": 0.1,
    "rate": 0.01,
    "batch": 16,
    "progress": False,
}


def snapshot(lists, items):
    """Users with items in order of time; the last item is never taken."""
    schema = GraphSchema(
        (NodeType("user", "user"), NodeType("item", "item")),
        (EdgeType("took", "user", "item", "interaction", time="t"),),
    )
    rows = [
        (f"u{u}", f"i{item}", float(t))
        for u, some in enumerate(lists)
        for t, item in enumerate(some)
    ]
    edges = pa.table(
        list(map(list, zip(*rows, strict=True))), ["source", "target", "time"]
    )
    nodes = {"user": pa.table({"id": [f"u{u}" for u in range(len(lists) + 1)]})}
    nodes["item"] = pa.table({"id": [f"i{i}" for i in range(items + 1)]})
    return build_graph(Tables(schema, nodes, {"took": edges}))


def query(*rows):
    """Queries of (user, items)."""
    none = Ragged.of([[]] * len(rows))
    users = np.array([user for user, _ in rows])
    return QueryBatch(
        users, Ragged.of([items for _, items in rows]), ("",) * len(rows), none, users
    )


@pytest.fixture(scope="module")
def ring():
    return snapshot(
        [[(u + t) % RING for t in range(7)] for u in range(RING)] + [[0, 1]], RING
    )


@pytest.fixture(scope="module")
def sasrec(ring):
    return SASRec(ring, epochs=60, **QUICK)


@pytest.fixture(scope="module")
def board():
    source = Checkerboard()
    graph = build_graph(source.load())
    withheld = {
        graph.vocabs["user"].row(u): graph.vocabs["item"].row(i)
        for u, i in source.withheld.items()
    }
    return graph, withheld


@pytest.fixture(scope="module")
def lightgcn(board):
    return LightGCN(board[0], epochs=150, width=16, rate=0.01, batch=64, progress=False)


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


def test_attention_never_looks_ahead_or_at_padding():
    torch.manual_seed(0)
    network = Attention(10, 8, 2, 6, 0.5).eval()
    rows = torch.tensor([[1, 2, 3, 4]])
    later = network(torch.tensor([[1, 2, 3, 9]]))
    torch.testing.assert_close(network(rows)[:, :3], later[:, :3])
    assert (network(rows)[:, 3] != later[:, 3]).any()
    padded = network(torch.tensor([[10, 10, 1, 2, 3, 4], [10, 10, 10, 10, 10, 10]]))
    torch.testing.assert_close(padded[:1, 2:], network(rows))
    assert padded.isfinite().all()


def test_pieces_meet_and_end_with_the_latest():
    assert [p.tolist() for p in _pieces(np.arange(8), 4)] == [
        [4, 5, 6, 7],
        [1, 2, 3, 4],
        [0, 1],
    ]
    assert [p.tolist() for p in _pieces(np.arange(3), 4)] == [[0, 1, 2]]
    assert list(_pieces(np.arange(1), 4)) == []


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


def test_an_epoch_of_lightgcn_has_so_many_steps_at_most(ring, monkeypatch):
    seen, once = [], LightGCN._gradient

    def counted(self, first, rows, penalty):
        seen.append(len(rows[0]))
        return once(self, first, rows, penalty)

    monkeypatch.setattr(LightGCN, "_gradient", counted)
    LightGCN(ring, epochs=2, width=8, batch=1, steps=3, progress=False)
    pairs = LightGCN(ring, epochs=0, width=8, progress=False).counts.history.nnz
    assert len(seen) == 2 * 3 and sum(seen) == 2 * pairs


def test_without_histories_there_is_nothing_to_learn(ring):
    nobody = replace(
        ring, events=replace(ring.events, user=np.full(len(ring.events), -1))
    )
    with pytest.raises(ValueError, match="LightGCN: no event has a user"):
        LightGCN(nobody)
    with pytest.raises(ValueError, match="SASRec: no user has two events"):
        SASRec(nobody)
