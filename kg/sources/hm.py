"""H&M: a week of fashion, 16 to 22 September 2020, from Kaggle's H&M competition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kg.errors import DataError
from kg.prices import median_prices
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import Tables

# Attribute type: label, the relation that leads to it, and its column in articles.parquet.
_ATTRIBUTES = {
    "product_code": (
        "ProductCode",
        "variant_of",
        "product_code",
    ),  # the same garment in its other colours
    "product_type": ("ProductType", "is_a", "product_type_name"),
    "colour": ("Colour", "in_colour", "colour_group_name"),
    "pattern": ("Pattern", "in_pattern", "graphical_appearance_name"),
    "department": ("Department", "in_department", "department_name"),
    "section": ("Section", "in_section", "section_name"),
    "garment_group": ("GarmentGroup", "in_garment_group", "garment_group_name"),
    "index": ("Index", "in_index", "index_name"),
}
_PROPERTIES = ("product_type", "colour", "department", "section", "garment_group")
_PRICED = (*_PROPERTIES, "price")
SCHEMA = GraphSchema(
    nodes=(
        NodeType("customer", "user", "Customer"),
        NodeType("basket", "bundle", "Basket"),
        NodeType(
            "article",
            "item",
            "Article",
            title="title",
            text=("title", "kind", "description"),
            properties=_PRICED,
        ),
        *(
            NodeType(
                name, "attribute", label, text=() if name == "product_code" else ("id",)
            )
            for name, (label, _, _) in _ATTRIBUTES.items()
        ),
    ),
    edges=(
        EdgeType("made", "customer", "basket", "interaction", time="day"),
        EdgeType("contains", "basket", "article", "membership"),
        *(
            EdgeType(relation, "article", name, "relation")
            for name, (_, relation, _) in _ATTRIBUTES.items()
        ),
    ),
)
_ARTICLES = dict.fromkeys(
    (
        "article_id",
        "prod_name",
        "detail_desc",
        *(column for *_, column in _ATTRIBUTES.values()),
    ),
    pa.string(),
)
_BOUGHT = ("t_dat", "customer_id", "article_id")
_PURCHASES = {
    "t_dat": pa.date32(),
    "customer_id": pa.string(),
    "article_id": pa.string(),
    "price": pa.float64(),
}
_MAY_BE_NULL = {*_ARTICLES, "price"} - {"article_id"}


@dataclass(frozen=True)
class HM:
    """The articles that were bought in the period, and the baskets.

    A basket is what a customer bought in a day.

    An article counts once a basket. Its price is the median of what was paid in the whole
    period, in the units of the
    file, which are no currency: for budgets and for people only, since no part of the model
    reads it.

    Attributes:
        path: The folder of articles.parquet and purchases.parquet.
    """

    path: str = "data/hm_fashion"

    def load(self) -> Tables:
        """Read the files.

        Raises:
            DataError: A file is missing or no Parquet file, a column is missing, or an id or
                date is not valid.
        """
        found = []
        for file in ("articles.parquet", "purchases.parquet"):
            path = Path(self.path) / file
            if not path.is_file():
                raise DataError(f"{path}: no such file")
            try:
                found.append(pq.read_table(path))
            except (pa.ArrowException, OSError) as error:
                raise DataError(f"{path}: {str(error).splitlines()[0]}") from error
        return parse(*found)

    @classmethod
    def example(cls) -> Tables:
        """Four customers, a basket a day for four days, five articles sold and one that is not."""
        kinds = ("Trousers", "Trousers", "Sweater", "Sweater", "Unknown", "Dress")
        names = ("Wide HW", "Wide HW", "Rib knit", "Cosy", "Gift box", "Midi")
        columns = {
            "article_id": [f"010{n}00100{n}" for n in range(6)],
            "prod_name": list(names),
            "detail_desc": [
                f"{name} in a soft weave." if name != "Cosy" else None for name in names
            ],
            "product_code": [10 + n // 2 for n in range(6)],
            "product_type_name": list(kinds),
            "colour_group_name": ["Black", "White"] * 3,
            "graphical_appearance_name": ["Solid"] * 5 + ["Stripe"],
            "department_name": [f"{kind} Basic" for kind in kinds],
            "section_name": ["Womens Everyday Basics"] * 6,
            "garment_group_name": list(kinds),
            "index_name": ["Ladieswear"] * 6,
        }
        rows = [
            (
                date(2020, 9, 19) + timedelta(day),
                f"c{who}",
                f"10{n}00100{n}",
                0.01 * (n + 1),
            )
            for who in range(4)
            for day, picks in enumerate(((0, 2), (1, 3), (who, 4), (0, 3, who)))
            for n in picks
        ]
        return parse(
            pa.table(columns),
            pa.table(
                dict(zip(_PURCHASES, map(list, zip(*rows, strict=True)), strict=True))
            ),
        )


def parse(articles: pa.Table, purchases: pa.Table) -> Tables:
    """The catalogue and its purchases as tables.

    Article ids are padded to ten digits; "Unknown" is no value.

    Args:
        articles: article_id, prod_name, detail_desc and the columns of the attributes.
        purchases: t_dat (a date), customer_id, article_id, price.

    Raises:
        DataError: A column is missing or of another type, or an id is missing, no number,
            unknown or used twice.
    """
    known = _columns(articles, "articles.parquet", _ARTICLES)
    lines = _columns(purchases, "purchases.parquet", _PURCHASES)
    bought = (
        lines.group_by(list(_BOUGHT))
        .aggregate([])
        .sort_by([(name, "ascending") for name in _BOUGHT])
    )
    ids = known["article_id"]
    if pc.count_distinct(ids).as_py() != len(ids):
        counts = ids.value_counts()
        twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")[0]
        raise DataError(f"articles.parquet: column article_id: {twice} is there twice")
    lost = bought["article_id"].filter(pc.invert(pc.is_in(bought["article_id"], ids)))
    if len(lost):
        raise DataError(
            f"purchases.parquet: column article_id: {lost[0]} is not in articles.parquet"
        )
    known = known.filter(pc.is_in(ids, bought["article_id"])).sort_by("article_id")
    basket = pc.binary_join_element_wise(
        bought["customer_id"], bought["t_dat"].cast(pa.string()), "|"
    )
    made = pa.table(
        [bought["customer_id"], basket, bought["t_dat"]], ["source", "target", "time"]
    )
    made = made.group_by(made.column_names, use_threads=False).aggregate([])
    value = {
        name: pc.if_else(
            pc.equal(known[column], "Unknown"),
            pa.scalar(None, pa.string()),
            known[column],
        )
        for name, (_, _, column) in _ATTRIBUTES.items()
    }
    kind = pc.binary_join_element_wise(
        value["product_type"], value["colour"], ", ", null_handling="skip"
    )
    article = {
        "id": known["article_id"],
        "title": known["prod_name"],
        "kind": kind,
        "description": known["detail_desc"],
    }
    price = median_prices(
        lines["article_id"], lines["price"], known["article_id"], digits=4
    )
    nodes = {
        "customer": pa.table({"id": made["source"].unique()}),
        "basket": pa.table({"id": made["target"]}),
        "article": pa.table(
            article | {name: value[name] for name in _PROPERTIES} | {"price": price}
        ),
    }
    edges = {
        "made": made,
        "contains": pa.table([basket, bought["article_id"]], ["source", "target"]),
    }
    for name, (_, relation, _) in _ATTRIBUTES.items():
        nodes[name] = pa.table({"id": value[name].drop_null().unique().sort()})
        edges[relation] = pa.table(
            [known["article_id"], value[name]], ["source", "target"]
        ).drop_null()
    return Tables(SCHEMA, nodes, edges)


def _columns(table: pa.Table, file: str, wanted: Mapping[str, pa.DataType]) -> pa.Table:
    """The wanted columns in their types, article ids with their zeros."""
    found = {}
    for name, kind in wanted.items():
        where = f"{file}: column {name}"
        if name not in table.column_names:
            raise DataError(
                f"{file}: no column {name}; it has {', '.join(table.column_names)}"
            )
        try:
            values = table[name].cast(kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(f"{where}: {str(error).splitlines()[0]}") from error
        if values.null_count and name not in _MAY_BE_NULL:
            raise DataError(
                f"{where}: {values.null_count} of {len(values)} values are missing"
            )
        if name == "article_id":
            odd = values.filter(
                pc.invert(pc.match_substring_regex(values, r"^[0-9]{1,10}$"))
            )
            if len(odd):
                raise DataError(
                    f"{where}: {odd[0].as_py()!r} is not a number of at most ten digits"
                )
            values = pc.utf8_lpad(values, 10, "0")
        found[name] = values
    return pa.table(found)
