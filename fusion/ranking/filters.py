"""Facts: what is known of each item by name, for constraints: its attributes and properties."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fusion.query import Constraints
from kg.counterfactual.edits import distinct
from kg.errors import DataError
from kg.tables import FloatArray, IntArray, Tables

BoolArray = npt.NDArray[np.bool_]
KINDS = (
    "category",
    "product_type",
    "kind",
    "type",
)  # what says which kind of thing an item is, the first there is


@dataclass(frozen=True)
class Values:
    """The values that items have of one attribute or property.

    Attributes:
        names: V ids.
        titles: V what people read.
        item: (E,) item rows, ascending.
        value: (E,) which of the V each has.
        items: I.
    """

    names: list[str]
    titles: list[str]
    item: IntArray
    value: IntArray
    items: int

    @cached_property
    def _index(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for code, texts in enumerate(zip(self.names, self.titles, strict=True)):
            for text in {text.casefold() for text in texts}:
                found.setdefault(text, []).append(code)
        return found

    def called(self, wanted: str) -> list[int]:
        """The values with this id or title, in the very spelling or else in any case."""
        codes = self._index.get(wanted.casefold(), [])
        return [c for c in codes if wanted in (self.names[c], self.titles[c])] or codes

    def mask(self, values: Iterable[int]) -> BoolArray:
        """(I,) which items have one of these values."""
        wanted, out = np.zeros(len(self.names), bool), np.zeros(self.items, bool)
        wanted[list(values)] = True
        out[self.item[wanted[self.value]]] = True
        return out

    def codes(self) -> IntArray:
        """(I,) one value an item, of several the rarest; -1 where it has none."""
        rarity = np.bincount(self.value, minlength=len(self.names))
        order = np.lexsort(
            (self.value, -rarity[self.value])
        )  # the rarest are written last
        out = np.full(self.items, -1)
        out[self.item[order]] = self.value[order]
        return out


class Facts:
    """Looks facts up by the name of a relation, an attribute type, or a property.

    A type's name stands for all relations that lead to it; that of a relation for this one,
    but where the type it leads to has the same name.

    Args:
        tables: Of the graph.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables, self._item = tables, tables.schema.item.name
        self._items, self._ids = len(tables.nodes[self._item]), tables.vocab(self._item)
        attributes = {
            node.name for node in tables.schema.nodes if node.role == "attribute"
        }
        edges = [
            edge
            for edge in tables.schema.edges
            if edge.source == self._item and edge.target in attributes
        ]
        own = {edge.name: [edge] for edge in edges if edge.name != edge.target}
        names = dict.fromkeys(
            name for edge in edges for name in (edge.name, edge.target)
        )
        self._relations = {
            name: own.get(name) or [e for e in edges if e.target == name]
            for name in names
        }
        self._known: dict[str, Values] = {}
        self._numeric: dict[str, FloatArray] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that can be asked for."""
        return tuple(
            dict.fromkeys(
                (*self._relations, *self._tables.nodes[self._item].column_names)
            )
        )

    @property
    def kind(self) -> str:
        """The name of what says which kind of thing an item is; "" where no usual one is there."""
        return next((name for name in KINDS if name in self.names), "")

    def values(self, name: str) -> Values:
        """The values of a name; DataError where there is no such name."""
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def _read(self, name: str) -> Values:
        tables = self._tables
        if name in self._relations:
            kind = self._relations[name][0].target
            vocab, parts = (
                tables.vocab(kind),
                [tables.edges[edge.name] for edge in self._relations[name]],
            )
            item = np.concatenate([self._ids.rows(pairs["source"]) for pairs in parts])
            value = np.concatenate([vocab.rows(pairs["target"]) for pairs in parts])
            # two relations may say the same
            item, value = np.divmod(
                distinct(item * max(len(vocab), 1) + value), max(len(vocab), 1)
            )
            return Values(
                vocab.ids.to_pylist(), tables.titles(kind), item, value, self._items
            )
        column = (
            self._column(name).cast(pa.string()).combine_chunks().dictionary_encode()
        )
        code = (
            column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        )
        ids: list[str] = column.dictionary.to_pylist()
        return Values(ids, ids, np.flatnonzero(code >= 0), code[code >= 0], self._items)

    def _column(self, name: str) -> pa.ChunkedArray:
        table = self._tables.nodes[self._item]
        if name not in table.column_names:
            raise DataError(
                f"items have no property or relation {name!r}; they have {', '.join(self.names)}",
                field="where",
            )
        return table[name]

    def mask(self, name: str, wanted: Sequence[str], every: bool = False) -> BoolArray:
        """(I,) which items have one of these values, by id or title.

        Raises:
            DataError: There is no such name, or no item has any of the values (where every
                must be there, one of them); the nearest one is named.
        """
        values = self.values(name)
        found = [values.called(want) for want in wanted]
        lost = [want for want, codes in zip(wanted, found, strict=True) if not codes]
        if lost and (every or len(lost) == len(wanted)):
            raise DataError(
                f"no item has {name} {lost[0]!r}{self._near(values, lost[0])}",
                field="where",
            )
        return values.mask(code for codes in found for code in codes)

    def allowed(self, where: Constraints) -> BoolArray:
        """(I,) which items the constraints leave; DataError where one names what is not there."""
        out, ids = np.ones(self._items, bool), self._ids
        for row in map(ids.row, where.exclude):
            if row >= 0:
                out[row] = False
        for name, values in where.within:
            out &= self.mask(name, values)
        for name, values in where.without:
            out &= ~self.mask(
                name, values, every=True
            )  # a typo among others would let through what it means
        for name, (least, most) in where.between:
            number = self.numbers(name)  # what is unknown compares as false
            out &= number >= (-np.inf if least is None else least)
            out &= number <= (np.inf if most is None else most)
        if where.only is not None:
            out &= np.isin(np.arange(self._items), ids.rows(where.only))
        return out

    def find(self, words: str, name: str = "") -> tuple[str, tuple[str, ...]]:
        """The name and the values that some words mean: a value, or else all that hold the words.

        Args:
            words: "cheese"; case and plural do not matter.
            name: Where to look; the kind first, then every attribute, where empty.

        Raises:
            DataError: Nothing is called so.
        """
        names = (
            [name]
            if name
            else list(dict.fromkeys([*filter(None, [self.kind]), *self._relations]))
        )
        for looser in (False, True):
            for where in names:
                values = self.values(where)
                codes = values.called(words)
                if looser:
                    asked = _terms(words)
                    said = [
                        _terms(f"{a} {b}")
                        for a, b in zip(values.names, values.titles, strict=True)
                    ]
                    codes = [
                        code
                        for code, terms in enumerate(said)
                        if asked and asked <= terms
                    ]
                codes = [code for code in codes if (values.value == code).any()]
                if codes:
                    return where, tuple(values.names[code] for code in codes)
        near = self._near(self.values(names[0]), words) if names else ""
        raise DataError(
            f"there is no {names[0] if names else 'category'} {words!r}{near}"
        )

    @staticmethod
    def _near(values: Values, wanted: str) -> str:
        by_case = {text.casefold(): text for text in [*values.names, *values.titles]}
        near = difflib.get_close_matches(wanted.casefold(), by_case, 1, 0.5)
        return f"; did you mean {by_case[near[0]]!r}?" if near else ""

    def numbers(self, name: str) -> FloatArray:
        """(I,) a numeric property, NaN where it is unknown or no number.

        Raises:
            DataError: It is never a number.
        """
        if name not in self._numeric:
            self._numeric[name] = self._read_numbers(name)
        return self._numeric[name]

    def _read_numbers(self, name: str) -> FloatArray:
        if (
            name in self._relations
            and name not in self._tables.nodes[self._item].column_names
        ):
            raise DataError(
                f"no item has a numeric property {name!r}; it names what a relation leads to",
                field="where",
            )
        column = self._column(name)
        try:
            return np.asarray(
                pc.cast(column, pa.float64()).fill_null(np.nan), np.float64
            )
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            values = np.array(
                [_number(value) for value in column.to_pylist()], np.float64
            )
        if np.isnan(values).all():
            raise DataError(f"the property {name!r} holds no numbers", field="where")
        return values


def _number(value: object) -> float:
    """As Python reads it, NaN where it is none."""
    try:
        return float(str(value))
    except ValueError:
        return np.nan


def _terms(text: str) -> set[str]:
    return {
        re.sub(r"(?<=\w{2})s$", "", word)
        for word in re.findall(r"[^\W_]+", text.casefold())
    }
