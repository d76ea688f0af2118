"""Nothing held out may be left in training: every split on every source, and on random graphs."""

import importlib
import pkgutil
from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import kg.sources
from kg.errors import DataError
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.sources.checkerboard import Checkerboard
from kg.sources.folder import Folder
from kg.split.grouped import GroupedSplit
from kg.split.held import Split, events_table
from kg.split.last import LeaveLast
from kg.split.time import TimeSplit
from kg.stores.base import read_tables, write_tables
from kg.stores.embedded import EmbeddedStore
from kg.tables import Tables

SCHEMA = GraphSchema(
    nodes=(
        NodeType("user", "user"),
        NodeType("bundle", "bundle"),
        NodeType("item", "item"),
        NodeType("shop", "attribute"),
    ),
    edges=(
        EdgeType("made", "user", "bundle", "interaction", time="t"),
        EdgeType("bought", "user", "item", "interaction", time="t"),
        EdgeType("rented", "user", "item", "interaction", time="t"),
        EdgeType("holds", "bundle", "item", "membership", time="t"),
        EdgeType("seen", "user", "item", "relation", time="t"),
        EdgeType("in_shop", "bundle", "shop", "relation"),
        EdgeType("sells", "shop", "item", "relation"),
    ),
)


def random_graph(seed: int) -> Tables:
    """Bundles with several owners or none, items taken alone, edges of every kind at times 0..9."""
    rng = np.random.default_rng(seed)
    sizes = {"user": 8, "bundle": 20, "item": 12, "shop": 2}
    ids = {
        name: [f"{name[0]}{n}" for n in rng.permutation(size)]
        for name, size in sizes.items()
    }
    edges = {}
    for edge in SCHEMA.edges:
        pairs = {
            (str(rng.choice(ids[edge.source])), str(rng.choice(ids[edge.target])))
            for _ in range(30)
        }
        columns = dict(
            zip(
                ("source", "target"),
                map(list, zip(*sorted(pairs), strict=True)),
                strict=True,
            )
        )
        edges[edge.name] = pa.table(columns).append_column(
            "time", pa.array(rng.integers(0, 10, len(pairs)) * 1.0)
        )
    return Tables(
        SCHEMA, {name: pa.table({"id": keys}) for name, keys in ids.items()}, edges
    )


def examples() -> dict[str, Tables]:
    found = {f"random {seed}": random_graph(seed) for seed in range(3)}
    for module in pkgutil.iter_modules(kg.sources.__path__):
        for name, value in vars(
            importlib.import_module(f"kg.sources.{module.name}")
        ).items():
            if isinstance(value, type) and hasattr(value, "example"):
                found[name] = value.example()
    return found


def by_time(tables: Tables, **settings) -> TimeSplit:
    times = np.unique(events_table(tables)["time"])
    return TimeSplit(times[-3], times[-2], **settings)


EXAMPLES = {
    name: tables for name, tables in examples().items() if len(events_table(tables))
}
SPLITS = {
    "time": by_time,
    "time and cold": lambda tables: by_time(tables, cold_fraction=0.3),
    "last": lambda tables: LeaveLast(),
    "users": lambda tables: GroupedSplit(0.3, 0.3),
    "other users": lambda tables: GroupedSplit(0.3, 0.3, fold=2),
    "bundles": lambda tables: GroupedSplit(0.3, 0.3, group="bundle"),
}
CASES = [
    pytest.param(tables, make(tables), id=f"{name}, {source}")
    for source, tables in EXAMPLES.items()
    for name, make in SPLITS.items()
    if name in {"users", "other users", "bundles"}
    or not np.isnan(events_table(tables)["time"]).any()
    if name != "bundles" or tables.schema.of_role("bundle")
]


def events(table: pa.Table) -> set[tuple[Any, ...]]:
    return {
        tuple(None if value != value else value for value in row.values())
        for row in table.to_pylist()
    }


def leaks(split: Split, config=None) -> list[str]:
    """What of the held-out events can be found in the training tables."""
    train, found = events(events_table(split.train)), []
    bundle, user = (
        split.train.schema.of_role("bundle"),
        split.train.schema.of_role("user"),
    )
    bundles = set(split.train.nodes[bundle.name]["id"].to_pylist()) if bundle else set()
    for held in (split.valid, split.test):
        found += [f"event {event}" for event in events(held.events) & train]
        found += [
            f"bundle {b}" for b in bundles & set(held.events["bundle"].to_pylist())
        ]
    if isinstance(config, TimeSplit):
        for edge in split.train.schema.edges:
            if (
                edge.time
                and (
                    split.train.edges[edge.name]["time"].to_numpy() > config.train_until
                ).any()
            ):
                found.append(f"late {edge.name}")
    if isinstance(config, GroupedSplit) and config.group == "user":
        gone = set(split.valid.events["user"].to_pylist()) | set(
            split.test.events["user"].to_pylist()
        )
        for edge in split.train.schema.edges:
            if (
                user
                and edge.source == user.name
                and split.train.schema.node(edge.target).role in {"item", "bundle"}
            ):
                found += [
                    f"{edge.name} of {u}"
                    for u in gone
                    & set(split.train.edges[edge.name]["source"].to_pylist())
                ]
    return found


