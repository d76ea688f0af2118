"""A benchmark of the checkerboard, which no page shows."""

from __future__ import annotations

from eval.bench.datasets import Benchmark, Figure

BOARD = Benchmark(
    name="board",
    title="Checkerboard",
    recipe="checkerboard",
    folder="",
    tasks={"words": ("HR@10", "NDCG@5"), "baskets": ("Recall@10",)},
    protocol="Made up.",
    traps="None | at all.",
    cross="has_colour",
    published=(Figure("A paper", "words", "HR@10", 0.5, "Nobody, 1999"),),
)


FAST = ("training.epochs=1", "evaluation.draws=20")


def names(report):
    return [row["name"] for row in report["blocks"][0]["rows"]]
