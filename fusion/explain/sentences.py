"""Sentences: what a path says, from templates a relation, in the reader's language."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from string import Formatter
from typing import Any, Self

import numpy as np

from kg.errors import InputError
from kg.phrases import FORMS
from kg.schema import GraphSchema

_FOLDER = Path(__file__).parent / "phrases"
_NAMES = dict.fromkeys(
    [
        "a",
        "b",
        "via",
        "n",
        "type",
        "relation",
        "when",
        "unit",
        "time",
        "id",
        "bundle",
        "user",
    ],
    "",
)
# Names of properties that may hold days since 1970, and what numbers these then are: those of
# the years 1980 to 2169, as kg.times has it.
_DATES = re.compile(r"date|day|time|_at$|_on$", re.IGNORECASE)
_DAYS = 3650, 73_000
_UNITS = ("week", "day", "month", "year")


@dataclass(frozen=True)
class Clause:
    """A segment of a path in words' terms.

    Attributes:
        kind: As fusion.explain.segments has it.
        a: What the nearer end is called.
        b: What the further end is called.
        a_type: Its node type.
        b_type: Its node type.
        relation: The edge type's name where it is a relation.
        back: Whether the path goes against its direction.
        times: How many ways.
        time: When it last was, None where unknown.
        unit: The name of the time property.
    """

    kind: str
    a: str
    b: str
    a_type: str
    b_type: str
    relation: str = ""
    back: bool = False
    times: int = 1
    time: float | None = None
    unit: str = ""


class Phrases:
    """The templates of one language, with a schema's own over them.

    Args:
        table: As in the shipped files: and, quote, times, segments, notes, and by relation its own.
        schema: Whose types are spoken of.
    """

    def __init__(self, table: Mapping[str, Any], schema: GraphSchema) -> None:
        self.table, self.schema = table, schema
        bundle, user = schema.of_role("bundle"), schema.of_role("user")
        self._names = {
            "bundle": spoken(bundle.name) if bundle else "",
            "user": spoken(user.name) if user else "",
        }

    @classmethod
    def open(
        cls, language: str, schema: GraphSchema, own: str | Path | None = None
    ) -> Self:
        """The shipped phrases of "en" or "zh", the schema's over them, over both a TOML file's.

        Raises:
            InputError: There is no such language or file, it cannot be read, or it names what
                is not there.
        """
        table = _shipped(language)
        own_phrases = {
            edge.name: edge.phrases[language]
            for edge in schema.edges
            if language in edge.phrases
        }
        table = {**table, "relations": {**table["relations"], **own_phrases}}
        if own is not None:
            try:
                more = tomllib.loads(Path(own).read_text(encoding="utf-8"))
            except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                raise InputError(f"{own}: {error}") from error
            table = _over(table, more, schema, str(own))
        return cls(table, schema)

    def quote(self, name: str) -> str:
        """A title among other words."""
        return _fill(self.table["quote"], name)

    def nameless(self, kind: str, key: str) -> str:
        """What a node without a title is called."""
        return _fill(self.table["nameless"], type=spoken(kind), id=key)

    def at_hand(self, name: str) -> str:
        """How a context item is told from others."""
        return _fill(self.table["at_hand"], name)

    def note(self, name: str, *values: str) -> str:
        """One of the notes."""
        return _fill(self.table["notes"][name], *values)

    def sentence(self, clauses: Sequence[Clause], before: str = "") -> str:
        """One sentence for a path; two relations that meet in an attribute are said as one."""
        parts, at = [before] if before else [], 0
        while at < len(clauses):
            pair = clauses[at : at + 2]
            if len(pair) == 2 and _meet(*pair):
                parts.append(self._share(*pair))
                at += 2
            else:
                parts.append(self._clause(clauses[at]))
                at += 1
        text = str(self.table["and"]).join(parts)
        stop = "。" if self.table["language"] == "中文" else "."
        return text[:1].upper() + text[1:] + stop

    def _share(self, one: Clause, two: Clause) -> str:
        """What two nodes have in common."""
        own = self.table["relations"].get(one.relation, {})
        return _fill(
            own.get("share", self.table["segments"]["share"]),
            a=one.a,
            b=two.b,
            via=one.b,
            type=spoken(one.b_type),
            n="1",
            **self._names,
        )

    def _clause(self, clause: Clause) -> str:
        if clause.kind == "relation":
            return self._relation(clause)
        kind = clause.kind
        if kind == "interacted" and clause.time is None:
            kind = "interacted_undated"
        number = "one" if clause.times == 1 else "many"
        return _fill(
            self.table["segments"][kind][number],
            a=clause.a,
            b=clause.b,
            relation=spoken(clause.relation),
            n=f"{clause.times:,}",
            when=self.when(clause.time, clause.unit),
            **self._names,
        )

    def _relation(self, clause: Clause) -> str:
        segments = self.table["segments"]
        a_role = self.schema.node(clause.a_type).role
        b_role = self.schema.node(clause.b_type).role
        form = "back" if clause.back else "forward"
        default = segments["beside"]
        if "attribute" in (a_role, b_role):
            default = segments["likes" if a_role == "user" else form]
        own = self.table["relations"].get(clause.relation, {})
        return _fill(
            own.get(form, default),
            a=clause.a,
            b=clause.b,
            relation=spoken(clause.relation),
            type=spoken(clause.a_type if clause.back else clause.b_type),
            **self._names,
        )

    def when(self, time: float | None, unit: str) -> str:
        """A time in words, "" where it is unknown.

        Days since 1970 are dates; other times are told in the unit that the property's name
        speaks of: "in week 9".

        Args:
            time: In the graph's unit.
            unit: The name of the property that holds it.
        """
        if time is None:
            return ""
        forms = self.table["times"]
        if _DATES.search(unit) and _DAYS[0] < time < _DAYS[1]:
            day = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=time)
            return _fill(forms["date"], time=f"{day:%Y-%m-%d}")
        number = np.format_float_positional(time, precision=3, trim="-")
        words = {word.removesuffix("s") for word in spoken(unit).split()}
        named = next((name for name in _UNITS if name in words), "other")
        return _fill(forms[named], unit=spoken(unit), time=number)


def _meet(one: Clause, two: Clause) -> bool:
    """Whether two clauses are one relation to a node, and from it back."""
    relations = one.kind == two.kind == "relation" and one.relation == two.relation
    return relations and not one.back and two.back


@lru_cache(maxsize=8)
def _shipped(language: str) -> dict[str, Any]:
    file = _FOLDER / f"{language}.toml"
    if not re.fullmatch(r"[a-z]+", language) or not file.is_file():
        there = ", ".join(sorted(p.stem for p in _FOLDER.glob("*.toml")))
        raise InputError(f"there are no phrases in {language!r}; there are {there}")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def spoken(name: str) -> str:
    """An identifier as words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_+", " ", name).strip().lower()


