"""Columns: those of node and edge tables, and their values in the types that every store keeps."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kg.errors import DataError
from kg.schema import EdgeType, NodeType


def node_schema(node: NodeType) -> tuple[str, ...]:
    """The columns of a node table: "id", then the kept properties under their own names."""
    return ("id", *node.columns)


def edge_schema(edge: EdgeType) -> pa.Schema:
    """The columns of an edge table.

    They are source, target and, where the type has them, weight and time.
    """
    columns = [pa.field("source", pa.string()), pa.field("target", pa.string())]
    columns += [pa.field("weight", pa.float64())] if edge.weight else []
    columns += [pa.field("time", pa.float64())] if edge.time else []
    return pa.schema(columns)


def plain(values: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """A property in one of the types that every store keeps.

    These are string, int64, float64, bool, date32 and timestamp[us].

    Lists of scalars are joined by ", ", timestamps are turned to UTC, a column of nulls is one
    of strings.

    Raises:
        DataError: The type is none of these; `where` says which column it is.
    """
    is_, kind = pa.types, values.type
    if is_.is_dictionary(kind):
        values, kind = values.cast(kind.value_type), kind.value_type
    try:
        if is_.is_boolean(kind) or is_.is_date(kind):
            return values.cast(pa.bool_() if is_.is_boolean(kind) else pa.date32())
        if is_.is_integer(kind):
            return values.cast(pa.int64())
        if is_.is_floating(kind) or is_.is_decimal(kind):
            return values.cast(pa.float64())
        if is_.is_timestamp(kind):
            return values.cast(pa.timestamp("us"), safe=False)
        if is_.is_list(kind) or is_.is_large_list(kind):
            return pc.binary_join(
                values.cast(pa.list_(pa.string())),
                ", ",
            )
        if (
            is_.is_null(kind)
            or is_.is_string(kind)
            or is_.is_large_string(kind)
            or is_.is_string_view(kind)
        ):
            return values.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"{where}: {error}") from error
    raise DataError(
        f"{where}: {kind} is no type of a property; text, numbers, booleans, dates and "
        "lists of these are"
    )


def plain_nodes(node: NodeType, table: pa.Table) -> pa.Table:
    """The columns of node_schema in plain types, ids as strings.

    Raises:
        DataError: A column is missing or of an unknown type, or an id is null.
    """
    missing = set(node_schema(node)) - set(table.column_names)
    if missing:
        raise DataError(
            f"node type {node.name!r}: no column {', '.join(sorted(missing))}"
        )
    names = node_schema(node)
    columns = [plain(table[n], f"node type {node.name!r}, column {n!r}") for n in names]
    ids = columns[0].cast(pa.string())
    if ids.null_count:
        raise DataError(f"node type {node.name!r}: {ids.null_count} ids are null")
    return pa.table([ids, *columns[1:]], names=list(names))


def plain_edges(edge: EdgeType, table: pa.Table) -> pa.Table:
    """The columns of edge_schema; timestamps become days since 1970-01-01.

    Raises:
        DataError: A column is missing or of another type, an end is null, or a weight or time
            is no finite number.
    """
    wanted = edge_schema(edge)
    missing = set(wanted.names) - set(table.column_names)
    if missing:
        raise DataError(
            f"edge type {edge.name!r}: no column {', '.join(sorted(missing))}"
        )
    columns = []
    for column in wanted:
        values = table[column.name]
        try:
            columns.append(in_days(values).cast(column.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"edge type {edge.name!r}, column {column.name!r}: {error}"
            ) from error
    table = pa.table(columns, schema=wanted)
    for name in ("source", "target"):
        if table[name].null_count:
            raise DataError(
                f"edge type {edge.name!r}: {table[name].null_count} edges have no {name}"
            )
    for name in wanted.names[2:]:
        values = table[name].to_numpy()
        if len(values) and (
            not np.isfinite(values).all() or (name == "weight" and values.min() < 0)
        ):
            kind = "finite, non-negative" if name == "weight" else "finite"
            raise DataError(
                f"edge type {edge.name!r}: each {name} must be a {kind} number"
            )
    return table


def in_days(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Dates and timestamps as days since 1970-01-01, to the microsecond until 2255.

    Anything else stays as it is.
    """
    if not (pa.types.is_timestamp(values.type) or pa.types.is_date(values.type)):
        return values
    micros = values.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    return pc.divide(micros.cast(pa.float64(), safe=False), 86400e6)
