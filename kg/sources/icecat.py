"""Icecat: a catalogue of electronics without shoppers, and people's grades of searches in it."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as csv

from kg.errors import DataError
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import Tables

_RELATIONS = {
    "kind": "is_a",
    "supplier": "supplied_by",
    "colour": "coloured",
    "feature": "has",
}
SCHEMA = GraphSchema(
    nodes=(
        NodeType(
            "product",
            "item",
            "Product",
            title="title",
            text=("title", "short_description", "features"),
        ),
        *(
            NodeType(name, "attribute", name.title(), title="title", text=("title",))
            for name in _RELATIONS
        ),
    ),
    edges=tuple(
        EdgeType(edge, "product", name, "relation") for name, edge in _RELATIONS.items()
    ),
)
_RATED = "Broad_Query_Set_rated.csv"
_STRING = "attr_t_"
_VALUE = re.compile("^[^:]*: ")  # a feature is "name: value"; people read the value
# Words that a title says of a product behind its kind and that no attribute of the product repeats.
_DESCRIBING = {
    "gray",
    "colour",
    "multicolor",
    "internal",
    "external",
    "original",
    "english",
    "ethernet",
    "aluminum",
}


@dataclass(frozen=True)
class Icecat:
    """The catalogue of the search demo "Chorus".

    Products with title, description, supplier and attributes.

    A product's kind is read off its title, which Icecat makes of supplier, name, kind and
    values of attributes: "Xerox 006R90321 toner cartridge Original Black". Terms: Open Content
    License of Icecat.

    Attributes:
        path: The folder with products_*.json.gz and the grades.
        least: Products that a kind, a colour or a feature needs to become a node.
        values: An attribute with more distinct values tells nothing that products share.
    """

    path: str = "data/icecat"
    least: int = 10
    values: int = 300

    def __post_init__(self) -> None:
        if self.least < 1 or self.values < 1:
            raise DataError(f"{self}: least and values must be at least 1")

    def load(self) -> Tables:
        """Read the products.

        Raises:
            DataError: The folder has none, or a file is damaged.
        """
        files = sorted(Path(self.path).glob("products_*.json.gz"))
        if not files:
            raise DataError(
                f"{self.path}: there is no products_*.json.gz; get them from "
                "github.com/querqy/chorus"
            )
        products: list[dict[str, Any]] = []
        for file in files:
            try:
                with gzip.open(file, "rt", encoding="utf-8") as lines:
                    products += json.load(lines)
            except (OSError, EOFError, ValueError) as error:
                raise DataError(f"{file}: cannot be read: {error}") from None
        return parse(products, self)

    def judgments(self) -> pa.Table:
        """The grades: query, item (an id) and rating, 0 useless to 3 perfect; no part of the graph.

        Raises:
            DataError: The file is not there or lacks a column.
        """
        file = Path(self.path) / _RATED
        types = {"query": pa.string(), "docid": pa.string(), "rating": pa.float64()}
        try:
            table = csv.read_csv(
                file,
                convert_options=csv.ConvertOptions(
                    column_types=types, include_columns=[*types]
                ),
            )
        except (OSError, KeyError, pa.ArrowInvalid) as error:
            raise DataError(f"{file}: cannot be read: {error}") from None
        return table.rename_columns(["query", "item", "rating"])

    @classmethod
    def example(cls) -> Tables:
        """Twelve products of two kinds, two suppliers and three colours."""
        products = []
        for number in range(12):
            supplier, colour = (
                ("Acme", "Bolt")[number % 2],
                ("Black", "Cyan", "Red")[number % 3],
            )
            kind, name = (
                ("toner cartridge", "networking cable")[number // 6],
                f"{supplier[0]}{number}00",
            )
            products.append(
                {
                    "id": str(number),
                    "name": name,
                    "supplier": supplier,
                    "title": f"{supplier} {name} {kind} {colour}",
                    "short_description": f"{colour} {kind}",
                    "attr_t_product_colour": colour,
                    "attr_t_package_type": ("Box", "Bag")[number % 2],
                }
            )
        return parse(products, cls(least=2))


def parse(products: Sequence[Mapping[str, Any]], config: Icecat) -> Tables:
    """Products as the files have them, to tables.

    Raises:
        DataError: A product has no id, title, name or supplier.
    """
    for product in products:
        if lacking := [
            key
            for key in ("id", "title", "name", "supplier")
            if not isinstance(product.get(key), str)
        ]:
            raise DataError(f"product {product.get('id')!r} has no {lacking[0]}")
    found = {
        "kind": _kinds(products, config.least),
        "supplier": [[str(p["supplier"])] for p in products],
        "colour": _frequent([_colours(p) for p in products], config.least),
        "feature": _features(products, config),
    }
    titles = {
        "id": [p["id"] for p in products],
        "title": [_tidy(p["title"]) for p in products],
        "short_description": [
            _tidy(p.get("short_description") or "") for p in products
        ],
        "features": ["; ".join(features) for features in found["feature"]],
    }
    nodes, edges = (
        {
            "product": pa.table(
                {key: pa.array(v, pa.string()) for key, v in titles.items()}
            )
        },
        {},
    )
    for name, values in found.items():
        distinct = pa.array(
            sorted({value for some in values for value in some}), pa.string()
        )
        shown = [_VALUE.sub("", value) for value in distinct.to_pylist()]
        nodes[name] = pa.table({"id": distinct, "title": pa.array(shown, pa.string())})
        pairs = [
            (p["id"], value)
            for p, some in zip(products, values, strict=True)
            for value in some
        ]
        ends = ([pair[side] for pair in pairs] for side in (0, 1))
        edges[_RELATIONS[name]] = pa.table(
            [pa.array(end, pa.string()) for end in ends], ["source", "target"]
        )
    return Tables(SCHEMA, nodes, edges)


def _kinds(products: Sequence[Mapping[str, Any]], least: int) -> list[list[str]]:
    """Of every product its kind, or nothing."""
    read = [_behind_name(product) for product in products]
    counts = Counter(read)
    del counts[""]
    known = {kind for kind, count in counts.items() if count >= least}
    # "printer cable gray" is the more frequent "printer cable".
    shorter = {
        kind: next(
            (k for k in sorted(known, key=len) if kind.startswith(f"{k} ")), kind
        )
        for kind in counts
    }
    known = {kind for kind in known if counts[shorter[kind]] <= counts[kind]}
    long = (
        re.compile(
            rf"\b({'|'.join(map(re.escape, sorted(known, key=len, reverse=True)))})s?\b"
        )
        if known
        else None
    )
    kinds = []
    for product, kind in zip(products, read, strict=True):
        stated = str(product.get(f"{_STRING}product_type", "")).lower()
        if counts[shorter.get(kind, "")] > counts[kind]:
            kind = shorter[kind]
        if kind not in known:
            kind = stated if re.fullmatch(r"[a-z][a-z /-]+", stated) else ""
        if not kind and long is not None:
            words = (
                f"{product['title']} . {product.get('short_description') or ''}".lower()
            )
            kind = max(
                (match for match in long.findall(words) if " " in match),
                key=len,
                default="",
            )
        kinds.append([kind] if kind else [])
    return _frequent(kinds, least)


def _behind_name(product: Mapping[str, Any]) -> str:
    """The words behind a product's name in its title, up to an attribute's value."""
    title, name = product["title"].lower().split(), product["name"].lower().split()
    for start in range(len(title) - len(name) + 1):
        if name and title[start : start + len(name)] == name:
            break
    else:
        return ""
    values = {
        part.split()[0] for _, value in _strings(product) for part in _parts(value)
    }
    kind: list[str] = []
    for word in title[start + len(name) :][:4]:
        if re.search(r"[^a-z/-]", word) or word in values | _DESCRIBING:
            break
        kind.append(word)
    return " ".join(kind)


def _colours(product: Mapping[str, Any]) -> list[str]:
    values = [
        value
        for name, value in _strings(product)
        if name.endswith(("colour", "colours"))
    ]
    return [part for value in values for part in _parts(value)]


def _parts(value: str) -> list[str]:
    return [part.strip() for part in re.split("[,/]", value.lower()) if part.strip()]


def _features(products: Sequence[Mapping[str, Any]], config: Icecat) -> list[list[str]]:
    """Of every product "name: value" for attributes of words with few values, all shared."""
    distinct: dict[str, set[str]] = {}
    for product in products:
        for name, value in _strings(product):
            distinct.setdefault(name, set()).add(value)
    worded = [
        [
            f"{' '.join(name.split('_'))}: {_tidy(value)}"
            for name, value in _strings(product)
            if len(distinct[name]) <= config.values
            and re.search("[A-Za-z]{2}", value)
            and len(value) <= 40
            if not name.endswith(("colour", "colours"))
        ]
        for product in products
    ]
    return _frequent(worded, config.least)


def _strings(product: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The attributes in words: name and value."""
    return [
        (k.removeprefix(_STRING), v)
        for k, v in product.items()
        if k.startswith(_STRING) and isinstance(v, str)
    ]


def _frequent(lists: Iterable[list[str]], least: int) -> list[list[str]]:
    """What stands in at least so many of the lists."""
    lists = list(lists)
    counts = Counter(value for some in lists for value in set(some))
    return [
        [value for value in dict.fromkeys(some) if counts[value] >= least]
        for some in lists
    ]


def _tidy(text: str) -> str:
    return " ".join(re.sub(r"<[^>]*>|\\n", " ", text).split())
