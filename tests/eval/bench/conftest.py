"""What the benchmark of the checkerboard measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.bench.run import run
from eval.bench.setup import recipe_of
from eval.contenders import BASELINES
from tests.eval.bench.board import BOARD, FAST


@pytest.fixture(scope="module")
def result(no_trees, tiny_text):
    recipe = recipe_of(BOARD, Path("data"), [f"text.model={tiny_text}", *FAST])
    names = [name for name in BASELINES if name not in {"LightGCN", "SASRec"}]
    return {
        "command": "python -m eval benchmark",
        **run(BOARD, recipe, device="cpu", bars=False, names=names),
    }
