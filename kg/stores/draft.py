"""Draft: a schema guessed from a database's labels and relationships, each with what to check."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kg.schema import EdgeRole, EdgeType, GraphSchema, NodeRole, NodeType
from kg.stores.cypher import DATES, NUMBERS

_ROLES: dict[NodeRole, str] = {
    "user": (
        "user customer client person member shopper buyer household account visitor "
        "reviewer consumer"
    ),
    "item": (
        "item product article sku book movie film track song recipe game garment good "
        "variant asin"
    ),
    "bundle": (
        "bundle basket order outfit cart session playlist set kit box transaction "
        "receipt invoice"
    ),
}
_IDS = (
    "id",
    "uuid",
    "sku",
    "asin",
    "isbn",
    "ean",
    "gtin",
    "code",
    "key",
    "slug",
    "name",
    "title",
)
_TITLES = ("title", "name", "label", "headline")
_TEXTS = {
    *_TITLES,
    "description",
    "summary",
    "text",
    "body",
    "content",
    "plot",
    "about",
}
_WEIGHTS = (
    "weight",
    "rating",
    "score",
    "stars",
    "quantity",
    "count",
    "amount",
    "strength",
    "share",
)
_TIMES = (
    "time",
    "timestamp",
    "date",
    "datetime",
    "at",
    "on",
    "when",
    "day",
    "week",
    "created",
    "since",
)


@dataclass(frozen=True)
class Property:
    """What the sampled nodes or relationships say about one of their properties.

    Attributes:
        name: Its name.
        kinds: The types of its values, as Neo4j names them.
        unique: Every one has it, and no two the same.
        length: The mean length of its text values; 0 where there are none.
    """

    name: str
    kinds: frozenset[str]
    unique: bool
    length: float


@dataclass(frozen=True)
class Label:
    """A label: its name, its number of nodes, its properties."""

    name: str
    count: int
    properties: tuple[Property, ...]


@dataclass(frozen=True)
class Link:
    """Relationships of one type between two labels."""

    source: str
    relationship: str
    target: str
    count: int
    properties: tuple[Property, ...]


def draft(labels: Sequence[Label], links: Sequence[Link]) -> str:
    """A schema as TOML with comments on what to check; pure."""
    roles = _roles(labels, links)
    names: dict[str, str] = {}
    for label in labels:
        names[label.name] = _fresh(label.name, names.values())
    comments: dict[str, str] = {}
    nodes = tuple(
        _node(label, names[label.name], roles[label.name], comments) for label in labels
    )
    edges: list[EdgeType] = []
    for link in links:
        edges.append(_edge(link, names, roles, [e.name for e in edges], comments))
    head = (
        "# A draft: check every role (one item type, at most one user and one bundle "
        "type), every id (unique, on all\n"
        "# nodes), and what the language model reads (text). Delete the types that do "
        "not help a recommendation.\n\n"
    )
    return head + GraphSchema(nodes, tuple(edges)).to_toml(comments)


def _roles(labels: Sequence[Label], links: Sequence[Link]) -> dict[str, NodeRole]:
    degree = {label.name: 0 for label in labels}
    for link in links:
        degree[link.source] += link.count
        degree[link.target] += link.count
    roles: dict[str, NodeRole] = {}
    for role, words in _ROLES.items():
        # The last word tells what a label is: a ProductCategory is a category.
        named = [
            name
            for name in degree
            if (_words(name) or [""])[-1].removesuffix("s") in words.split()
        ]
        if named:
            roles[max(named, key=degree.__getitem__)] = role
    if "item" not in roles.values():
        free = [name for name in degree if name not in roles] or list(degree)
        taken = {
            name: sum(k.count for k in links if k.target == name and k.source in roles)
            for name in free
        }
        roles[max(free, key=lambda name: (taken[name], degree[name]))] = "item"
    return {name: roles.get(name, "attribute") for name in degree}


def _node(
    label: Label, name: str, role: NodeRole, comments: dict[str, str]
) -> NodeType:
    notes = [f"{label.count:,} nodes"]
    unique = [
        p for p in label.properties if p.unique and p.kinds <= {"STRING", "INTEGER"}
    ]
    key = _first(_IDS, unique) or next((p.name for p in unique), "")
    if not key:
        notes.append("CHECK id: no property is unique and on every node")
    others = [p for p in label.properties if p.name != (key or "id") and p.name != "id"]
    texts = [p for p in others if p.kinds == {"STRING"}]
    title = _first(_TITLES, texts)
    read = [p.name for p in texts if p.length >= 20 or p.name.lower() in _TEXTS]
    if role == "item" and not read:
        notes.append(
            "CHECK text: no property looks like words; an item without words is known by "
            "its edges only"
        )
    read.sort(key=lambda n: n != title)
    mixed = [p.name for p in others if not _storable(p.kinds)]
    if mixed:
        notes.append(f"left out, of mixed or unusable types: {', '.join(mixed)}")
    if key and key != "id" and any(p.name == "id" for p in label.properties):
        notes.append(f"left out: the property id, beside the id {key}")
    rest = (
        tuple(p.name for p in others if p.name not in (title, *read, *mixed))
        if role == "item"
        else ()
    )
    comments[name] = "\n".join(notes)
    return NodeType(name, role, label.name, key or "id", title, tuple(read), rest)


def _edge(
    link: Link,
    names: Mapping[str, str],
    roles: Mapping[str, NodeRole],
    taken: Sequence[str],
    comments: dict[str, str],
) -> EdgeType:
    ends = (roles[link.source], roles[link.target])
    role: EdgeRole = "relation"
    notes = [f"{link.count:,} relationships"]
    if ends in {("user", "item"), ("user", "bundle")}:
        role = "interaction"
    elif ends == ("bundle", "item"):
        role = "membership"
    elif ends[::-1] in {("user", "item"), ("user", "bundle"), ("bundle", "item")}:
        notes.append(
            f"CHECK direction: leads from {ends[0]} to {ends[1]}; turned round it could "
            "be more than a relation"
        )
    weight = _first(_WEIGHTS, [p for p in link.properties if p.kinds <= NUMBERS])
    times = [p for p in link.properties if p.kinds <= DATES or p.kinds <= NUMBERS]
    time = _first(_TIMES, times) or next(
        (p.name for p in times if p.kinds <= DATES), ""
    )
    if role == "interaction" and not time:
        notes.append(
            "CHECK time: none was found; without it nothing can be held out by time"
        )
    others = [p.name for p in link.properties if p.name not in (weight, time)]
    if others:
        notes.append(f"further properties: {', '.join(others)}")
    name = _fresh(
        link.relationship,
        taken,
        f"{names[link.source]}_{link.relationship}_{names[link.target]}",
    )
    comments.setdefault(name, "\n".join(notes))
    return EdgeType(
        name,
        names[link.source],
        names[link.target],
        role,
        link.relationship,
        weight,
        time,
    )


def _storable(kinds: frozenset[str]) -> bool:
    one = len(kinds) == 1 and kinds <= {"STRING", "BOOLEAN", "LIST", *NUMBERS, *DATES}
    return one or kinds <= NUMBERS or kinds <= DATES


def _words(name: str) -> list[str]:
    return re.findall(
        r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()
    )


def _first(wanted: Sequence[str], properties: Sequence[Property]) -> str:
    """The property whose last word comes first among the wanted ones, "" where there is none."""
    ranked = [
        (wanted.index(w[-1]), p.name)
        for p in properties
        if (w := _words(p.name)) and w[-1] in wanted
    ]
    return min(ranked)[1] if ranked else ""


def _fresh(name: str, taken: Iterable[str], longer: str = "") -> str:
    """An identifier made of a name's words.

    Where it is taken, the longer name's, or one with a number behind.
    """
    used = set(taken)
    for candidate in (name, longer or name):
        word = "_".join(_words(candidate)) or "type"
        word = f"t_{word}" if word[0].isdigit() else word
        if word not in used:
            return word
    number = next(n for n in range(2, len(used) + 3) if f"{word}_{n}" not in used)
    return f"{word}_{number}"
