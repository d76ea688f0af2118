"""Amazon Beauty: what parse promises, and the counts of the real files."""

import gzip
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fusion.experiment import Recipe
from kg.config import load
from kg.errors import DataError
from kg.sources.beauty import Beauty, parse
from kg.split.last import LeaveLast

RECIPE = Path(__file__).parents[3] / "fusion" / "recipes" / "beauty.toml"
DATA = Path(os.environ.get("TROUSSEAU_DATA", "nowhere")) / "amazon_beauty_kg"
ROWS = (
    ("1", "A1", "Cr&egrave;me", "L&#39;Oreal", "Beauty|Face|Skin Care"),
    ("2", "A2", "", "Unknown", "Beauty"),
    ("3", "A3", "Comb", "", "Beauty|Face"),
)


def items(*rows):
    return pa.table(
        [*map(list, zip(*(rows or ROWS), strict=True))],
        ["item", "asin", "title", "brand", "categories"],
    )


def triples(*rows):
    return pa.table([*map(list, zip(*rows, strict=True))], ["h", "r", "t"])


class TestParse:
    def test_times_are_the_places_in_the_users_own_order(self):
        tables = parse(["9 3 1 2", "8 2 3"], items())
        assert tables.edges["reviewed"].to_pydict() == {
            "source": ["9", "9", "9", "8", "8"],
            "target": ["A3", "A1", "A2", "A2", "A3"],
            "time": [0.0, 1.0, 2.0, 0.0, 1.0],
        }
        split = LeaveLast(1, 1)(parse(["9 3 1 2", "8 2 3 1"], items()))
        assert {e["user"]: e["item"] for e in split.test.events.to_pylist()} == {
            "9": "A2",
            "8": "A1",
        }
        assert {e["user"]: e["item"] for e in split.valid.events.to_pylist()} == {
            "9": "A1",
            "8": "A3",
        }

    def test_words_are_readable_and_neither_the_root_nor_an_unknown_brand_is_a_fact(
        self,
    ):
        tables = parse(["9 3 1 2"], items())
        assert tables.texts("product") == ["Crème. Face, Skin Care", "", "Comb. Face"]
        assert tables.titles("product") == ["Crème", "A2", "Comb"]
        assert tables.edges["made_by"].to_pylist() == [
            {"source": "A1", "target": "L'Oreal"}
        ]
        assert tables.nodes["product"]["brand"].to_pylist() == ["L'Oreal", None, None]
        assert [tuple(e.values()) for e in tables.edges["in_category"].to_pylist()] == [
            ("A1", "Face"),
            ("A1", "Skin Care"),
            ("A3", "Face"),
        ]
        assert tables.texts("category") == ["Face", "Skin Care"]

    def test_amazons_own_relations_are_only_there_when_given(self):
        rows = (
            ("A1", "also_bought", "A2"),
            ("A1", "also_bought", "A1"),
            ("A3", "also_viewed", "A1"),
            ("A1", "brand", "L&#39;Oreal"),
        )
        tables = parse(["9 3 1 2"], items(), triples(*rows))
        assert tables.edges["also_bought"].to_pylist() == [
            {"source": "A1", "target": "A2"}
        ]
        assert tables.edges["also_viewed"].to_pylist() == [
            {"source": "A3", "target": "A1"}
        ]
        assert len(tables.edges["bought_together"]) == 0
        assert "also_bought" not in parse(["9 3 1 2"], items()).edges

    @pytest.mark.parametrize(
        ("lines", "catalogue", "relations", "message"),
        [
            (
                ["9 3"],
                items().drop_columns("brand"),
                None,
                r"items\.csv: no column brand; it has item, asin",
            ),
            (
                ["9 3"],
                items(*ROWS, ROWS[0]),
                None,
                r"items\.csv: column item: 1 is there twice",
            ),
            (
                ["9 3"],
                items(*ROWS, ("4", *ROWS[0][1:])),
                None,
                r"items\.csv: column asin: A1 is there twice",
            ),
            (
                ["9 3"],
                items(("", *ROWS[0][1:])),
                None,
                r"items\.csv: column item: a value is missing",
            ),
            (
                ["9 3 1", "8 4"],
                items(),
                None,
                r"sequential_data\.txt: line 2: column item: '4' is not in items\.csv",
            ),
            (
                ["9 3 1 3"],
                items(),
                None,
                r"sequential_data\.txt: line 1: column item: user 9 has an item twice",
            ),
            (
                ["9 3", "9 1"],
                items(),
                None,
                r"sequential_data\.txt: line 2: column user: '9' is there twice",
            ),
            (
                ["9 3", ""],
                items(),
                None,
                r"sequential_data\.txt: line 2: column user: '' is no number",
            ),
            (
                ["9 3"],
                items(),
                triples(("A1", "also_bought", "A9")),
                r"triples\.tsv\.gz: column t: 'A9' is no asin",
            ),
            (
                ["9 3"],
                items(),
                triples(("A1", "brand", "x")).drop_columns("h"),
                r"triples\.tsv\.gz: no column h",
            ),
        ],
    )
    def test_faults_name_the_file_and_the_column(
        self, lines, catalogue, relations, message
    ):
        with pytest.raises(DataError, match=message) as fault:
            parse(lines, catalogue, relations)
        assert "\n" not in str(fault.value)


