"""Rows staged in a temporary table of DuckDB, and merged into one that lasts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import duckdb
import numpy as np
import pyarrow as pa

from kg.errors import DataError

STAGE = "stage of rows"
_ROW = "row of stage"


def quote(name: str) -> str:
    """A table's or column's name as SQL that can be nothing else."""
    return '"' + name.replace('"', '""') + '"'


def stage_rows(
    cursor: duckdb.DuckDBPyConnection,
    parts: Iterable[pa.Table],
    where: str,
) -> int:
    """Put all rows, numbered, into a temporary table; returns how many."""
    cursor.execute(f"DROP TABLE IF EXISTS temp.{quote(STAGE)}")
    sent, schema = 0, None
    for part in parts:
        if schema is None:
            schema = part.schema
            if len({n.lower() for n in schema.names}) < len(schema.names):
                raise DataError(
                    f"{where}: of the properties {', '.join(schema.names)} two differ only in case"
                )
        try:
            part = part.cast(schema)
        except pa.ArrowInvalid as error:
            raise DataError(
                f"{where}: a property changes its type between batches: {error}"
            ) from error
        cursor.register(
            "part",
            part.append_column(
                _ROW,
                pa.array(np.arange(sent, sent + len(part))),
            ),
        )
        if not sent:
            cursor.execute(
                f"CREATE OR REPLACE TEMP TABLE {quote(STAGE)} AS SELECT * FROM part LIMIT 0"
            )
        cursor.execute(f"INSERT INTO {quote(STAGE)} SELECT * FROM part")
        cursor.unregister("part")
        sent += len(part)
    return sent


def merge_stage(
    cursor: duckdb.DuckDBPyConnection,
    table: str,
    there: dict[str, str],
    key: Sequence[str],
    where: str,
) -> None:
    """Upsert the staged rows into a table, made where there is none; of a key the last row counts.

    Args:
        cursor: In a transaction.
        table: The table's name.
        there: Its columns and their types before; none where it is not there.
        key: The columns that tell its rows apart.
        where: Which type it is, for messages.

    Raises:
        DataError: A column changes its type, or differs from another only in case.
    """
    described = cursor.execute(f"DESCRIBE {quote(STAGE)}").fetchall()
    staged = {name: kind for name, kind, *_ in described if name != _ROW}
    names = ", ".join(map(quote, staged))
    stage, into = quote(STAGE), quote(table)
    cursor.execute(
        f"CREATE TABLE IF NOT EXISTS {into} AS SELECT {names} FROM {stage} LIMIT 0"
    )
    _fit(
        cursor,
        table,
        there or staged,
        staged,
        where,
    )
    # Times may be missing, and two missing ones are the same.
    same = {"time": "IS NOT DISTINCT FROM"}
    on = " AND ".join(f"t.{k} {same.get(k, '=')} s.{k}" for k in key)
    rest = ", ".join(f"{quote(n)} = s.{quote(n)}" for n in staged if n not in key)
    update = f"WHEN MATCHED THEN UPDATE SET {rest}" if rest else ""
    values = ", ".join(f"s.{quote(n)}" for n in staged)
    first = f"SELECT DISTINCT ON ({', '.join(key)}) * FROM {stage}"
    latest = f"{first} ORDER BY {quote(_ROW)} DESC"
    insert = f"WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})"
    cursor.execute(f"MERGE INTO {into} t USING ({latest}) s ON {on} {update} {insert}")


def _fit(
    cursor: duckdb.DuckDBPyConnection,
    table: str,
    there: dict[str, str],
    staged: dict[str, str],
    where: str,
) -> None:
    """Add the columns that are new; widen those that were integers, or had only nulls."""
    for name, kind in staged.items():
        column, alter = quote(name), f"ALTER TABLE {quote(table)}"
        have = there.get(name)
        if have is None:
            same = [n for n in there if n.lower() == name.lower()]
            if same:
                raise DataError(
                    f"{where}: the properties {name!r} and {same[0]!r} differ only in "
                    "case; rename one"
                )
            cursor.execute(f"{alter} ADD COLUMN {column} {kind}")
        elif have != kind and (have, kind) != ("DOUBLE", "BIGINT"):
            used = {
                t: cursor.execute(f"SELECT count({column}) FROM {quote(t)}").fetchall()[
                    0
                ][0]
                for t in (table, STAGE)
            }
            if (have, kind) == ("BIGINT", "DOUBLE") or not used[table]:
                cursor.execute(f"{alter} ALTER COLUMN {column} TYPE {kind}")
            elif used[STAGE]:
                raise DataError(
                    f"{where}: the property {name!r} is {have} in the store and {kind} "
                    "in the rows sent"
                )
