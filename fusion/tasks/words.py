"""Words: what an item is called or belongs to, to the item. Keeps search in tune where no query log exists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusion.ask import Asks, Ragged
from kg.graph import Events, Graph


@dataclass(frozen=True)
class Words:
    """The title of an attribute of a taken item is the query; the item is the target.

    Attributes:
        limit: Asks a fold in training.
    """

    limit: int = 1000

    def training(self, graph: Graph, events: Events, seed: int) -> Asks:
        """Asks about the events' items, drawn as often as they were taken."""
        rng = np.random.default_rng(seed)
        item = np.sort(events.item)[rng.integers(0, max(len(events), 1), self.limit if len(events) else 0)]
        queries = np.full(len(item), "", object)
        # Every relation is offered in turn; the last one that names a drawn item wins, in a random order.
        for source, name, target in sorted(graph.edges):
            node = graph.schema.node(target)
            if source != graph.item or node.role != "attribute" or not node.text:
                continue
            edge = graph.edges[(source, name, target)]
            value = np.full(graph.size(source), -1)
            np.maximum.at(value, edge.source, edge.target)  # of several values the last row, whatever their order
            use = (value[item] >= 0) & ((rng.random(len(item)) < 0.5) | (queries == ""))
            queries[use] = np.array(graph.titles[target], object)[value[item[use]]]
        asked = np.nonzero(queries != "")[0]
        count = len(asked)
        return Asks(
            np.full(count, -1),
            Ragged(np.zeros(count + 1, np.int64), np.zeros(0, np.int64)),
            tuple(str(q) for q in queries[asked]),
            Ragged(np.arange(count + 1), item[asked]),
            item[asked],
        )

    def held_out(self, graph: Graph, events: Events, seed: int) -> Asks:
        """None: a made-up query is no measure of search."""
        nothing = Ragged(np.zeros(1, np.int64), np.zeros(0, np.int64))
        none = np.zeros(0, np.int64)
        return Asks(none, nothing, (), nothing, none)