def test_files_are_read_as_they_are_and_faults_are_named(tmp_path):
    with pytest.raises(DataError, match=r"sequential_data\.txt: No such file"):
        Beauty(str(tmp_path)).load()
    (tmp_path / "sequential_data.txt").write_text("9 1 2\n8 2 1\n")
    with pytest.raises(DataError, match=r"items\.csv: no such file"):
        Beauty(str(tmp_path)).load()
    (tmp_path / "items.csv").write_text(
        "item,asin,title,brand,categories\n"
        '1,0012,"Comb, ""fine""",007,Beauty|Combs\n'
        "2,A2,,,Beauty\n"
    )
    tables = Beauty(str(tmp_path)).load()
    assert tables.nodes["product"].to_pylist()[0] == {
        "id": "0012",
        "title": 'Comb, "fine"',
        "kinds": "Combs",
        "brand": "007",
    }
    with pytest.raises(DataError, match=r"triples\.tsv\.gz: no such file"):
        Beauty(str(tmp_path), also=True).load()
    (tmp_path / "triples.tsv.gz").write_bytes(
        gzip.compress(b'h\tr\tt\n0012\talso_viewed\tA2\nA2\tbrand\t6" of\n')
    )
    assert Beauty(str(tmp_path), also=True).load().edges["also_viewed"].to_pylist() == [
        {"source": "0012", "target": "A2"}
    ]
    (tmp_path / "triples.tsv.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match=r"triples\.tsv\.gz: ") as fault:
        Beauty(str(tmp_path), also=True).load()
    assert "\n" not in str(fault.value)


def test_the_recipe_holds_the_last_out_and_keeps_what_amazon_computed_out():
    recipe = load(Recipe, RECIPE)
    assert (
        isinstance(recipe.source, Beauty)
        and not recipe.source.also
        and recipe.split == LeaveLast(1, 1)
    )


@pytest.mark.slow
@pytest.mark.skipif(
    not DATA.is_dir(), reason="TROUSSEAU_DATA names no folder with amazon_beauty_kg/"
)
def test_the_counts_of_the_real_files():
    tables = Beauty(str(DATA), also=True).load()
    sizes = {
        name: len(table)
        for name, table in (*tables.nodes.items(), *tables.edges.items())
    }
    assert [sizes[name] for name in ("user", "product", "reviewed")] == [
        22_363,
        12_101,
        198_502,
    ]
    # Of the 463,493 triples all but one loop, 38 empty or unknown brands and the root category
    # of each product.
    facts = sum(
        sizes[e]
        for e in (
            "made_by",
            "in_category",
            "also_bought",
            "also_viewed",
            "bought_together",
        )
    )
    assert facts == 463_493 - 1 - 38 - 12_101
    split = LeaveLast(1, 1)(Beauty(str(DATA)).load())
    assert len(split.test) == len(split.valid) == 22_363
    sequences = (DATA / "sequential_data.txt").read_text().splitlines()
    last = dict(line.split()[:: len(line.split()) - 1] for line in sequences)
    number = {
        row.split(",")[1]: row.split(",")[0]
        for row in (DATA / "items.csv").read_text().splitlines()[1:]
    }
    held = split.test.events.to_pydict()
    assert {
        u: number[i] for u, i in zip(held["user"], held["item"], strict=True)
    } == last
    assert np.isfinite(split.train.edges["reviewed"]["time"].to_numpy()).all()