@pytest.mark.parametrize(("tables", "config"), CASES)
class TestEverySplit:
    def test_leaks_nothing(self, tables, config):
        assert leaks(config(tables), config) == []

    def test_parts_are_disjoint_and_made_of_the_events(self, tables, config):
        split = config(tables)
        valid, test, train = (
            events(t)
            for t in (split.valid.events, split.test.events, events_table(split.train))
        )
        assert valid and test and train
        assert not valid & test and valid | test | train <= events(events_table(tables))
        bundles = [{b for _, b, *_ in part} - {None} for part in (valid, test)]
        assert not bundles[0] & bundles[1]
        if isinstance(config, GroupedSplit) and config.group == "user":
            users = [
                {user for user, *_ in part} - {None} for part in (valid, test, train)
            ]
            assert not users[0] & users[1] and not (users[0] | users[1]) & users[2]

    def test_only_bundles_leave_the_nodes(self, tables, config):
        train = config(tables).train
        for node in tables.schema.nodes:
            if node.role != "bundle":
                assert train.nodes[node.name].equals(tables.nodes[node.name])

    def test_cold_items_have_no_training_event(self, tables, config):
        split = config(tables)
        ids = np.array(split.train.nodes[tables.schema.item.name]["id"].to_pylist())
        assert set(ids[~split.cold]) == set(
            events_table(split.train)["item"].to_pylist()
        )

    def test_row_order_does_not_matter(self, tables, config):
        rng = np.random.default_rng(0)
        nodes, edges = (
            {
                name: table.take(rng.permutation(len(table)))
                for name, table in part.items()
            }
            for part in (tables.nodes, tables.edges)
        )
        assert (
            config(Tables(tables.schema, nodes, edges)).fingerprint
            == config(tables).fingerprint
        )

    def test_a_planted_leak_is_found(self, tables, config):
        split = config(tables)
        keep = {n.name: tables.nodes[n.name] for n in tables.schema.nodes}
        leaky = Tables(
            tables.schema, keep, {**split.train.edges, **interactions(tables)}
        )
        assert leaks(Split(leaky, split.valid, split.test, split.cold), config)


def interactions(tables: Tables) -> dict[str, pa.Table]:
    return {
        e.name: tables.edges[e.name]
        for e in tables.schema.edges
        if e.role != "relation"
    }


def test_the_fingerprint_survives_a_store_and_tells_splits_apart(tmp_path):
    tables = Checkerboard.example()
    with EmbeddedStore(str(tmp_path / "graph.duckdb"), create=True) as store:
        write_tables(store, tables)
        assert (
            TimeSplit(1, 2)(read_tables(store)).fingerprint
            == TimeSplit(1, 2)(tables).fingerprint
        )
    assert (
        len(
            {
                split(tables).fingerprint
                for split in (TimeSplit(1, 2), TimeSplit(0, 2), LeaveLast(test=2))
            }
        )
        == 3
    )


def test_events_table_names_owner_bundle_item_and_time():
    table = events_table(Checkerboard.example())
    assert table.schema.types == [pa.string()] * 3 + [pa.float64()]
    assert table.column_names == ["user", "bundle", "item", "time"]
    assert all(
        row["bundle"] == f"{row['user']}-{row['time']:.0f}" for row in table.to_pylist()
    )
    assert events_table(Folder.example())["bundle"].null_count == 9


def test_a_bundle_is_whole_in_the_part_of_its_latest_edge():
    tables = random_graph(5)
    split = TimeSplit(5, 7)(tables)
    latest: defaultdict[str, float] = defaultdict(lambda: -1)
    for name, end in (("made", "target"), ("holds", "source")):
        for row in tables.edges[name].to_pylist():
            latest[row[end]] = max(latest[row[end]], row["time"])
    held = {
        b
        for part in (split.valid, split.test)
        for b in part.events["bundle"].to_pylist()
        if b
    }
    full = set(tables.edges["holds"]["source"].to_pylist())
    assert held == {b for b in full if latest[b] > 5}
    for part in (split.valid, split.test):
        content = defaultdict(set)
        for user, bundle, item, _ in events(part.events):
            content[user, bundle].add(item)
        for (_, bundle), items in content.items():
            inside = {
                r["target"]
                for r in tables.edges["holds"].to_pylist()
                if r["source"] == bundle
            }
            assert bundle is None or items == inside
    assert not events(split.test.events) & {
        e for e in events(events_table(tables)) if e[1] and latest[e[1]] <= 7
    }
    assert set(split.train.nodes["bundle"]["id"].to_pylist()) & full == {
        b for b in full if latest[b] <= 5
    }


@pytest.mark.parametrize("config", [TimeSplit(1, 2), LeaveLast()])
def test_events_without_a_time_cannot_be_ordered(config, timeless):
    with pytest.raises(
        DataError, match="6 of 6 events have no time, one of them of item 'x'"
    ):
        config(timeless)
