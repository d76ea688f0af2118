"""Every source keeps the same promises."""

import importlib
import pkgutil
from dataclasses import is_dataclass

import numpy as np
import pytest

import kg.sources
from kg.sources.checkerboard import Checkerboard
from kg.sources.completejourney import CompleteJourney
from kg.sources.folder import Folder
from kg.split.held import events_table
from kg.stores.base import read_tables, write_tables
from kg.stores.embedded import EmbeddedStore
from kg.tables import Tables

SOURCES = [
    value
    for module in pkgutil.iter_modules(kg.sources.__path__)
    for value in vars(importlib.import_module(f"kg.sources.{module.name}")).values()
    if isinstance(value, type)
    and hasattr(value, "example")
    and value.__module__.endswith(f".{module.name}")
]


def test_the_sources_are_found():
    assert {CompleteJourney, Checkerboard, Folder} <= set(SOURCES)


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.__name__)
class TestEverySource:
    def test_is_a_frozen_config_that_loads(self, source):
        assert is_dataclass(source) and vars(source)["__dataclass_params__"].frozen
        assert callable(vars(source)["load"])

    def test_example_is_small_and_the_same_each_time(self, source):
        tables = source.example()
        assert isinstance(tables, Tables)
        assert sum(map(len, tables.edges.values())) < 1000
        assert tables.fingerprint() == source.example().fingerprint()

    def test_example_has_events_where_it_has_users_and_times_for_all_or_none(
        self, source
    ):
        tables = source.example()
        events = events_table(tables)
        assert events["user"].null_count == 0 and bool(len(events)) == (
            tables.schema.of_role("user") is not None
        )
        untimed = np.isnan(events["time"].to_numpy())
        assert untimed.all() or (
            not untimed.any() and len(np.unique(events["time"])) >= 3
        )

    def test_items_of_the_example_have_words_where_their_type_has(self, source):
        tables = source.example()
        item = tables.schema.item
        assert not item.text or sum(map(bool, tables.texts(item.name))) >= 3

    def test_a_store_gives_the_example_back(self, source, tmp_path):
        tables = source.example()
        with EmbeddedStore(str(tmp_path / "graph.duckdb"), create=True) as store:
            write_tables(store, tables)
            assert read_tables(store).fingerprint() == tables.fingerprint()
