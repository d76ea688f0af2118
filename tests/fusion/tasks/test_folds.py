import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from fusion.tasks.folds import FoldConfig, held_events, make_folds
from kg.errors import DataError
from kg.graph import build_graph
from kg.split.held import events_table
from kg.split.time import TimeSplit


def rows(events):
    times = np.nan_to_num(events.time, nan=-1)
    return list(
        zip(
            *(c.tolist() for c in (events.user, events.bundle, events.item, times)),
            strict=True,
        )
    )


def test_windows_are_the_last_of_the_time_and_each_looks_at_what_was_before(shop):
    graph = build_graph(shop())  # times are whole, 0..9
    folds = make_folds(graph, FoldConfig(3, 2.0, cold=0.0), seed=0)
    spans = [{time for *_, time in rows(fold.asked)} for fold in folds]
    assert spans == [{8, 9}, {6, 7}, {4, 5}]
    for fold, end in zip(folds, (7, 5, 3), strict=True):
        assert rows(fold.graph.events) == [e for e in rows(graph.events) if e[3] <= end]
        assert all(
            (edge.time <= end).all()
            for edge in fold.graph.edges.values()
            if not np.isnan(edge.time).all()
        )
    asked = [e for fold in folds for e in rows(fold.asked)]
    assert sorted(asked) == sorted(e for e in rows(graph.events) if e[3] > 3)


def test_one_unknown_time_is_enough_to_deal(shop):
    graph = build_graph(shop())
    time = graph.events.time.copy()
    time[-1] = np.nan
    graph = replace(graph, events=replace(graph.events, time=time))
    folds = make_folds(graph, FoldConfig(2, 2.0, cold=0.0), seed=0)
    assert sorted(e for fold in folds for e in rows(fold.asked)) == sorted(
        rows(graph.events)
    )


@pytest.mark.parametrize("count", [2, 3, 5])
def test_dealt_events_are_asked_about_once_and_bundles_stay_whole(shop, count):
    graph = build_graph(shop(timed=False))
    folds = make_folds(graph, FoldConfig(count, cold=0.0), seed=1)
    assert sorted(e for fold in folds for e in rows(fold.asked)) == sorted(
        rows(graph.events)
    )
    bundles = [set(fold.asked.bundle.tolist()) - {-1} for fold in folds]
    assert sum(map(len, bundles)) == len(set.union(*bundles))
    sizes = [
        len(b) + (fold.asked.bundle < 0).sum()
        for b, fold in zip(bundles, folds, strict=True)
    ]
    assert max(sizes) - min(sizes) <= 1


def test_a_dealt_fold_forgets_its_bundles_and_its_users_other_takings_of_their_items_and_no_more(
    shop,
):
    graph = build_graph(shop(timed=False))
    for fold in make_folds(graph, FoldConfig(2, cold=0.0), seed=1):
        asked = rows(fold.asked)
        pairs, bundles = (
            {(u, i) for u, _, i, _ in asked},
            {b for _, b, _, _ in asked if b >= 0},
        )
        kept = [
            e
            for e in rows(graph.events)
            if e[1] not in bundles and not (e[1] < 0 and (e[0], e[2]) in pairs)
        ]
        assert rows(fold.graph.events) == kept
        bought = fold.graph.edges[("user", "bought", "item")]
        assert set(zip(bought.source, bought.target, strict=True)) == {
            (u, i) for u, b, i, _ in kept if b < 0
        }
        assert not bundles & set(
            fold.graph.edges[("bundle", "holds", "item")].source.tolist()
        )


def test_one_moment_for_all_is_no_time(shop):
    graph = build_graph(shop())
    still = replace(
        graph, events=replace(graph.events, time=np.zeros(len(graph.events)))
    )
    folds = make_folds(still, FoldConfig(2, cold=0.0), seed=0)
    assert sorted(e for fold in folds for e in rows(fold.asked)) == sorted(
        rows(still.events)
    )
    assert not any(fold.earliest for fold in folds)


def test_folds_by_user_keep_users_whole(shop):
    graph = build_graph(shop())
    folds = make_folds(graph, FoldConfig(2, by="user", cold=0.0), seed=1)
    assert sorted(e for fold in folds for e in rows(fold.asked)) == sorted(
        rows(graph.events)
    )
    users = [set(fold.asked.user.tolist()) - {-1} for fold in folds]
    assert users[0] and users[1] and not users[0] & users[1]
    for fold, asked in zip(folds, users, strict=True):
        owned = {e[1] for e in rows(fold.asked) if e[1] >= 0}
        assert not owned & set(fold.graph.events.bundle.tolist())
        alone = fold.graph.events.take(fold.graph.events.bundle < 0)
        assert not asked & set(alone.user.tolist())


def test_folds_by_what_was_taken_last_ask_about_the_last_but_some(shop):
    graph = build_graph(shop())
    alone = [e for e in rows(graph.events) if e[1] < 0]
    history = {
        u: sorted((e for e in alone if e[0] == u), key=lambda e: (e[3], e[2]))
        for u in {e[0] for e in alone}
    }
    assert {len(h) for h in history.values()} & {
        1,
        2,
        3,
    }  # some have too few to be asked
    folds = make_folds(graph, FoldConfig(2, by="last", cold=0.0), seed=0)
    for number, fold in enumerate(folds):
        asked = {u: h[-1 - number] for u, h in history.items() if len(h) >= number + 3}
        assert sorted(rows(fold.asked)) == sorted(asked.values())
        gone = {e for u in asked for e in history[u][len(history[u]) - 1 - number :]}
        assert rows(fold.graph.events) == [
            e for e in rows(graph.events) if e not in gone
        ]
    assert [fold.earliest for fold in folds] == [False, True]
    with pytest.raises(
        DataError,
        match=r"no user has \d+ dated interactions outside bundles; lower folds.count",
    ):
        make_folds(graph, FoldConfig(99, by="last"), seed=0)


