"""Amazon Beauty, 5-core, with the knowledge graph of PGPR.

It has 22,363 users' reviews in order, for research use.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv

from kg.errors import DataError
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import Tables

SCHEMA = GraphSchema(
    nodes=(
        NodeType("user", "user", "User"),
        NodeType(
            "product",
            "item",
            "Product",
            title="title",
            text=("title", "kinds"),
            properties=("brand",),
        ),
        NodeType("brand", "attribute", "Brand", text=("id",)),
        NodeType("category", "attribute", "Category", text=("id",)),
    ),
    edges=(
        EdgeType("reviewed", "user", "product", "interaction", time="place"),
        EdgeType("made_by", "product", "brand", "relation"),
        EdgeType("in_category", "product", "category", "relation"),
    ),
)
_ALSO = ("also_bought", "also_viewed", "bought_together")
_ITEMS = ("item", "asin", "title", "brand", "categories")
_TRIPLES = ("h", "r", "t")
_ROOT, _NO_BRAND = "Beauty", "Unknown"
_Pair = tuple[str, str]


@dataclass(frozen=True)
class Beauty:
    """Who reviewed what in which order; products are named by their ASIN.

    The data have no timestamps: the time of an interaction is its place in the user's own
    sequence, 0, 1, 2, ..., so that times of different users do not compare. Split it with
    `kg.split.last:LeaveLast`, never with `TimeSplit`.

    Attributes:
        path: The folder of sequential_data.txt, items.csv and triples.tsv.gz.
        also: Whether also_bought, also_viewed and bought_together are in the graph. Amazon
            computed them over all time, the test period included, so they give held-out
            interactions away: report with and without them.
    """

    path: str = "data/amazon_beauty_kg"
    also: bool = False

    def load(self) -> Tables:
        """Read the files; triples.tsv.gz only where `also` is true.

        Raises:
            DataError: A file is missing or broken, a column is missing, or an id is not valid.
        """
        root = Path(self.path)
        lines = root / "sequential_data.txt"
        try:
            sequences = lines.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"{lines}: {getattr(error, 'strerror', None) or error}"
            ) from error
        items = _read(
            root / "items.csv", _ITEMS, csv.ParseOptions(newlines_in_values=True)
        )
        if not self.also:
            return parse(sequences, items)
        tabs = csv.ParseOptions(delimiter="\t", quote_char=False)
        return parse(sequences, items, _read(root / "triples.tsv.gz", _TRIPLES, tabs))

    @classmethod
    def example(cls) -> Tables:
        """Four users, five reviews each of six products, with Amazon's computed relations."""
        names = (
            "Red lacquer",
            "Blue lacquer",
            "BB cream",
            "Night cream",
            "Hair oil",
            "Comb",
        )
        kinds = (
            "Makeup|Nails",
            "Makeup|Nails",
            "Face|Skin Care",
            "Face|Skin Care",
            "Hair Care",
            "Combs|Hair Care",
        )
        columns = {
            "item": [str(n) for n in range(1, 7)],
            "asin": [f"B00{n}" for n in range(1, 7)],
            "title": list(names),
            "brand": ["OPI", "OPI", _NO_BRAND, "Olay", "", "Olay"],
            "categories": [f"{_ROOT}|{kind}" for kind in kinds],
        }
        triples = [
            ("B001", "also_bought", "B002"),
            ("B003", "also_viewed", "B004"),
            ("B005", "bought_together", "B006"),
        ]
        return parse(
            ("1 1 2 3 4 5", "2 2 3 4 5 6", "3 3 4 5 6 1", "4 6 1 2 4 3"),
            pa.table(columns),
            pa.table(
                dict(zip(_TRIPLES, map(list, zip(*triples, strict=True)), strict=True))
            ),
        )


