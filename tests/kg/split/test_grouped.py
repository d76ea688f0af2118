"""GroupedSplit: whole groups, drawn by seed, without any time."""

import pytest

from kg.errors import DataError
from kg.sources.checkerboard import Checkerboard
from kg.split.grouped import GroupedSplit


def test_users_are_held_out_whole_and_need_no_time(timeless):
    split = GroupedSplit(1 / 3, 1 / 3)(timeless)
    parts = [
        set(part["user"].to_pylist())
        for part in (split.valid.events, split.test.events)
    ]
    left = set(split.train.edges["took"]["source"].to_pylist())
    assert [len(part) for part in (*parts, left)] == [2, 2, 2]
    assert parts[0] | parts[1] | left == set("abcdef")


def test_seeds_differ():
    tables = Checkerboard().load()
    assert (
        GroupedSplit(0.2, 0.2)(tables).fingerprint
        != GroupedSplit(0.2, 0.2, seed=1)(tables).fingerprint
    )


@pytest.mark.parametrize(
    "arguments",
    [
        (0, 0.5),
        (0.5, 0.5),
        (0.5, -0.1),
        (0.1, 0.1, 0, "item"),
        *((0.2, 0.25, 0, "user", n) for n in (-1, 4)),
    ],
)
def test_settings_out_of_range(arguments):
    with pytest.raises(
        ValueError, match=r"fractions must be|group must be|fold must be at least 0"
    ):
        GroupedSplit(*arguments)


def test_too_few_groups():
    with pytest.raises(DataError, match="no test events"):
        GroupedSplit(0.1, 0.01)(Checkerboard.example())
