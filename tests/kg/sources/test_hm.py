"""H&M: what parse promises, and the counts of the real files."""

import os
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from fusion.experiment import Recipe
from kg.config import load
from kg.errors import DataError
from kg.sources import hm
from kg.sources.hm import HM, parse
from kg.split.held import events_table
from kg.split.time import TimeSplit

RECIPE = Path(__file__).parents[3] / "fusion" / "recipes" / "hm.toml"
DATA = Path(os.environ.get("TROUSSEAU_DATA", "nowhere")) / "hm_fashion"


def articles(*ids, **columns):
    rows = {name: [f"{name} {n}" for n in range(len(ids))] for name in hm._ARTICLES}
    return pa.table(rows | {"article_id": list(ids)} | columns)


def purchases(*rows):
    """(day, customer, article), and a price where it matters."""
    priced = [(*row, 0.1)[:4] for row in rows]
    return pa.table(
        dict(zip(hm._PURCHASES, map(list, zip(*priced, strict=True)), strict=True))
    )


DAY = date(2020, 9, 20)


class TestParse:
    def test_an_article_counts_once_a_customers_day_and_only_bought_ones_stay(self):
        late = date(2020, 9, 21)
        bought = purchases(
            (late, "a", "7"),
            (DAY, "a", "8"),
            (DAY, "a", "7"),
            (DAY, "a", "7"),
            (DAY, "b", "0000000007"),
        )
        tables = parse(articles(7, 8, 9, detail_desc=["x.", None, "z."]), bought)
        assert tables.nodes["article"]["id"].to_pylist() == ["0000000007", "0000000008"]
        events = {
            (e["user"], e["bundle"], e["item"], e["time"])
            for e in events_table(tables).to_pylist()
        }
        assert events == {
            ("a", "a|2020-09-20", "0000000007", 18525.0),
            ("a", "a|2020-09-20", "0000000008", 18525.0),
            ("a", "a|2020-09-21", "0000000007", 18526.0),
            ("b", "b|2020-09-20", "0000000007", 18525.0),
        }
        assert len(tables.edges["contains"]) == 4 and len(tables.edges["made"]) == 3
        assert tables.nodes["product_code"]["id"].to_pylist() == [
            "product_code 0",
            "product_code 1",
        ]

    def test_words_read_as_the_shops_own_and_unknown_is_no_value(self):
        made = articles(
            7,
            8,
            prod_name=["Midi", "Box"],
            product_type_name=["Dress", "Unknown"],
            colour_group_name=["Red", "Black"],
            detail_desc=["Soft.", None],
            product_code=[12, 12],
        )
        tables = parse(made, purchases((DAY, "a", "7"), (DAY, "a", "8")))
        assert tables.texts("article") == ["Midi. Dress, Red. Soft.", "Box. Black"]
        assert tables.titles("article") == ["Midi", "Box"]
        assert tables.nodes["article"]["product_type"].to_pylist() == ["Dress", None]
        assert tables.edges["is_a"].to_pylist() == [
            {"source": "0000000007", "target": "Dress"}
        ]
        assert tables.edges["variant_of"]["target"].to_pylist() == ["12", "12"]
        assert tables.texts("product_code") == [""] and tables.texts("colour") == [
            "Black",
            "Red",
        ]

    def test_a_price_is_the_median_of_what_was_paid_and_no_text(self):
        paid = [
            ("7", 0.30005),
            ("7", 0.1),
            ("7", 0.2),
            ("8", 0.12341),
            ("8", 0.12344),
            ("9", None),
        ]
        bought = purchases(
            *((DAY, f"c{n}", article, price) for n, (article, price) in enumerate(paid))
        )
        article = parse(articles(7, 8, 9), bought).nodes["article"]
        assert article["price"].to_pylist() == [0.2, 0.1234, None]
        assert (
            hm.SCHEMA.item.columns[-1] == "price" and "price" not in hm.SCHEMA.item.text
        )

    def test_the_order_of_rows_makes_no_difference(self):
        bought = purchases(*((DAY, f"c{n % 5}", str(n % 7)) for n in range(30)))
        catalogue = articles(*range(7))
        shuffled = parse(
            catalogue.take(list(range(7))[::-1]),
            bought.take(np.random.default_rng(0).permutation(30)),
        )
        tables = parse(catalogue, bought)
        for name, table in (*tables.edges.items(), *tables.nodes.items()):
            other = (
                shuffled.edges[name] if name in shuffled.edges else shuffled.nodes[name]
            )
            if name not in {"made", "customer", "basket"}:
                assert table.equals(other), name
        assert tables.fingerprint() == shuffled.fingerprint()

    @pytest.mark.parametrize(
        ("catalogue", "bought", "message"),
        [
            (
                articles(7).drop_columns("prod_name"),
                None,
                r"articles\.parquet: no column prod_name; it has article_id",
            ),
            (
                articles("7", "71"),
                ((DAY, "a", "9"),),
                r"purchases\.parquet: column article_id: 0000000009 is",
            ),
            (
                articles(7, 7),
                None,
                r"articles\.parquet: column article_id: 0000000007 is there twice",
            ),
            (
                articles("seven"),
                None,
                r"articles\.parquet: column article_id: 'seven' is not a number",
            ),
            (
                articles(7),
                ((DAY, "a", "12345678901"),),
                r"purchases\.parquet: column article_id: '12345678901' is not",
            ),
            (
                articles(7),
                ((DAY, None, "7"),),
                r"purchases\.parquet: column customer_id: 1 of 1 values are missing",
            ),
            (
                articles(7),
                (("soon", "a", "7"),),
                r"purchases\.parquet: column t_dat: .*soon",
            ),
        ],
    )
    def test_faults_name_the_file_and_the_column(self, catalogue, bought, message):
        with pytest.raises(DataError, match=message) as fault:
            parse(catalogue, purchases(*(bought or ((DAY, "a", "7"),))))
        assert "\n" not in str(fault.value)


