"""Folder: your own data, a file for each node and edge type, beside their schema.toml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from kg.errors import DataError
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import Tables

_EXAMPLE = {
    "schema.toml": """
[[nodes]]
name = "customer"
role = "user"
[[nodes]]
name = "garment"
role = "item"
id = "sku"
title = "name"
text = ["name", "description"]
[[nodes]]
name = "season"
role = "attribute"
text = ["id"]
[[edges]]
name = "bought"
source = "customer"
target = "garment"
role = "interaction"
time = "day"
[[edges]]
name = "worn_in"
source = "garment"
target = "season"
role = "relation"
weight = "share"
""",
    "nodes/customer.csv": "id\nann\nbob\ncyd\n",
    "nodes/garment.csv": (
        "sku,name,description\n"
        '007,Scarf,"warm, soft"\n'
        "008,Gloves,\n"
        "009,Sandals,open\n"
        "010,Hat,straw\n"
    ),
    "nodes/season.csv": "id\nwinter\nsummer\n",
    "edges/bought.csv": "source,target,day\n"
    + "".join(
        f"{who},{sku},2024-0{month}-15\n"
        for who, skus in (
            ("ann", ("007", "008", "010")),
            ("bob", ("009", "010", "007")),
            ("cyd", ("008", "009", "010")),
        )
        for month, sku in enumerate(skus, start=1)
    ),
    "edges/worn_in.csv": (
        "source,target,share\n"
        "007,winter,1\n"
        "008,winter,0.9\n"
        "009,summer,1\n"
        "010,summer,0.8\n"
    ),
}


@dataclass(frozen=True)
class Folder:
    """DIR/schema.toml, DIR/nodes/NAME.parquet or .csv, DIR/edges/NAME.parquet or .csv.

    Columns are named as the schema names the properties: a node's id may also be "id", an
    edge's ends are "source" and "target", its weight and time may also be "weight" and "time".
    Further columns are passed over. In CSV files (UTF-8, with a header) ids and properties are
    words, leading zeros included, and an empty cell is no value; times are numbers or ISO
    8601. Parquet files keep the types of their properties.

    Attributes:
        path: DIR.
    """

    path: str

    def load(self) -> Tables:
        """Read the files.

        Raises:
            DataError: schema.toml is missing or contradicts itself.
            DataError: A file is missing, is not what its name says, or lacks a column; or the
                data break the schema.
        """
        root = Path(self.path)
        schema = GraphSchema.from_toml(root / "schema.toml")
        nodes = {node.name: _nodes(root / "nodes", node) for node in schema.nodes}
        return Tables(
            schema,
            nodes,
            {edge.name: _edges(root / "edges", edge) for edge in schema.edges},
        )

    @classmethod
    def example(cls) -> Tables:
        """Three customers, four garments, two seasons, written to a folder and read back."""
        with TemporaryDirectory() as folder:
            write_example(Path(folder))
            return cls(folder).load()


def write_example(root: Path) -> None:
    """Write the example's files, to start one's own from."""
    for name, content in _EXAMPLE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content.lstrip(), encoding="utf-8")


def _nodes(folder: Path, node: NodeType) -> pa.Table:
    path, table = _read(folder, node.name)
    columns = {"id": _words(path, table, node.id, "id")}
    return pa.table(
        columns | {name: _plain(_column(path, table, name)) for name in node.columns}
    )


def _edges(folder: Path, edge: EdgeType) -> pa.Table:
    path, table = _read(folder, edge.name)
    columns = {end: _words(path, table, end) for end in ("source", "target")}
    for name, column in (("weight", edge.weight), ("time", edge.time)):
        if column:
            columns[name] = _number(
                path, column, _column(path, table, column, name), dates=name == "time"
            )
    return pa.table(columns)


def _read(folder: Path, name: str) -> tuple[Path, pa.Table]:
    found = [
        path
        for path in (folder / f"{name}.parquet", folder / f"{name}.csv")
        if path.is_file()
    ]
    if len(found) != 1:
        fault = "both files are there; keep one" if found else "no such file"
        raise DataError(f"{folder / name}.parquet or .csv: {fault}")
    path = found[0]
    try:
        table = pq.read_table(path) if path.suffix == ".parquet" else _read_csv(path)
    except (pa.ArrowException, OSError) as error:
        remedy = (
            "; save it as UTF-8" if "UTF8" in str(error) or "\x00" in str(error) else ""
        )
        raise DataError(f"{path}: {str(error).splitlines()[0]}{remedy}") from error
    twice = {
        column for column in table.column_names if table.column_names.count(column) > 1
    }
    if twice:
        raise DataError(f"{path}: column {', '.join(sorted(twice))} is there twice")
    return path, table


def _read_csv(path: Path) -> pa.Table:
    parse = csv.ParseOptions(newlines_in_values=True)
    try:
        words = dict.fromkeys(
            csv.open_csv(path, parse_options=parse).schema.names, pa.string()
        )
    except UnicodeDecodeError:
        raise DataError(
            f"{path}: the names of its columns are not in UTF-8; save it as UTF-8"
        ) from None
    convert = csv.ConvertOptions(
        column_types=words, strings_can_be_null=True, null_values=[""]
    )
    return csv.read_csv(path, parse_options=parse, convert_options=convert)


def _column(path: Path, table: pa.Table, *names: str) -> pa.ChunkedArray:
    for name in names:
        if name in table.column_names:
            return table[name]
    raise DataError(
        f"{path}: no column {' or '.join(dict.fromkeys(names))}; it has "
        f"{', '.join(table.column_names)}"
    )


def _words(path: Path, table: pa.Table, *names: str) -> pa.ChunkedArray:
    column = _plain(_column(path, table, *names))
    if not (pa.types.is_string(column.type) or pa.types.is_integer(column.type)):
        raise DataError(
            f"{path}: ids must be text or whole numbers, not {column.type} ({names[0]})"
        )
    return column.cast(pa.string())


def _number(
    path: Path, name: str, column: pa.ChunkedArray, *, dates: bool
) -> pa.ChunkedArray:
    column = _plain(column)
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0]) + 2
        raise DataError(
            f"{path}: column {name}: {column.null_count} cells are empty, the first in row {row}"
        )
    if not pa.types.is_string(column.type):
        return column
    kinds = [
        pa.float64(),
        *([pa.timestamp("us"), pa.timestamp("us", "UTC")] if dates else []),
    ]
    for kind in kinds:
        try:
            return column.cast(kind)
        except pa.ArrowInvalid:
            pass
    row = max(_readable(column, kind) for kind in kinds)
    wanted = (
        "no number and no date or moment as 2024-12-31 or 2024-12-31T18:30:00"
        if dates
        else "no number"
    )
    mixed = ", or not of the kind of those before" * (dates and row > 0)
    raise DataError(
        f"{path}: column {name}: {column[row].as_py()!r} in row {row + 2} is {wanted}{mixed}"
    )


def _readable(column: pa.ChunkedArray, kind: pa.DataType) -> int:
    """How many values there are before the first that cannot be cast; one cannot."""
    low, high = 0, len(column)  # so many can be, so many cannot
    while high - low > 1:
        middle = (low + high) // 2
        try:
            column.slice(0, middle).cast(kind)
            low = middle
        except pa.ArrowInvalid:
            high = middle
    return low


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text in any of Arrow's dresses as plain text; else as it is."""
    kind = (
        column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    )
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        kind = pa.string()
    return column if kind == column.type else column.cast(kind)
