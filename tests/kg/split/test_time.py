"""TimeSplit: the borders of its parts, its cold items, and settings that it refuses."""

import numpy as np
import pytest

from kg.errors import DataError
from kg.sources.checkerboard import Checkerboard
from kg.split.held import events_table
from kg.split.time import TimeSplit


def test_borders():
    split = TimeSplit(1, 2)(Checkerboard(baskets=6).load())
    assert set(split.valid.events["time"].to_pylist()) == {2}
    assert set(split.test.events["time"].to_pylist()) == {3, 4, 5}
    assert set(events_table(split.train)["time"].to_pylist()) == {0, 1}
    later = TimeSplit(1, 2, test_from=4)(Checkerboard(baskets=6).load())
    assert set(later.test.events["time"].to_pylist()) == {4, 5}
    assert later.train.fingerprint() == split.train.fingerprint()


def test_a_share_of_the_items_goes_cold_and_keeps_its_relations():
    tables = Checkerboard(items=40, cold=0).load()
    split = TimeSplit(3, 4, cold_fraction=0.25)(tables)
    assert split.cold.sum() == 10
    assert split.train.edges["has_colour"].equals(tables.edges["has_colour"])
    other = TimeSplit(3, 4, cold_fraction=0.25, seed=1)(tables)
    assert (other.cold != split.cold).any()
    cold = set(np.array(tables.nodes["item"]["id"].to_pylist())[split.cold])
    assert cold & set(split.test.events["item"].to_pylist())


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ((2, 2), "train_until < valid_until"),
        ((1, 2, 1.5), "valid_until <= test_from"),
        ((float("nan"), 2), "train_until < valid_until"),
        ((1, 2, None, 1.0), "cold_fraction must be in 0..1"),
    ],
)
def test_settings_out_of_range(arguments, fault):
    with pytest.raises(ValueError, match=fault):
        TimeSplit(*arguments)


@pytest.mark.parametrize(
    ("cuts", "part"),
    [((-1, 2), "training"), ((1, 1.5), "validation"), ((1, 9), "test")],
)
def test_empty_parts(cuts, part):
    with pytest.raises(
        DataError, match=f"no {part} events .* times run from 0.0 to 3.0"
    ):
        TimeSplit(*cuts)(Checkerboard.example())
