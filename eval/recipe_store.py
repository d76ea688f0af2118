"""The embedded store that a recipe names by its source: where it lies, built on first use."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from fusion.experiment import Recipe
from kg import config as recipes
from kg.schema import GraphSchema
from kg.stores.base import read_tables, write_tables
from kg.stores.open import open_store
from kg.tables import Tables


def store_path(recipe: Recipe, data: Path) -> Path:
    """Where the recipe's own store lies; another source's settings make another file."""
    values = recipes.to_dict(recipe)
    source = json.dumps(values["source"], sort_keys=True)
    digest = hashlib.sha256(source.encode())
    short = digest.hexdigest()[:8]
    kind = type(recipe.source)
    name = kind.__name__.lower()
    return data / f"{name}-{short}.duckdb"


def read_graph(uri: str, recipe: Recipe, data: Path) -> Tables:
    """The tables of the store at uri; where that is "", of the recipe's own, built where missing.

    Raises:
        InputError: The recipe names no source, and uri is "".
        StoreError: The store cannot be opened.
        DataError: What it holds breaks the schema.
    """
    if not uri:
        path = store_path(recipe, data)
        if not path.exists():
            build(recipe, path)
        uri = str(path)
    schema = None
    if recipe.schema:
        schema = GraphSchema.from_toml(recipe.schema)
    with open_store(uri) as store:
        return read_tables(store, schema)


def build(recipe: Recipe, path: Path) -> None:
    """Write the source's tables into a new store, whole or not at all."""
    tables = recipe.source.load()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with open_store(str(part), create=True) as store:
        write_tables(store, tables)
    part.rename(path)


def sizes(tables: Tables) -> str:
    """Nodes and edges in one line."""
    parts = {
        **tables.nodes,
        **tables.edges,
    }
    counts = [f"{len(table):,} {name}" for name, table in parts.items()]
    return ", ".join(counts)
