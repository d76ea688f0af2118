"""python -m kg: load a data set into a store, export it, check it, or draft a schema.

A schema is drafted for a database that was there before us.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from kg.errors import DataError, InputError, TrousseauError
from kg.prices import odd_prices
from kg.schema import GraphSchema
from kg.stores.base import read_tables, write_tables
from kg.stores.inspect import inspect
from kg.stores.open import open_store
from kg.stores.parquet import save_tables
from kg.tables import Tables
from kg.times import span_of

_STORE = (
    "a path, or the address of a Neo4j (neo4j://, bolt://; "
    "NEO4J_USERNAME, NEO4J_PASSWORD, NEO4J_DATABASE)"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns 0 where all is well, 1 where a check fails, 2 on bad input (one line on stderr).
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (TrousseauError, OSError) as error:
        print(f"kg {options.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def load(options: argparse.Namespace) -> int:
    """Write a source's tables into a store.

    What is there already stays, but for what has the same id.
    """
    tables = make_source(options.source, options.set).load()
    with open_store(options.store, create=True) as store:
        write_tables(store, tables)
        held = store.count(tables.schema)
    written = {
        name: len(table) for name, table in {**tables.nodes, **tables.edges}.items()
    }
    for name, count in held.items():
        print(
            f"{name}: {count:,}"
            + (f", of {written[name]:,} written" if count != written[name] else "")
        )
    if any(count > written[name] for name, count in held.items()):
        print(
            f"warning: {options.store} held more before, and still does; load into an "
            "empty one to be rid of it"
        )
    return 0


def export(options: argparse.Namespace) -> int:
    """Write a store's tables as Parquet files beside their schema."""
    with open_store(options.store) as store:
        tables = read_tables(store, _schema(options))
    save_tables(tables, Path(options.folder))
    _print_counts(tables)
    return 0


def check(options: argparse.Namespace) -> int:
    """Read and validate a store.

    Returns 1 where its data break the schema or an item has neither edges nor words.
    """
    schema = _schema(options)
    with open_store(options.store) as store:
        try:
            tables = read_tables(store, schema)
        except DataError as error:
            print(f"FAILED: {error}")
            return 1
    _print_counts(tables)
    for edge in tables.schema.edges:
        if edge.time:
            print(
                f"times of {edge.name}: {span_of(tables.edges[edge.name]['time'].to_numpy())}"
            )
    item = tables.schema.item.name
    vocab, texts = tables.vocab(item), tables.texts(item)
    linked = np.zeros(len(vocab), bool)
    for edge in tables.schema.edges:
        for end, name in (("source", edge.source), ("target", edge.target)):
            if name == item:
                linked[vocab.rows(tables.edges[edge.name][end])] = True
    wordless = np.array([not text for text in texts])
    titles = Counter(tables.titles(item))
    unknown = np.flatnonzero(wordless & ~linked)
    print(f"isolated items: {int((~linked).sum()):,}")
    print(f"items without text: {int(wordless.sum()):,}")
    print(f"items that share their title: {sum(n for n in titles.values() if n > 1):,}")
    print(f"fingerprint: {tables.fingerprint()}")
    if "price" in tables.schema.item.columns:
        prices = tables.nodes[item]["price"]
        odd = odd_prices(prices)
        if len(odd):
            first = f"{vocab.key(int(odd[0]))!r} at {prices[int(odd[0])].as_py()!r}"
            print(
                f"warning: {len(odd):,} prices are no numbers or below 0, such as {first}"
            )
    if len(unknown):
        print(
            f"FAILED: {len(unknown):,} items have neither edges nor text, such as "
            f"{vocab.key(int(unknown[0]))!r}"
        )
    return int(len(unknown) > 0)


def draft(options: argparse.Namespace) -> int:
    """Print the schema of a store, drafted where none was saved."""
    with open_store(options.store) as store:
        print(inspect(store))
    return 0


def make_source(name: str, settings: Sequence[str] = ()) -> Any:
    """The source named module:Class under kg.sources, with its settings given as key=value.

    Raises:
        InputError: There is no such source, or it has no such setting or not of that type.
    """
    if not re.fullmatch(r"\w+:\w+", name := name.removeprefix("kg.sources.")):
        raise InputError(
            f"{name!r} is no source; name one as module:Class, such as folder:Folder"
        )
    module, _, kind = name.partition(":")
    try:
        source = getattr(importlib.import_module(f"kg.sources.{module}"), kind)
    except ModuleNotFoundError as error:
        raise InputError(f"no source {name!r}: {error}") from error
    except AttributeError:
        raise InputError(
            f"no source {name!r}: kg/sources/{module}.py has no {kind}"
        ) from None
    if not (
        isinstance(source, type) and is_dataclass(source) and hasattr(source, "load")
    ):
        raise InputError(f"{name!r} is no source: it is no dataclass with load()")
    hints, known, values = get_type_hints(source), [f.name for f in fields(source)], {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or key not in known:
            raise InputError(
                f"{setting!r} is no key=value of {name}; its keys are {', '.join(known) or 'none'}"
            )
        values[key] = _value(key, text, hints[key])
    try:
        return source(**values)
    except TypeError as error:
        raise InputError(f"{name}: {error}") from error


def _value(key: str, text: str, hint: Any) -> Any:
    if hint in (str, Path):
        return hint(text)
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    if hint is float and type(value) is int:
        return float(value)
    if hint in (bool, int, float) and type(value) is not hint:
        raise InputError(f"{key} must be {hint.__name__}, not {text!r}")
    return tuple(value) if isinstance(value, list) else value


def _schema(options: argparse.Namespace) -> GraphSchema | None:
    return GraphSchema.from_toml(options.schema) if options.schema else None


def _print_counts(tables: Tables) -> None:
    for name, table in {**tables.nodes, **tables.edges}.items():
        print(f"{name}: {len(table):,}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kg", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name, help=text, description=f"{run.__doc__} {main.__doc__}"
        )
        command.set_defaults(run=run)
        return command

    command = add("load", load, "write a data set into a store")
    command.add_argument(
        "source", help="module:Class under kg.sources, such as folder:Folder"
    )
    command.add_argument("store", help=_STORE)
    command.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a setting of the source",
    )
    command = add(
        "export", export, "write a store as Parquet files that the folder source reads"
    )
    command.add_argument("store", help=_STORE)
    command.add_argument("folder", help="where schema.toml, nodes/ and edges/ go")
    command.add_argument(
        "--schema",
        metavar="FILE",
        help="a schema file; the saved schema where it is left out",
    )
    command = add("check", check, "validate a store and count what it holds")
    command.add_argument("store", help=_STORE)
    command.add_argument(
        "--schema",
        metavar="FILE",
        help="a schema file; the saved schema where it is left out",
    )
    command = add(
        "inspect",
        draft,
        "print a store's schema, or a draft for a Neo4j database that has none",
    )
    command.add_argument("store", help=_STORE)
    return parser


if __name__ == "__main__":
    sys.exit(main())
