"""BundleRec: Amazon bundles that people made, with their intents (Sun et al., SIGIR 2022)."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv

from kg.errors import DataError
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import Tables

SCHEMA = GraphSchema(
    nodes=(
        NodeType("user", "user", "User"),
        NodeType("bundle", "bundle", "Bundle", title="intent", text=("intent",)),
        NodeType("product", "item", "Product", title="title", text=("title", "kinds")),
        NodeType("category", "attribute", "Category", text=("id",)),
    ),
    edges=(
        EdgeType("made", "user", "bundle", "interaction"),
        EdgeType("contains", "bundle", "product", "membership"),
        EdgeType("in_category", "product", "category", "relation"),
    ),
)
_TOOK = EdgeType("took", "user", "product", "interaction")
_FILES = {
    "item_titles": ("item ID", "titles"),
    "item_categories": ("item ID", "categories"),
    "bundle_intent": ("bundle ID", "intent"),
    "bundle_item": ("bundle ID", "item ID"),
    "user_bundle": ("user ID", "bundle ID"),
    "user_item": ("user ID", "item ID"),
}
_PATHS = re.compile(r"\[\[.*\]\]", re.DOTALL)
_Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class BundleRec:
    """The bundles of one domain, their makers and their items.

    Split it with `kg.split.grouped:GroupedSplit` by user.

    What a user took is exactly the union of the user's bundles, and each bundle has one maker:
    an edge from user to item completes bundles with a recall@10 of 0.99 and says nothing. The
    sessions that bundles were found in have one user each, too, and hold the same items, but
    no split could take them out of the graph as it does a held-out user's own edges, since no
    edge from user to item or bundle leads to them. Neither is loaded. Times (days) are left
    out as well: the order of a user's bundles means little, and without them training is dealt
    into folds. Some intents (9 of 1,910 for clothing) quote titles of the bundle's own items;
    they are left as people wrote them.

    Attributes:
        path: The folder of one domain's CSV files.
        naive: Whether the edges from user to item are in the graph all the same: the model
            case of a leak.
        catalogue: Whether to load the products and their categories alone, as a shop has them
            that sold nothing yet; what people called their bundles is then a judgment of what
            a search should find.
    """

    path: str = "data/bundlerec/clothing"
    naive: bool = False
    catalogue: bool = False

    def load(self) -> Tables:
        """Read the files.

        Raises:
            DataError: A file is missing or broken, a column is missing, an id is missing,
                unknown or used twice, or both naive and catalogue are asked for.
        """
        if self.naive and self.catalogue:
            raise DataError(
                "BundleRec: a catalogue has no users; ask for naive or for catalogue, not both"
            )
        tables = parse(
            {name: _read(Path(self.path) / f"{name}.csv") for name in _FILES},
            self.naive,
        )
        return products(tables) if self.catalogue else tables

    def judgments(self) -> pa.Table:
        """Each intent and the items of all bundles called so.

        The columns are query, item (an id) and rating, which is 1.

        Raises:
            DataError: A file is missing or broken, or lacks a column.
        """
        rows = {
            name: _rows(name, _read(Path(self.path) / f"{name}.csv"))
            for name in ("bundle_intent", "bundle_item")
        }
        called = {bundle: _tidy(intent) for bundle, intent in rows["bundle_intent"]}
        pairs = [
            *dict.fromkeys(
                (q, item)
                for bundle, item in rows["bundle_item"]
                if (q := called.get(bundle))
            )
        ]
        table = _table(pairs, ("query", "item"))
        return table.append_column("rating", pa.array([1.0] * len(pairs), pa.float64()))

    @classmethod
    def example(cls) -> Tables:
        """Six users, two bundles each of eight products."""
        root = "Clothing, Shoes & Jewelry"
        kinds = (
            "Women,Shoes,Boots",
            "Women,Shoes,Sandals",
            "Women,Tops & Tees",
            "Novelty, Costumes & More,Hats",
        )
        names = ("boots", "sandals", "blouse", "hat")
        rows: dict[str, _Rows] = {
            "item_titles": [
                (f"{n}", f"{('Red', 'Blue')[n % 2]} {names[n // 2]}") for n in range(8)
            ],
            "item_categories": [
                (f"{n}", f"[[{root},{kinds[n // 2]}],[{root},Sale]]") for n in range(8)
            ],
            "bundle_intent": [
                (f"{n}", f"{('red', 'blue')[n % 2]} things to wear") for n in range(12)
            ],
            "bundle_item": [
                (f"{n}", f"{2 * ((n // 3 + k) % 4) + n % 2}")
                for n in range(12)
                for k in range(2 + n % 2)
            ],
            "user_bundle": [(f"{n // 2}", f"{n}") for n in range(12)],
        }
        maker = {bundle: user for user, bundle in rows["user_bundle"]}
        rows["user_item"] = [
            (maker[bundle], item) for bundle, item in rows["bundle_item"]
        ]
        tables = {
            name: pa.table(
                dict(zip(_FILES[name], map(list, zip(*r, strict=True)), strict=True))
            )
            for name, r in rows.items()
        }
        return parse(tables)


def parse(files: Mapping[str, pa.Table], naive: bool = False) -> Tables:
    """The files' tables, by name without ".csv", as a graph.

    Args:
        files: Text columns: item_titles (item ID, titles), item_categories (item ID,
            categories: "[[a,b],[c]]"), bundle_intent (bundle ID, intent), bundle_item,
                user_bundle and user_item (the two IDs).
        naive: As in BundleRec; user_item is not looked at without it.

    Raises:
        DataError: A column is missing, an id is missing, unknown or used twice, or categories
            are not as above.
    """
    rows = {
        name: _rows(name, files[name])
        for name in _FILES
        if naive or name != "user_item"
    }
    kinds = {item: levels(text, item) for item, text in rows["item_categories"]}
    product: list[tuple[str, ...]] = [
        (
            item,
            _tidy(title),
            ", ".join(
                dict.fromkeys(
                    k for path in kinds.get(item, ()) for k in path[1:] or path
                )
            ),
        )
        for item, title in rows["item_titles"]
    ]
    in_category = [
        (item, category)
        for item, paths in kinds.items()
        for category in dict.fromkeys(" > ".join(p[-2:]) for p in paths)
    ]
    edges = {
        "made": rows["user_bundle"],
        "contains": rows["bundle_item"],
        "in_category": in_category,
    }
    schema = SCHEMA
    if naive:
        schema = GraphSchema(SCHEMA.nodes, (*SCHEMA.edges, _TOOK))
        edges["took"] = rows["user_item"]
    nodes: dict[str, list[tuple[str, ...]]] = {
        "user": [
            (user,) for user in dict.fromkeys(user for user, _ in rows["user_bundle"])
        ],
        "bundle": [(bundle, _tidy(intent)) for bundle, intent in rows["bundle_intent"]],
        "product": product,
        "category": [
            (category,)
            for category in dict.fromkeys(category for _, category in in_category)
        ],
    }
    return Tables(
        schema,
        {
            name: _table(part, ("id", *schema.node(name).columns))
            for name, part in nodes.items()
        },
        {
            name: _table([*dict.fromkeys(pairs)], ("source", "target"))
            for name, pairs in edges.items()
        },
    )


def products(tables: Tables) -> Tables:
    """The products and their categories alone."""
    nodes = tuple(node for node in SCHEMA.nodes if node.role in ("item", "attribute"))
    edges = tuple(edge for edge in SCHEMA.edges if edge.role == "relation")
    return Tables(
        GraphSchema(nodes, edges),
        {node.name: tables.nodes[node.name] for node in nodes},
        {edge.name: tables.edges[edge.name] for edge in edges},
    )


def levels(text: str, item: str = "") -> list[list[str]]:
    """The paths of "[[a,b, c],[d]]" from the root down: a comma before a blank belongs to a name.

    Raises:
        DataError: The text is not of this form; the message names the item.
    """
    if not _PATHS.fullmatch(text.strip()):
        raise DataError(
            f"item_categories: item {item}: {text!r} is not of the form [[a,b],[c]]"
        )
    paths = (
        re.split(r",(?!\s)", html.unescape(path))
        for path in text.strip()[2:-2].split("],[")
    )
    return [
        kept
        for path in paths
        if (kept := [_tidy(level) for level in path if level.strip()])
    ]


def _tidy(text: str) -> str:
    return " ".join(html.unescape(text).split())


def _table(rows: Sequence[tuple[str, ...]], names: tuple[str, ...]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pa.table(
        [pa.array([value or None for value in c], pa.string()) for c in columns],
        list(names),
    )


def _rows(name: str, table: pa.Table) -> _Rows:
    wanted = _FILES[name]
    if missing := [column for column in wanted if column not in table.column_names]:
        raise DataError(
            f"{name}: no column {missing[0]!r}; it has {', '.join(table.column_names)}"
        )
    first, second = (table[column].cast(pa.string()).to_pylist() for column in wanted)
    return [(a or "", b or "") for a, b in zip(first, second, strict=True)]


def _read(path: Path) -> pa.Table:
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    words = dict.fromkeys(_FILES[path.stem], pa.string())
    try:
        return csv.read_csv(
            path,
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(column_types=words),
        )
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: {str(error).splitlines()[0]}") from error
