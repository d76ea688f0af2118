"""Icecat: a catalogue of electronics without shoppers, and people's grades of searches in it."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as csv

from kg.errors import DataError
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.sources.icecat_attributes import (
    colours_of,
    features_of,
    frequent,
    kinds_of,
    tidy,
)
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
_VALUE = re.compile("^[^:]*: ")  # a feature is "name: value"; people read the value


@dataclass(frozen=True)
class Icecat:
    """The catalogue of the search demo "Chorus".

    Its products have title, description, supplier and attributes.

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
        "kind": kinds_of(products, config.least),
        "supplier": [[str(p["supplier"])] for p in products],
        "colour": frequent([colours_of(p) for p in products], config.least),
        "feature": features_of(products, config.values, config.least),
    }
    titles = {
        "id": [p["id"] for p in products],
        "title": [tidy(p["title"]) for p in products],
        "short_description": [tidy(p.get("short_description") or "") for p in products],
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
