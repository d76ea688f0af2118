"""Icecat: kinds read off titles, values as nodes, grades apart from the graph."""

import gzip
import json
import os
from pathlib import Path

import pytest

from kg.errors import DataError
from kg.sources.icecat import Icecat, parse


def product(number, title, name, **attributes):
    words = {f"attr_t_{key}": value for key, value in attributes.items()}
    return {
        "id": str(number),
        "title": title,
        "name": name,
        "supplier": title.split()[0],
        **words,
    }


def of(tables, edge):
    found: dict[str, list[str]] = {}
    for row in tables.edges[edge].to_pylist():
        found.setdefault(row["source"], []).append(row["target"])
    return found


def test_a_kind_ends_where_the_values_of_attributes_begin():
    products = [
        product(
            1, "Xerox A1 toner cartridge Original Black 6 pc(s)", "A1", type="Original"
        ),
        product(2, "Xerox A2 toner cartridge Black", "A2", product_colour="Black"),
        product(
            3, "OKI toner cartridge Plain", "Plain", type="None"
        ),  # nothing behind its name; "toner cartridge" is
        product(4, "HP A4 toner cartridge gray", "A4"),  # in it all the same
        product(5, "HP A5 17 inch toner", "A5", product_type="Notebook"),
        product(6, "HP A6 Silver", "A6", product_type="Notebook"),
    ]
    kinds = of(parse(products, Icecat(least=2)), "is_a")
    assert kinds == {
        **{str(n): ["toner cartridge"] for n in (1, 2, 3, 4)},
        "5": ["notebook"],
        "6": ["notebook"],
    }


def test_a_kind_that_others_are_longer_forms_of_is_kept_for_all_but_not_the_other_way_round():
    few = [product(n, f"HP A{n} printer cable blank", f"A{n}") for n in range(2)]
    many = [product(n, f"HP A{n} printer cable", f"A{n}") for n in range(2, 6)]
    assert set(map(tuple, of(parse(few + many, Icecat(least=2)), "is_a").values())) == {
        ("printer cable",)
    }
    longer = [product(n, f"HP A{n} printer cable blank", f"A{n}") for n in range(6, 12)]
    kinds = of(parse(many + longer, Icecat(least=2)), "is_a")
    assert kinds["2"] == ["printer cable"] and kinds["6"] == ["printer cable blank"]


def test_values_that_products_share_become_nodes_and_words():
    products = [
        product(1, "HP a", "a", cable_colour="Black/Red", port="USB", weight="12"),
        product(2, "HP b", "b", product_colour="black", port="USB"),
        product(3, "HP c", "c", port="VGA"),
    ]
    products[0]["attr_b_lit"], products[0]["short_description"] = (
        True,
        "Nice<br />and\\nnew",
    )
    tables = parse(products, Icecat(least=2))
    assert of(tables, "coloured") == {"1": ["black"], "2": ["black"]}
    assert of(tables, "has") == {"1": ["port: USB"], "2": ["port: USB"]}
    assert tables.titles("feature") == ["USB"]
    assert of(tables, "supplied_by") == {"1": ["HP"], "2": ["HP"], "3": ["HP"]}
    assert tables.texts("product") == [
        "HP a. Nice and new. port: USB",
        "HP b. port: USB",
        "HP c",
    ]
    assert not of(parse(products, Icecat(least=2, values=1)), "has")


def test_files_are_read_and_the_grades_are_no_part_of_the_graph(tmp_path):
    for number in (1, 2):
        with gzip.open(tmp_path / f"products_{number}.json.gz", "wt") as file:
            json.dump([product(number, f"HP A{number} mouse", f"A{number}")], file)
    (tmp_path / "Broad_Query_Set_rated.csv").write_text(
        "query,docid,rating\nmice,2,3\nmice,1,0\n"
    )
    source = Icecat(str(tmp_path), least=2)
    assert source.load().nodes["product"]["id"].to_pylist() == ["1", "2"]
    assert source.judgments().to_pylist() == [
        {"query": "mice", "item": "2", "rating": 3.0},
        {"query": "mice", "item": "1", "rating": 0.0},
    ]
    assert "mice" not in str(source.load().nodes)


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(DataError, match=r"no products_\*"):
        Icecat(str(tmp_path)).load()
    with pytest.raises(DataError, match=r"rated\.csv: cannot be read"):
        Icecat(str(tmp_path)).judgments()
    (tmp_path / "products_1.json.gz").write_bytes(b"no zip")
    with pytest.raises(DataError, match="products_1"):
        Icecat(str(tmp_path)).load()
    with pytest.raises(DataError, match="'7' has no supplier"):
        parse([{"id": "7", "title": "a", "name": "a"}], Icecat())


def test_the_real_catalogue():
    root = os.environ.get("TROUSSEAU_DATA")
    if not root or not (Path(root) / "icecat").is_dir():
        pytest.skip("TROUSSEAU_DATA names no folder with icecat/")
    source = Icecat(str(Path(root) / "icecat"))
    tables, grades = source.load(), source.judgments()
    assert len(tables.nodes["product"]) == 19_406 and len(grades) == 3_668
    assert len(set(grades["query"].to_pylist())) == 135
    assert set(grades["item"].to_pylist()) <= set(
        tables.nodes["product"]["id"].to_pylist()
    )
    assert {"toner cartridge", "notebook", "networking cable"} <= set(
        tables.titles("kind")
    )