def _over(
    table: dict[str, Any], more: dict[str, Any], schema: GraphSchema, where: str
) -> dict[str, Any]:
    merged = {
        key: dict(value) if isinstance(value, dict) else value
        for key, value in table.items()
    }
    relations = {e.name for e in schema.edges}
    for key, value in more.items():
        if key not in table or isinstance(value, dict) != isinstance(table[key], dict):
            raise InputError(f"{where}: {key!r} is none of {', '.join(table)}")
        if not isinstance(value, dict):
            merged[key] = value
            continue
        known = relations if key == "relations" else set(table[key])
        if unknown := set(value) - known:
            raise InputError(
                f"{where}: {key}.{min(unknown)} is none of {', '.join(sorted(known))}"
            )
        if key != "relations":
            merged[key] |= value
    for name, forms in more.get("relations", {}).items():
        if not isinstance(forms, dict) or set(forms) - set(FORMS):
            raise InputError(
                f"{where}: relations.{name} is a table of share, forward and back"
            )
        merged["relations"][name] = {**merged["relations"].get(name, {}), **forms}
        for form, text in forms.items():
            _check(f"{where}: relations.{name}.{form}", text, "")
    for key in more:
        _alike(f"{where}: {key}", merged[key], table[key])
    return merged


def _alike(where: str, own: Any, shipped: Any) -> None:
    """Whether a template, or a table of them, can stand in for the shipped one."""
    if not isinstance(shipped, dict):
        _check(where, own, shipped)
        return
    for name, part in shipped.items():
        if not isinstance(own, dict) or name not in own:
            raise InputError(f"{where} lacks {name!r}; it has {', '.join(shipped)}")
        _alike(f"{where}.{name}", own[name], part)


def _check(where: str, text: Any, shipped: str) -> None:
    if not isinstance(text, str):
        raise InputError(f"{where} is no text")
    count = sum(name == "" for _, name, _, _ in Formatter().parse(shipped))
    try:
        _fill(text, *[""] * count)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise InputError(f"{where} cannot be filled in: {error}") from error


def _fill(form: str, *values: str, **names: str) -> str:
    """A template filled in; what it names and this place does not have is left out."""
    return form.format(*values, **{**_NAMES, **names})
