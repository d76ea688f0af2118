"""Small models trained once for every file of tests here."""

from __future__ import annotations

import pytest

from eval.baselines.lightgcn import LightGCN
from eval.baselines.sasrec import SASRec
from kg.graph import build_graph
from kg.sources.checkerboard import Checkerboard
from tests.eval.baselines.ring import QUICK, RING, snapshot


@pytest.fixture(scope="session")
def ring():
    return snapshot(
        [[(u + t) % RING for t in range(7)] for u in range(RING)] + [[0, 1]], RING
    )


@pytest.fixture(scope="session")
def sasrec(ring):
    return SASRec(ring, epochs=60, **QUICK)


@pytest.fixture(scope="session")
def board():
    source = Checkerboard()
    graph = build_graph(source.load())
    withheld = {
        graph.vocabs["user"].row(u): graph.vocabs["item"].row(i)
        for u, i in source.withheld.items()
    }
    return graph, withheld


@pytest.fixture(scope="session")
def lightgcn(board):
    return LightGCN(board[0], epochs=150, width=16, rate=0.01, batch=64, progress=False)
