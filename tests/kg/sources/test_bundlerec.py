"""BundleRec: categories with commas in their names, the leak's model case, the real counts."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv
import pytest

from fusion.experiment import Recipe
from kg.config import load
from kg.errors import DataError
from kg.sources.bundlerec import _FILES, BundleRec, levels, parse
from kg.split.grouped import GroupedSplit
from kg.split.held import events_table

RECIPES = Path(__file__).parents[3] / "fusion" / "recipes"
DATA = Path(os.environ.get("TROUSSEAU_DATA", "nowhere")) / "bundlerec"
CLOTHING = "Clothing, Shoes & Jewelry"
ROWS = {
    "item_titles": [("7", "Ana&#39;s  boots"), ("8", "Hat")],
    "item_categories": [
        ("7", f"[[{CLOTHING},Women,Shoes],[{CLOTHING},Sale]]"),
        ("8", f"[[{CLOTHING}]]"),
    ],
    "bundle_intent": [("0", "warm\nfor winter "), ("1", "")],
    "bundle_item": [("0", "7"), ("0", "8"), ("1", "7")],
    "user_bundle": [("3", "0"), ("4", "1")],
    "user_item": [("3", "7"), ("3", "8"), ("3", "7"), ("4", "7")],
}


def files(**changed):
    rows = {**ROWS, **changed}
    return {
        name: pa.table(
            dict(zip(_FILES[name], map(list, zip(*r, strict=True)), strict=True))
        )
        for name, r in rows.items()
    }


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        (
            f"[[{CLOTHING},Women,Shoes],[{CLOTHING},N]]",
            [[CLOTHING, "Women", "Shoes"], [CLOTHING, "N"]],
        ),
        ("[[Novelty, Costumes & More,Hats]]", [["Novelty, Costumes & More", "Hats"]]),
        ("[[Tops &amp; Tees]]", [["Tops & Tees"]]),
        ("[[]]", []),
    ],
)
def test_paths_are_split_at_commas_that_no_blank_follows(text, paths):
    assert levels(text) == paths


def test_words_and_categories():
    tables = parse(files())
    assert tables.texts("product") == [
        "Ana's boots. Women, Shoes, Sale",
        f"Hat. {CLOTHING}",
    ]
    assert tables.texts("bundle") == ["warm for winter", ""]
    assert list(
        zip(*tables.edges["in_category"].to_pydict().values(), strict=True)
    ) == [
        ("7", "Women > Shoes"),
        ("7", f"{CLOTHING} > Sale"),
        ("8", CLOTHING),
    ]
    assert tables.texts("category") == ["Women > Shoes", f"{CLOTHING} > Sale", CLOTHING]


def test_who_took_what_is_in_the_graph_only_where_it_is_asked_for():
    assert set(events_table(parse(files()))["bundle"].to_pylist()) == {"0", "1"}
    naive = parse(files(), naive=True)
    assert naive.edges["took"].to_pydict() == {
        "source": ["3", "3", "4"],
        "target": ["7", "8", "7"],
    }
    assert naive.schema.edge("took").role == "interaction"


def test_as_a_catalogue_it_has_products_alone_and_intents_judge_a_search(tmp_path):
    rows = files(
        bundle_intent=[("0", "warm\nfor winter "), ("1", "warm for winter"), ("2", "")]
    )
    for name, table in rows.items():
        csv.write_csv(table, tmp_path / f"{name}.csv")
    source = BundleRec(str(tmp_path), catalogue=True)
    tables = source.load()
    assert set(tables.nodes) == {"product", "category"} and set(tables.edges) == {
        "in_category"
    }
    assert len(events_table(tables)) == 0
    assert source.judgments().to_pylist() == [
        {"query": "warm for winter", "item": "7", "rating": 1.0},
        {"query": "warm for winter", "item": "8", "rating": 1.0},
    ]
    assert set(BundleRec(str(tmp_path)).load().nodes) == {
        "user",
        "bundle",
        "product",
        "category",
    }
    with pytest.raises(DataError, match="not both"):
        BundleRec(str(tmp_path), naive=True, catalogue=True).load()


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        (
            {"item_categories": [("7", "Women")]},
            r"item_categories: item 7: 'Women' is not of the form",
        ),
        ({"bundle_item": [("0", "9")]}, "edge type 'contains'.*'9'"),
        ({"user_bundle": [("3", "5")]}, "edge type 'made'.*'5'"),
        ({"bundle_intent": [("0", "a"), ("0", "b"), ("1", "c")]}, "node type 'bundle'"),
    ],
)
def test_faults_are_named(changed, fault):
    with pytest.raises(DataError, match=fault):
        parse(files(**changed))


def test_a_missing_column_and_a_missing_file_are_named(tmp_path):
    tables = files()
    tables["bundle_item"] = tables["bundle_item"].rename_columns(["bundle", "item ID"])
    with pytest.raises(
        DataError, match="bundle_item: no column 'bundle ID'; it has bundle, item ID"
    ):
        parse(tables)
    with pytest.raises(DataError, match=r"item_titles\.csv: no such file"):
        BundleRec(str(tmp_path)).load()


def test_files_are_read_with_the_line_breaks_in_their_cells(tmp_path):
    for name, rows in ROWS.items():
        quoted = "".join('{},"{}"\n'.format(*row) for row in rows)
        (tmp_path / f"{name}.csv").write_text(
            f"{','.join(_FILES[name])}\n{quoted}", encoding="utf-8"
        )
    assert (
        BundleRec(str(tmp_path), naive=True).load().fingerprint()
        == parse(files(), naive=True).fingerprint()
    )
    (tmp_path / "item_titles.csv").write_bytes(b"item ID,titles\n7,Caf\xe9\n")
    with pytest.raises(DataError, match=r"item_titles\.csv: .*UTF8"):
        BundleRec(str(tmp_path)).load()


@pytest.mark.parametrize(
    ("domain", "counts"),
    [
        ("clothing", (965, 1910, 4487, 6326, 4653)),
        ("electronic", (888, 1750, 3499, 6165, 4461)),
    ],
)
@pytest.mark.skipif(
    not DATA.is_dir(), reason="TROUSSEAU_DATA names no folder with bundlerec/"
)
def test_the_real_files(domain, counts):
    tables = BundleRec(str(DATA / domain), naive=True).load()
    sizes = [len(tables.nodes[name]) for name in ("user", "bundle", "product")]
    assert (*sizes, len(tables.edges["contains"]), len(tables.edges["took"])) == counts
    events = events_table(tables)
    alone = events["bundle"].is_null().to_numpy()
    pairs = [
        set(
            zip(
                *events.filter(pa.array(which))
                .select(["user", "item"])
                .to_pydict()
                .values(),
                strict=True,
            )
        )
        for which in (alone, ~alone)
    ]
    assert pairs[0] == pairs[1]  # what a user took is the union of the user's bundles
    assert len(tables.edges["made"]["target"].unique()) == counts[1]
    splits = [GroupedSplit(0.1, 0.2, fold=fold)(tables) for fold in range(5)]
    held = [
        user
        for split in splits
        for user in split.test.events["user"].unique().to_pylist()
    ]
    assert sorted(held) == sorted(tables.nodes["user"]["id"].to_pylist())


@pytest.mark.parametrize("domain", ["clothing", "electronic"])
def test_the_recipe_fits(domain):
    recipe = load(Recipe, RECIPES / f"bundlerec_{domain}.toml")
    assert (
        isinstance(recipe.source, BundleRec)
        and recipe.source.path.endswith(domain)
        and not recipe.source.naive
    )
    assert isinstance(recipe.split, GroupedSplit) and list(recipe.tasks) == [
        "completion",
        "worded",
        "intent",
    ]