def test_windows_need_times(shop):
    with pytest.raises(DataError, match="some events have no time"):
        make_folds(build_graph(shop(timed=False)), FoldConfig(by="time"), seed=0)


def test_the_seed_decides_how_events_are_dealt(shop):
    graph = build_graph(shop(timed=False))
    one, again, other = (
        [rows(f.asked) for f in make_folds(graph, FoldConfig(2, cold=0.0), s)]
        for s in (0, 0, 1)
    )
    assert one == again != other


@pytest.mark.parametrize("timed", [True, False])
def test_cold_items_were_never_taken_but_are_asked_about_and_known(shop, timed):
    graph = build_graph(shop(timed=timed))
    pretrain_head, folds = (
        make_folds(graph, FoldConfig(2, 2.0, cold), seed=0) for cold in (0.0, 0.5)
    )
    forgotten = []
    for before, fold in zip(pretrain_head, folds, strict=True):
        assert rows(fold.asked) == rows(before.asked)
        gone = set(before.graph.events.item.tolist()) - set(
            fold.graph.events.item.tolist()
        )
        forgotten.append(gone)
        assert rows(fold.graph.events) == [
            e for e in rows(before.graph.events) if e[2] not in gone
        ]
        assert not gone & set(
            fold.graph.edges[("bundle", "holds", "item")].target.tolist()
        )
        assert not gone & set(
            fold.graph.edges[("user", "bought", "item")].target.tolist()
        )
        assert len(fold.graph.edges[("item", "by", "brand")]) == len(
            graph.edges[("item", "by", "brand")]
        )
    assert (
        all(2 <= len(gone) <= 7 for gone in forgotten) and forgotten[0] != forgotten[1]
    )


def test_what_cannot_be_cut_is_refused(shop):
    tables = shop()
    nothing = {name: table.slice(0, 0) for name, table in tables.edges.items()}
    with pytest.raises(DataError, match="no interactions"):
        make_folds(build_graph(tables.with_tables(edges=nothing)), FoldConfig(), 0)
    with pytest.raises(
        DataError,
        match=re.escape(
            "window 2 of 2 asks about -3..3, but training runs from 0 to 9"
        ),
    ):
        make_folds(build_graph(tables), FoldConfig(2, 6.0), 0)
    graph = build_graph(shop(timed=False))
    with pytest.raises(DataError, match="at least 2 folds"):
        make_folds(graph, FoldConfig(1), 0)
    with pytest.raises(DataError, match="cannot be dealt into 99 folds"):
        make_folds(graph, FoldConfig(99), 0)


@pytest.mark.parametrize(
    "wrong", [{"count": 0}, {"length": 0.0}, {"cold": 1.0}, {"cold": -0.1}]
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="folds"):
        FoldConfig(**wrong)


def test_held_events_come_in_the_rows_of_the_training_graph(shop):
    split = TimeSplit(4, 6)(shop())
    graph = build_graph(split.train)
    held, table = held_events(graph, split.test.events), split.test.events
    assert (
        len(held) == len(table) > 5
        and (held.bundle >= 0).any()
        and (held.bundle < 0).any()
    )
    for number, row in enumerate(table.to_pylist()):
        assert graph.vocabs["item"].key(held.item[number]) == row["item"]
        user = (
            graph.vocabs["user"].key(held.user[number])
            if held.user[number] >= 0
            else None
        )
        assert user == row["user"] and held.time[number] == row["time"]
    bundles = table["bundle"].to_pylist()
    same = [[a == b and a is not None for a in bundles] for b in bundles]
    assert ((held.bundle[:, None] == held.bundle) & (held.bundle >= 0)).tolist() == same


def test_held_events_of_unknown_items_are_left_out_and_unknown_users_are_nobody(shop):
    graph = build_graph(shop())
    table = events_table(shop()).slice(0, 3)
    table = table.set_column(2, "item", pa.array(["i1", "what is this", "i2"]))
    held = held_events(
        graph, table.set_column(0, "user", pa.array(["u1", "u1", "who"]))
    )
    assert (
        rows(held)[0][0] == 1
        and rows(held)[1][0] == -1
        and held.item.tolist() == [1, 2]
    )


@pytest.mark.parametrize("keep", ["i0", "i3"])
def test_held_bundles_keep_their_words(worded, keep):
    split = TimeSplit(4, 6)(worded())
    table = split.test.events.take(
        np.random.default_rng(0).permutation(len(split.test.events))
    )
    items = ["gone" if item == keep else item for item in table["item"].to_pylist()]
    table = table.set_column(
        2, "item", pa.array(items)
    )  # what is left out must not shift the words
    held = held_events(build_graph(split.train), table)
    rows = [row for row in table.to_pylist() if row["item"] != "gone"]
    assert len({row["words"] for row in rows}) > 3 and any(
        row["words"] is None for row in rows
    )
    for bundle, row in zip(held.bundle.tolist(), rows, strict=True):
        words = "" if row["bundle"] == "b3" else f"what {row['bundle']} is for"
        assert (
            bundle < 0
            if row["bundle"] is None
            else held.words[bundle] == row["words"] == words
        )
