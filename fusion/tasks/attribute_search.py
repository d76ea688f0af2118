"""Attribute search: a shopper names a kind of thing; which item? For search without a query log."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from fusion.query_batch import QueryBatch
from fusion.tasks.rows import no_rows, one_each
from kg.errors import DataError, InputError
from kg.events import Events
from kg.graph import Graph
from kg.tables import IntArray

# How people may say what they want; what stands around the name means nothing.
SENTENCES = (
    "something for {}",
    "I am looking for {}",
    "what kind of {} is there?",
    "some {} please",
    "ideas for {}",
    "I need {} for tonight",
    "good {} for a party",
    "{} for a family of four",
    "{} for the weekend",
    "a nice {}",
    "we would like {}",
    "something with {}",
    "show me your {}",
    "where is the {}?",
    "any {} today?",
)


@dataclass(frozen=True)
class AttributeSearch:
    """The title of an attribute of an interacted item is the query; the item is the target.

    The user is part of the query where known.

    The protocol of personalised product search where no queries are logged (Ai et al. 2017,
    "Learning a Hierarchical Embedding Model for Personalized Product Search", section 5.1: the
    query is the name of a category of the item).

    Attributes:
        limit: Queries a fold in training.
        anonymous: Share of the training queries that do not say who asks; held-out queries all do.
        sentences: Share of the training queries in a whole (English) sentence, to learn that such
            words mean nothing; held-out queries are names alone.
        relations: The relations whose titles are asked with; all from items to attributes with
            words where empty.
    """

    needs: ClassVar[str] = "items with a relation to an attribute whose type has `text`"

    limit: int = 1000
    anonymous: float = 0.3
    sentences: float = 0.0
    relations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise InputError(f"words: limit {self.limit} must not be negative", "limit")
        for name in ("anonymous", "sentences"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"words: {name} {getattr(self, name)} must be in 0..1")

    def training(
        self,
        graph: Graph,
        events: Events,
        seed: int,
    ) -> QueryBatch:
        """Queries about the events' items, drawn as often as they were interacted with."""
        rng = np.random.default_rng(seed)
        order = np.lexsort((events.item, events.user))
        count = self.limit if len(events) else 0
        places = rng.integers(0, max(len(events), 1), count)
        drawn = events.take(order[places])
        anonymous = rng.random(len(drawn)) < self.anonymous
        users = np.where(anonymous, -1, drawn.user)
        queries = self._queries(graph, users, drawn.item, rng)
        if not self.sentences:
            return queries
        sentences = rng.choice(SENTENCES, len(queries))
        whole = rng.random(len(queries)) < self.sentences
        texts = tuple(
            sentence.format(text) if is_whole else text
            for sentence, text, is_whole in zip(
                sentences, queries.texts, whole, strict=True
            )
        )
        return replace(queries, texts=texts)

    def held_out(
        self,
        graph: Graph,
        events: Events,
        seed: int,
    ) -> QueryBatch:
        """One query for every held-out bundle, about a random item, and every event outside one."""
        rng = np.random.default_rng(seed)
        order = np.lexsort((events.item, events.user, events.bundle))
        events = events.take(order)
        inside = np.flatnonzero(events.bundle >= 0)
        _, starts, counts = np.unique(
            events.bundle[inside], return_index=True, return_counts=True
        )
        within = rng.integers(0, np.maximum(counts, 1))
        alone = np.flatnonzero(events.bundle < 0)
        chosen = np.concatenate([inside[starts + within], alone])
        return self._queries(graph, events.user[chosen], events.item[chosen], rng)

    def _queries(
        self,
        graph: Graph,
        users: IntArray,
        items: IntArray,
        rng: np.random.Generator,
    ) -> QueryBatch:
        if unknown := set(self.relations) - {name for _, name, _ in graph.edges}:
            raise DataError(f"words: the graph has no relation {min(unknown)!r}")
        phrases = np.full(len(items), "", object)
        # Each relation in turn names half of the items that have a name already, and all others.
        for source, name, target in sorted(graph.edges):
            node = graph.schema.node(target)
            if source != graph.item or node.role != "attribute" or not node.text:
                continue
            if self.relations and name not in self.relations:
                continue
            edge = graph.edges[(source, name, target)]
            value = np.full(graph.size(source), -1)
            # Of several values the last row, whatever their order.
            np.maximum.at(value, edge.source, edge.target)
            of_items = value[items]
            heads = rng.random(len(items)) < 0.5
            use = (of_items >= 0) & (heads | (phrases == ""))
            titles = np.array(graph.titles[target], object)
            phrases[use] = titles[of_items[use]]
        asked = np.flatnonzero(phrases != "")
        users = users[asked]
        own_group = -1 - np.arange(len(asked))
        return QueryBatch(
            users,
            no_rows(len(asked)),
            tuple(map(str, phrases[asked])),
            one_each(items[asked]),
            np.where(users >= 0, users, own_group),
        )
