"""Youshu: the canonical split, and the counts of the real files."""

import os
from pathlib import Path

import numpy as np
import pytest

from fusion.experiment import Recipe
from kg.config import load
from kg.errors import DataError
from kg.sources.youshu import _FILES, Youshu, parse

RECIPE = Path(__file__).parents[3] / "fusion" / "recipes" / "youshu.toml"
DATA = Path(os.environ.get("TROUSSEAU_DATA", "nowhere")) / "youshu"
ROWS = {
    "user_bundle_train": [(0, 1), (1, 0)],
    "user_bundle_tune": [(0, 0)],
    "user_bundle_test": [(1, 2)],
    "bundle_item": [(0, 3), (2, 1), (0, 3)],
    "user_item": [(1, 3)],
    "Youshu_data_size": [(2, 3, 4)],
}


def files(**changed):
    return {name: np.array(rows) for name, rows in {**ROWS, **changed}.items()}


def write(folder, **changed):
    for name, rows in {**ROWS, **changed}.items():
        text = (
            rows
            if isinstance(rows, str)
            else "".join("\t".join(map(str, row)) + "\n" for row in rows)
        )
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")


def test_the_part_of_the_split_is_the_time():
    tables = parse(files())
    took = {
        (row["source"], row["target"], row["time"])
        for row in tables.edges["took"].to_pylist()
    }
    assert took == {("0", "1", 0), ("1", "0", 0), ("0", "0", 1), ("1", "2", 2)}
    assert tables.edges["holds"].to_pydict() == {
        "source": ["0", "2"],
        "target": ["3", "1"],
    }
    assert [len(tables.nodes[name]) for name in ("user", "list", "book")] == [2, 3, 4]


def test_files_are_read(tmp_path):
    write(tmp_path)
    assert Youshu(str(tmp_path)).load().fingerprint() == parse(files()).fingerprint()


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        (
            {"user_item": "0\t1\n0\tx\n"},
            r"user_item\.txt: line 2 does not hold 2 numbers a line",
        ),
        (
            {"bundle_item": "0 1 2\n"},
            r"bundle_item\.txt: line 1 does not hold 2 numbers",
        ),
        ({"bundle_item": ""}, r"bundle_item\.txt: the file does not hold 2 numbers"),
        ({"user_item": [(2, 1)]}, "edge type 'read'.*'2'"),
        ({"user_bundle_test": [(0, 1)]}, r"user and list \[0, 1\] are there twice"),
    ],
)
def test_faults_are_named(tmp_path, changed, fault):
    write(tmp_path, **changed)
    with pytest.raises(DataError, match=fault):
        Youshu(str(tmp_path)).load()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=rf"{_FILES[0]}\.txt: No such file"):
        Youshu(str(tmp_path)).load()


def test_the_recipe_is_the_canonical_split_without_words():
    recipe = load(Recipe, RECIPE)
    assert isinstance(recipe.source, Youshu) and not recipe.fusion.text
    split = recipe.split(Youshu.example())
    times = [
        set(part["time"].to_pylist())
        for part in (split.train.edges["took"], split.valid.events, split.test.events)
    ]
    assert times == [{0}, {1}, {2}]


@pytest.mark.skipif(
    not DATA.is_dir(), reason="TROUSSEAU_DATA names no folder with youshu/"
)
def test_the_real_files():
    tables = Youshu(str(DATA)).load()
    assert [len(tables.nodes[name]) for name in ("user", "list", "book")] == [
        8039,
        4771,
        32770,
    ]
    assert [len(tables.edges[name]) for name in ("took", "holds", "read")] == [
        49_351,
        176_667,
        138_515,
    ]
    split = load(Recipe, RECIPE).split(tables)
    parts = (len(split.train.edges["took"]), len(split.valid), len(split.test))
    assert parts == (34_416, 5_189, 9_746)