def test_files_that_are_missing_or_broken_are_named(tmp_path):
    with pytest.raises(DataError, match=r"articles\.parquet: no such file"):
        HM(str(tmp_path)).load()
    pq.write_table(articles(7), tmp_path / "articles.parquet")
    (tmp_path / "purchases.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"purchases\.parquet: ") as fault:
        HM(str(tmp_path)).load()
    assert "\n" not in str(fault.value)


def test_the_recipe_asks_for_the_baskets_of_22_september():
    recipe = load(Recipe, RECIPE)
    assert isinstance(recipe.source, HM)
    day = (DAY - date(1970, 1, 1)).days
    assert recipe.split == TimeSplit(day, day + 1)


@pytest.mark.slow
@pytest.mark.skipif(
    not DATA.is_dir(), reason="TROUSSEAU_DATA names no folder with hm_fashion/"
)
def test_the_counts_of_the_real_files():
    tables = HM(str(DATA)).load()
    sizes = {
        name: len(table)
        for name, table in (*tables.nodes.items(), *tables.edges.items())
    }
    assert [sizes[name] for name in ("customer", "article", "basket", "made")] == [
        68_984,
        17_986,
        77_143,
        77_143,
    ]
    days, counts = np.unique(
        tables.edges["made"]["time"].to_numpy(), return_counts=True
    )
    assert days.tolist() == list(range(18521, 18528)) and counts.sum() == 77_143
    raw = pq.read_table(
        DATA / "purchases.parquet", columns=["t_dat", "customer_id", "article_id"]
    )
    assert sizes["contains"] == len(set(zip(*raw.to_pydict().values(), strict=True)))
    kind = tables.nodes["article"].select(["id", "product_type"])
    kinds = (
        tables.edges["contains"]
        .join(kind, "target", "id")
        .group_by("source")
        .aggregate([("product_type", "count_distinct", pc.CountOptions(mode="all"))])
    )
    assert (
        pc.sum(pc.greater_equal(kinds["product_type_count_distinct"], 2)).as_py()
        == 40_895
    )
    assert sum(map(bool, tables.texts("article"))) == 17_986
    assert tables.nodes["article"]["description"].null_count == 17
