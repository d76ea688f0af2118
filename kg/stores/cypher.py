"""Names and values as Cypher text."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa

from kg.errors import DataError
from kg.schema import GraphSchema

DATES = {"DATE", "LOCAL DATETIME", "ZONED DATETIME"}
NUMBERS = {"INTEGER", "FLOAT"}
Reader = tuple[str, tuple[pa.DataType, ...]]


def escape(name: str) -> str:
    """A label, relationship type or property name as Cypher that can be nothing else."""
    return "`" + name.replace("\\u", "\\u005cu").replace("`", "``") + "`"


def literal(text: str) -> str:
    """A text as Cypher that can be nothing else."""
    quoted = (
        text.replace("\\", "\\\\")
        .replace("'", "\\'")
        .replace("\n", "\\n")
        .replace("\r", "\\r")
    )
    # A server may read \\u as a character's number before it reads quotes: no backslash stands
    # before a u.
    return "'" + quoted.replace("\\u", "\\' + 'u") + "'"


def forms(key: str) -> list[str | int]:
    """What a database may keep an id as: text, or the integer that is written so."""
    return [key, int(key)] if re.fullmatch(r"0|-?[1-9]\d{0,17}", key) else [key]


def same_id(name: str, *keys: str) -> str:
    """That a node has one of some ids; an index is used."""
    listed = (
        literal(form) if isinstance(form, str) else str(form)
        for key in keys
        for form in forms(key)
    )
    return f"{name} IN [{', '.join(listed)}]"


def path_query(
    schema: GraphSchema,
    nodes: Sequence[tuple[str, str]],
    steps: Sequence[tuple[str, bool]],
) -> str:
    """A query without parameters that returns one path.

    Args:
        schema: Whose labels, id properties and relationship types.
        nodes: (type, id) in order.
        steps: (edge type, whether it is walked against its direction) between them.
    """
    pattern, where = "", []
    for place, (kind, key) in enumerate(nodes):
        node = schema.node(kind)
        if place:
            name, back = steps[place - 1]
            relationship = f"[:{escape(schema.edge(name).relationship)}]"
            pattern += f"<-{relationship}-" if back else f"-{relationship}->"
        pattern += f"(n{place}:{escape(node.label)})"
        where.append(same_id(f"n{place}.{escape(node.id)}", key))
    return f"MATCH path = {pattern}\nWHERE {' AND '.join(where)}\nRETURN path"


def listed(kinds: set[str]) -> str:
    """Types as words."""
    return " and ".join(sorted(kinds)).lower()


def micros(time: str) -> str:
    """Microseconds since 1970-01-01 in UTC of a date or time."""
    zoned = f"WHEN 'DATE NOT NULL' THEN datetime({{date: {time}, timezone: 'Z'}}) "
    utc = f"datetime({{datetime: {time}, timezone: 'Z'}})"
    zoned += f"WHEN 'LOCAL DATETIME NOT NULL' THEN {utc} ELSE {time}"
    moment = f"CASE valueType({time}) {zoned} END"
    return f"[t IN [{moment}] | t.epochSeconds * 1000000 + t.nanosecond / 1000][0]"


def reader(
    name: str,
    kinds: set[str],
    where: str,
) -> Reader:
    """How to fetch a property: the expression, and the Arrow types to read it as and to cast it to.

    Raises:
        DataError: The types do not go together, or are none that a store keeps.
    """
    simple = {
        "INTEGER": pa.int64(),
        "FLOAT": pa.float64(),
        "BOOLEAN": pa.bool_(),
        "STRING": pa.string(),
    }
    if len(kinds) < 2 and kinds <= set(simple):
        return name, (simple[next(iter(kinds), "STRING")],)
    if kinds == NUMBERS:
        return f"toFloat({name})", (pa.float64(),)
    if kinds == {"LIST"}:
        return f"[x IN {name} | toStringOrNull(x)]", (pa.list_(pa.string()),)
    if kinds <= DATES:
        return micros(name), (
            pa.int64(),
            pa.timestamp("us"),
            *([pa.date32()] if kinds == {"DATE"} else []),
        )
    raise DataError(
        f"{where} is {listed(kinds)}; make it one of text, numbers, booleans, dates or "
        "lists, or leave it out"
    )