def parse(
    sequences: Iterable[str], items: pa.Table, triples: pa.Table | None = None
) -> Tables:
    """The sequences and the catalogue as tables, with Amazon's relations where triples are given.

    Args:
        sequences: "user item item ..." a line, in time order; items by their number, each once
            a user.
        items: item (its number), asin, title, brand, categories (joined by "|"), all text.
        triples: h and t (ASINs), r (also_bought, ...); other relations are passed over, as are
            loops.

    Raises:
        DataError: A column is missing, or an id is missing, unknown or used twice.
    """
    rows = _columns(items, "items.csv", _ITEMS).to_pylist()
    asins: dict[str, str] = {}
    product, made_by, in_category = [], [], []
    for row in rows:
        number, asin, title, brand, categories = (
            html.unescape(row[name] or "").strip() for name in _ITEMS
        )
        if not number or not asin:
            raise DataError(
                f"items.csv: column {'asin' if number else 'item'}: a value is missing ({row})"
            )
        if number in asins:
            raise DataError(f"items.csv: column item: {number} is there twice")
        asins[number] = asin
        kinds = [
            kind
            for kind in dict.fromkeys(categories.split("|"))
            if kind and kind != _ROOT
        ]
        brand = "" if brand == _NO_BRAND else brand
        product.append((asin, title or None, ", ".join(kinds) or None, brand or None))
        made_by += [(asin, brand)] if brand else []
        in_category += [(asin, kind) for kind in kinds]
    if len(set(asins.values())) < len(asins):
        twice = next(
            asin for asin in asins.values() if list(asins.values()).count(asin) > 1
        )
        raise DataError(f"items.csv: column asin: {twice} is there twice")
    reviewed = _reviews(sequences, asins)
    edges = {
        "reviewed": pa.table(reviewed),
        "made_by": _pairs(made_by),
        "in_category": _pairs(in_category),
    }
    schema = SCHEMA
    if triples is not None:
        schema = GraphSchema(
            SCHEMA.nodes,
            (
                *SCHEMA.edges,
                *(EdgeType(name, "product", "product", "relation") for name in _ALSO),
            ),
        )
        edges |= _also(triples, pa.array(asins.values(), pa.string()))
    nodes = {
        "user": pa.table(
            {"id": pa.array(dict.fromkeys(reviewed["source"]), pa.string())}
        ),
        "product": pa.table(
            [pa.array(column, pa.string()) for column in zip(*product, strict=True)],
            ["id", *SCHEMA.item.columns],
        ),
        "brand": pa.table({"id": edges["made_by"]["target"].unique()}),
        "category": pa.table({"id": edges["in_category"]["target"].unique()}),
    }
    return Tables(schema, nodes, edges)


def _reviews(
    sequences: Iterable[str], asins: Mapping[str, str]
) -> dict[str, list[str] | list[float]]:
    """Columns source, target and time of the interactions."""
    source: list[str] = []
    target: list[str] = []
    time: list[float] = []
    users: set[str] = set()
    for number, line in enumerate(sequences, start=1):
        where = f"sequential_data.txt: line {number}"
        user, *taken = line.split() or [""]
        if not re.fullmatch("[0-9]+", user) or user in users:
            raise DataError(
                f"{where}: column user: {user!r} "
                f"{'is there twice' if user in users else 'is no number'}"
            )
        if lost := [item for item in taken if item not in asins]:
            raise DataError(f"{where}: column item: {lost[0]!r} is not in items.csv")
        if len(set(taken)) < len(taken):
            raise DataError(f"{where}: column item: user {user} has an item twice")
        users.add(user)
        source += [user] * len(taken)
        target += [asins[item] for item in taken]
        time += map(float, range(len(taken)))
    return {"source": source, "target": target, "time": time}


def _also(triples: pa.Table, asins: pa.Array) -> dict[str, pa.Table]:
    triples = _columns(triples, "triples.tsv.gz", _TRIPLES)
    triples = triples.filter(pc.is_in(triples["r"], pa.array(_ALSO)))
    for end in ("h", "t"):
        lost = triples[end].filter(pc.invert(pc.is_in(triples[end], asins)))
        if len(lost):
            raise DataError(
                f"triples.tsv.gz: column {end}: {lost[0].as_py()!r} is no asin of items.csv"
            )
    triples = triples.filter(pc.not_equal(triples["h"], triples["t"]))
    ends = triples.select(["h", "t"]).rename_columns(["source", "target"])
    return {name: ends.filter(pc.equal(triples["r"], name)) for name in _ALSO}


def _columns(table: pa.Table, file: str, names: tuple[str, ...]) -> pa.Table:
    if lost := [name for name in names if name not in table.column_names]:
        raise DataError(
            f"{file}: no column {lost[0]}; it has {', '.join(table.column_names)}"
        )
    return table.select(list(names))


def _read(path: Path, columns: tuple[str, ...], options: csv.ParseOptions) -> pa.Table:
    convert = csv.ConvertOptions(
        column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
    )
    try:
        return csv.read_csv(path, parse_options=options, convert_options=convert)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: {str(error).splitlines()[0]}") from error


def _pairs(pairs: list[_Pair]) -> pa.Table:
    source, target = zip(*pairs, strict=True) if pairs else ((), ())
    return pa.table(
        {
            "source": pa.array(source, pa.string()),
            "target": pa.array(target, pa.string()),
        }
    )
