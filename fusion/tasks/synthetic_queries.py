"""Synthetic queries: words that somebody might type, made of what the catalogue says of an item."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fusion.query_batch import QueryBatch
from fusion.tasks.rows import no_rows, one_each
from kg.errors import DataError, InputError
from kg.events import Events
from kg.graph import Graph
from kg.tables import IntArray

_WORD = re.compile(r"\w+(?:[-'./]\w+)*")


@dataclass(frozen=True)
class SyntheticQueries:
    """Queries where none was logged: an item is drawn, then words of it; the item is the target.

    Items that have the same words get the same query, so each of them is its target as often
    as any other. A query is made of the titles of one to three attributes of the item, each of
    another relation ("black toner cartridge"), or
    of words of its title: a few in a row, or a few left after the others were dropped.

    Attributes:
        limit: Queries in training.
        titles: Share of the queries made from the item's title, 0..1; the others are made from
            its attributes, and so is no query of an item that has none.
        facts: Most attributes in a query.
        words: Most words of a title in a query.
        numbers: Share of the title's words with a digit that a query may keep, 0..1: few type them.
        relations: The relations whose titles are asked with; all from items to attributes with
            words where empty.
    """

    needs: ClassVar[str] = (
        "items with a title, or with attributes whose type has `text` in the schema"
    )
    synthetic: ClassVar[bool] = (
        True  # of the item's own words, so that the BM25 score looks better than it is
    )

    limit: int = 20_000
    titles: float = 0.5
    facts: int = 3
    words: int = 4
    numbers: float = 0.3
    relations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if min(self.limit, self.facts, self.words) < 1 or not (
            0 <= self.titles <= 1 and 0 <= self.numbers <= 1
        ):
            raise InputError(
                f"{self}: limit, facts and words must be at least 1, titles and numbers in 0..1"
            )

    def training(
        self,
        graph: Graph,
        events: Events,
        seed: int,
    ) -> QueryBatch:
        """Queries about the events' items."""
        items = np.unique(events.item)
        rng = np.random.default_rng(seed)
        drawn = np.zeros(0, np.int64)
        if len(items):
            drawn = rng.integers(0, len(items), self.limit)
        return self._queries(graph, items[drawn], rng)

    def held_out(
        self,
        graph: Graph,
        events: Events,
        seed: int,
    ) -> QueryBatch:
        """One query for every held-out item."""
        rng = np.random.default_rng(seed)
        return self._queries(graph, np.unique(events.item), rng)

    def _queries(
        self,
        graph: Graph,
        items: IntArray,
        rng: np.random.Generator,
    ) -> QueryBatch:
        facts, titles = self._facts(graph), graph.titles.get(graph.item, [])
        queries = []
        for item in items.tolist():
            own = [values[item] for values in facts if item in values]
            titled = bool(titles) and (not own or rng.random() < self.titles)
            query = (
                self._of_title(titles[item], rng)
                if titled
                else self._of_facts(own, rng)
            )
            queries.append(_plain(query, rng))
        asked = np.flatnonzero([bool(query) for query in queries])
        count = len(asked)
        return QueryBatch(
            np.full(count, -1),
            no_rows(count),
            tuple(queries[row] for row in asked),
            one_each(items[asked]),
            -1 - np.arange(count),
        )

    def _facts(self, graph: Graph) -> list[dict[int, list[str]]]:
        """By relation, by item row, the titles of its values, in an order that no store decides."""
        if unknown := set(self.relations) - {name for _, name, _ in graph.edges}:
            raise DataError(
                f"synthetic queries: the graph has no relation {min(unknown)!r}"
            )
        found = []
        for source, name, target in sorted(graph.edges):
            node = graph.schema.node(target)
            wanted = name in self.relations or not self.relations
            if (
                source == graph.item
                and node.role == "attribute"
                and node.text
                and wanted
            ):
                edge = graph.edges[(source, name, target)]
                titles = graph.titles[target]
                values: dict[int, list[str]] = {}
                sources, targets = edge.source.tolist(), edge.target.tolist()
                for item, value in zip(sources, targets, strict=True):
                    titles_of_item = values.setdefault(item, [])
                    titles_of_item.append(titles[value])
                found.append({item: sorted(some) for item, some in values.items()})
        return found

    def _of_facts(
        self,
        own: list[list[str]],
        rng: np.random.Generator,
    ) -> list[str]:
        count = min(int(rng.integers(1, self.facts + 1)), len(own))
        chosen = rng.permutation(len(own))[:count]
        titles = []
        for relation in chosen:
            values = own[relation]
            titles.append(values[rng.integers(len(values))])
        return titles

    def _of_title(
        self,
        title: str,
        rng: np.random.Generator,
    ) -> list[str]:
        words = [
            word
            for word in _WORD.findall(title)
            if rng.random() < self.numbers or not re.search(r"\d", word)
        ]
        count = min(int(rng.integers(1, self.words + 1)), len(words))
        if not count:
            return []
        if rng.random() < 0.5:
            start = int(rng.integers(len(words) - count + 1))
            return words[start : start + count]
        kept = rng.permutation(len(words))[:count]
        return [words[place] for place in np.sort(kept)]


def _plain(
    parts: list[str],
    rng: np.random.Generator,
) -> str:
    """As people type: mostly in small letters, at times the singular of the catalogue's plural."""
    query = " ".join(parts).strip()
    if rng.random() < 0.8:
        query = query.lower()
    if rng.random() < 0.5:
        query = re.sub(r"(?<=\w{3})(?<![su])s\b", "", query)
    return query
