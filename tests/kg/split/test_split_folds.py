"""Folds of a grouped split, what is refitted, and the words of a split's bundles."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from kg.sources.checkerboard import Checkerboard
from kg.split.grouped import GroupedSplit
from kg.split.held import events_table
from kg.split.last import LeaveLast
from kg.split.time import TimeSplit


@pytest.mark.parametrize("count", [3, 4, 5, 7])
def test_folds_test_every_group_once(count):
    tables = Checkerboard(users=23).load()
    seen: list[str] = []
    first = GroupedSplit(0.2, 1 / count)(tables)
    for fold in range(count):
        split = GroupedSplit(0.2, 1 / count, fold=fold)(tables)
        valid, test = (
            set(part.events["user"].to_pylist()) for part in (split.valid, split.test)
        )
        assert not valid & test and len(valid) == round(0.2 * 23)
        assert (split.fingerprint == first.fingerprint) == (fold == 0)
        seen += test
    assert len(seen) == 23 and set(seen) == set(tables.nodes["user"]["id"].to_pylist())


def test_the_first_fold_is_the_run_that_is_drawn_first():
    split = GroupedSplit(0.25, 0.5)(Checkerboard(users=8).load())
    drawn = np.random.default_rng(0).permutation(
        np.arange(-9, -1)
    )  # -2 - the user's rank by id
    names = sorted(Checkerboard(users=8).load().nodes["user"]["id"].to_pylist())
    parts = [{names[-2 - group] for group in run} for run in (drawn[:4], drawn[4:6])]
    assert [
        set(part.events["user"].to_pylist()) for part in (split.test, split.valid)
    ] == parts


def test_events_carry_their_bundles_words_where_there_are_any(worded, shop):
    assert events_table(shop()).column_names == ["user", "bundle", "item", "time"]
    rows = events_table(worded()).to_pylist()
    named = {
        b: None if b is None else "" if b == "b3" else f"what {b} is for"
        for b in {row["bundle"] for row in rows}
    }
    assert None in named and all(row["words"] == named[row["bundle"]] for row in rows)


def events(table):
    return {tuple(row.values()) for row in table.to_pylist()}


@pytest.mark.parametrize(
    "config",
    [
        TimeSplit(1, 2, refit=True),
        TimeSplit(1, 2, cold_fraction=0.2, refit=True),
        LeaveLast(),
    ],
)
def test_later_the_training_tables_hold_the_validation_events_and_still_nothing_of_the_test(
    config,
):
    tables = Checkerboard(baskets=6).load()
    split = config(tables)
    later = split.later
    assert later is not None and replace(config, refit=False)(tables).later is None
    assert replace(config, refit=False)(tables).fingerprint == split.fingerprint
    assert later.valid.events.equals(split.valid.events) and later.test.events.equals(
        split.test.events
    )
    before, after = events(events_table(split.train)), events(events_table(later.train))
    gone = set(split.train.vocab("item").ids.filter(pa.array(split.cold)).to_pylist())
    known = {
        row
        for row in events(split.valid.events)
        if not (isinstance(config, TimeSplit) and row[2] in gone)
    }
    assert before < after and after - before == known
    assert not after & events(split.test.events)
    assert (later.cold <= split.cold).all()
