"""The graph's types and what they mean: which nodes are users, items, bundles, attributes."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_args

from kg.errors import DataError
from kg.phrases import check_phrases

NodeRole = Literal["user", "item", "bundle", "attribute"]
EdgeRole = Literal["interaction", "membership", "relation"]

T = TypeVar("T", "NodeType", "EdgeType")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ENDS: dict[str, set[tuple[str, str]]] = {
    "interaction": {("user", "item"), ("user", "bundle")},
    "membership": {("bundle", "item")},
}


@dataclass(frozen=True)
class NodeType:
    """A kind of node.

    Attributes:
        name: The type's name in this project; an identifier.
        role: What the nodes are to the recommender.
        label: The label in the database; the name where empty.
        id: The property that identifies a node; unique within the type.
        title: The property shown to people; the id where empty.
        text: The properties whose values, joined by ". ", are read by the language model.
        properties: Further properties to keep (price, season, ...).
    """

    name: str
    role: NodeRole
    label: str = ""
    id: str = "id"
    title: str = ""
    text: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", self.label or self.name)
        object.__setattr__(self, "text", tuple(self.text))
        object.__setattr__(self, "properties", tuple(self.properties))
        if not _NAME.fullmatch(self.name):
            raise DataError(f"node type {self.name!r}: a name is letters, digits and _")
        if self.role not in get_args(NodeRole):
            raise DataError(
                f"node type {self.name!r}: role {self.role!r} is none of {get_args(NodeRole)}"
            )
        if not self.id:
            raise DataError(f"node type {self.name!r}: the id property has no name")
        if "id" in self.columns:
            raise DataError(
                f"node type {self.name!r}: a property 'id' cannot be kept beside the id {self.id!r}"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """The properties kept beside the id, each once, in the order title, text, properties."""
        wanted = dict.fromkeys((self.title, *self.text, *self.properties))
        return tuple(name for name in wanted if name and name != self.id)


@dataclass(frozen=True)
class EdgeType:
    """A kind of edge, from one node type to another.

    Attributes:
        name: The type's name in this project; an identifier, unique in the schema.
        source: The node type's name that edges leave.
        target: The node type's name that edges enter.
        role: interaction (user to item or bundle), membership (bundle to item), or relation
            (anything else).
        relationship: The relationship type in the database; the name in capitals where empty.
        weight: The property that holds a non-negative strength; 1 where empty.
        time: The property that holds when it happened, a number or a timestamp. An edge is
            keyed by its ends, and by its time where it has one.
        phrases: By language (en, zh) and form (share, forward, back), how explanations say a
            relation, over the shipped sentences:
            phrases.en.share = "{a} and {b} are both for {via}".
    """

    name: str
    source: str
    target: str
    role: EdgeRole
    relationship: str = ""
    weight: str = ""
    time: str = ""
    phrases: Mapping[str, Mapping[str, str]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "relationship", self.relationship or self.name.upper())
        if not _NAME.fullmatch(self.name):
            raise DataError(f"edge type {self.name!r}: a name is letters, digits and _")
        if self.role not in get_args(EdgeRole):
            raise DataError(
                f"edge type {self.name!r}: role {self.role!r} is none of {get_args(EdgeRole)}"
            )
        check_phrases(self.phrases, self.name, self.role)


@dataclass(frozen=True)
class GraphSchema:
    """The types of a product knowledge graph; checked on construction.

    Raises:
        DataError: A name is used twice, an edge's end is unknown, an edge's role does not
            fit its ends, or there is not exactly one item type and at most one user and one
            bundle type.
    """

    nodes: tuple[NodeType, ...]
    edges: tuple[EdgeType, ...] = field(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))
        object.__setattr__(self, "edges", tuple(self.edges))
        for kind, names in (
            ("node type", [n.name for n in self.nodes]),
            ("label", [n.label for n in self.nodes]),
            ("edge type", [e.name for e in self.edges]),
            (
                "relationship between the same types",
                [f"{e.source} {e.relationship} {e.target}" for e in self.edges],
            ),
        ):
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise DataError(f"{kind} named twice: {', '.join(sorted(twice))}")
        for role, least, most in (("item", 1, 1), ("user", 0, 1), ("bundle", 0, 1)):
            count = sum(n.role == role for n in self.nodes)
            if not least <= count <= most:
                raise DataError(
                    f"{count} node types have the role {role}; {least} to {most} may"
                )
        roles = {n.name: n.role for n in self.nodes}
        for edge in self.edges:
            for end in (edge.source, edge.target):
                if end not in roles:
                    raise DataError(f"edge type {edge.name!r}: no node type {end!r}")
            ends = (roles[edge.source], roles[edge.target])
            if edge.role in _ENDS and ends not in _ENDS[edge.role]:
                raise DataError(
                    f"edge type {edge.name!r}: {edge.role} cannot go from {ends[0]} to {ends[1]}"
                )

    def node(self, name: str) -> NodeType:
        """The node type of that name; KeyError says which there are."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(
            f"no node type {name!r}; there are {', '.join(n.name for n in self.nodes)}"
        )

    def edge(self, name: str) -> EdgeType:
        """The edge type of that name; KeyError says which there are."""
        for edge in self.edges:
            if edge.name == name:
                return edge
        raise KeyError(
            f"no edge type {name!r}; there are {', '.join(e.name for e in self.edges)}"
        )

    def of_role(self, role: NodeRole) -> NodeType | None:
        """The first node type with that role, or None."""
        return next((n for n in self.nodes if n.role == role), None)

    @property
    def item(self) -> NodeType:
        """The one item type."""
        return next(n for n in self.nodes if n.role == "item")

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and strings, for JSON or TOML."""
        edges = [asdict(e) for e in self.edges]
        for edge in edges:
            if not edge["phrases"]:  # as schemas were written before there were any
                del edge["phrases"]
        return {"nodes": [asdict(n) for n in self.nodes], "edges": edges}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of to_dict; DataError on an unknown or missing key."""
        extra = set(data) - {"nodes", "edges"}
        if extra:
            raise DataError(
                f"unknown key in the schema: {', '.join(sorted(extra))}; it has nodes and edges"
            )
        return cls(
            tuple(_make(NodeType, row, "node") for row in _rows(data, "nodes")),
            tuple(_make(EdgeType, row, "edge") for row in _rows(data, "edges")),
        )

    def to_toml(self, comments: Mapping[str, str] | None = None) -> str:
        """The inverse of from_toml, as text.

        What is empty is left out; a comment stands above the type it names.
        """
        lines = []
        for kind, rows in self.to_dict().items():
            for row in rows:
                lines += [
                    f"# {line}"
                    for line in (comments or {}).get(row["name"], "").splitlines()
                ]
                lines.append(f"[[{kind}]]")
                lines += [
                    f"{key} = {_toml(value)}" for key, value in row.items() if value
                ]
                lines.append("")
        return "\n".join(lines)

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Read a schema file with [[nodes]] and [[edges]] tables."""
        try:
            return cls.from_dict(tomllib.loads(Path(path).read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise DataError(f"no schema file at {path}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, DataError) as error:
            raise DataError(f"{path}: {error}") from error


def _toml(value: str | tuple[str, ...] | Mapping[str, Any]) -> str:
    if isinstance(value, Mapping):
        return (
            "{ "
            + ", ".join(f"{key} = {_toml(part)}" for key, part in value.items())
            + " }"
        )
    # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _rows(data: dict[str, Any], key: str) -> list[dict[str, Any]]:
    rows = data.get(key, [])
    if not isinstance(rows, list | tuple) or not all(
        isinstance(row, dict) for row in rows
    ):
        raise DataError(f"{key} must be a list of tables ([[{key}]])")
    return list(rows)


def _make(kind: type[T], row: dict[str, Any], what: str) -> T:
    known = {f.name for f in fields(kind)}
    extra = set(row) - known
    if extra:
        raise DataError(
            f"{what} {row.get('name', '?')!r}: unknown key {', '.join(sorted(extra))}"
        )
    for key, value in row.items():
        if key == "phrases":  # the edge type looks itself
            continue
        many = key in {"text", "properties"}
        values = (
            value
            if many and isinstance(value, list | tuple)
            else [None if many else value]
        )
        if not all(isinstance(v, str) for v in values):
            raise DataError(
                f"{what} {row.get('name', '?')!r}: {key} must be "
                f"{'a list of names' if many else 'a name'}"
            )
    try:
        return kind(**row)
    except TypeError as error:
        raise DataError(f"{what} {row.get('name', '?')!r}: {error}") from error
