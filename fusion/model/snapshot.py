"""GraphSnapshot: a graph as it stood at one moment, ready for the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from encoders.graph.sampler import CSRSampler
from fusion.model.config import FusionConfig
from fusion.model.features import MetapathFeatures, is_cosine
from kg.events import EdgeKey
from kg.graph import Graph
from kg.metapaths.count import PathCounts
from kg.metapaths.sparse import Matrix
from kg.tables import IntArray, Tables

TOGETHER = "together"
# Items next to an item by co-occurrence, as edges of the GNN: about what its first hop samples.
NEIGHBOURS = 10


@dataclass(frozen=True)
class NodeTexts:
    """What the language model reads of the nodes, equal texts once.

    Attributes:
        texts: U distinct texts, none blank.
        rows: By node type, (N,) the distinct text of each node, -1 where it has none. Bundles
            are left out: they are contracted (see `message_edges`).
    """

    texts: list[str]
    rows: dict[str, IntArray]

    @classmethod
    def of(cls, tables: Tables) -> NodeTexts:
        """From tables, in row order."""
        number: dict[str, int] = {}
        rows = {}
        for node in tables.schema.nodes:
            if node.role != "bundle":
                texts = (text.strip() for text in tables.texts(node.name))
                rows[node.name] = np.array(
                    [number.setdefault(t, len(number)) if t else -1 for t in texts],
                    np.int64,
                )
        return cls(list(number), rows)

    def of_type(self, name: str) -> list[str]:
        """The text of every node of a type, "" where it has none."""
        return [self.texts[row] if row >= 0 else "" for row in self.rows[name].tolist()]


def message_edges(
    graph: Graph,
    counts: PathCounts,
    neighbours: int,
) -> dict[EdgeKey, Tensor]:
    """What the GNN passes messages along, as (2, E) by type.

    Bundles are contracted: user-bundle-item becomes user-item, and item-bundle-item the
    strongest `neighbours` of every item. Two layers then reach what four would, at a tenth of
    the edges.
    """
    bundle = graph.schema.of_role("bundle")
    gone = bundle.name if bundle else None
    edges = {
        key: torch.as_tensor(np.stack([e.source, e.target]))
        for key, e in graph.typed_edges().items()
        if gone not in (key[0], key[2])
    }
    # The last counted: of bundles before users', of an order before both, and before all of
    # these of a relation with many values.
    cosines = [m for name, m in counts.item_item.items() if is_cosine(name)]
    if cosines and neighbours > 0:
        pairs = _strongest(cosines[-1], neighbours)
        edges[(graph.item, TOGETHER, graph.item)] = torch.as_tensor(pairs)
    return edges


def _strongest(cosine: Matrix, count: int) -> IntArray:
    """(2, E) the strongest columns of every row, each above its row."""
    degree = np.diff(cosine.indptr)
    owner = np.repeat(np.arange(len(degree)), degree)
    order = np.lexsort((-cosine.data, owner))
    place = np.arange(len(owner)) - cosine.indptr[owner]
    near = place < count
    pairs = [cosine.indices[order][near], owner[near]]
    return np.stack(pairs).astype(np.int64)


class GraphSnapshot:
    """What the model looks at: messages, texts, degrees and metapath features of one graph.

    Args:
        graph: Its rows number users, items and attributes.
        counts: The metapath counts of the same graph.
        texts: Of the same nodes.
        config: The model's shape: which neighbours are sampled, and what is counted.
        device: Where tensors live.
        seen: (N,) of the first N items, which ones the training saw interacted with; any other
            item has no learned vector of its own. None: all that the graph has seen.

    Attributes:
        seen_items: (I,) which items bring a learned vector of their own.
        cold_items: Rows of the items that the graph has no interaction with.
    """

    def __init__(
        self,
        graph: Graph,
        counts: PathCounts,
        texts: NodeTexts,
        config: FusionConfig,
        device: torch.device,
        seen: Tensor | None = None,
    ) -> None:
        self.graph, self.device = graph, device
        self.item, self.user = graph.item, graph.user
        self.sizes = {name: graph.size(name) for name in texts.rows}
        self.edges = {
            key: pair.to(device)
            for key, pair in message_edges(graph, counts, NEIGHBOURS).items()
        }
        self.sampler = CSRSampler(self.edges, self.sizes, config.fanout)
        self.distinct = {
            name: torch.as_tensor(rows, device=device)
            for name, rows in texts.rows.items()
        }
        self.features = MetapathFeatures(
            counts, device, texts.of_type(self.item) if config.uses_bm25 else None
        )
        self.all_rows = {
            name: torch.arange(size, device=device) for name, size in self.sizes.items()
        }
        # Only items with interactions bring a learned vector of their own, so that cold items
        # need none.
        interacted = torch.zeros(self.sizes[self.item], dtype=torch.bool)
        interacted[torch.as_tensor(graph.events.item)] = True
        interacted = interacted.to(device)
        self.cold_items = (~interacted).nonzero().squeeze(1)
        self.seen_items = interacted.clone()
        if seen is not None:
            self.seen_items[: len(seen)] &= seen.to(device)
            self.seen_items[len(seen) :] = False
        self.degree = {
            name: torch.zeros(size, device=device) for name, size in self.sizes.items()
        }
        for (_, name, target), edge in self.edges.items():
            if name != TOGETHER:
                size = self.sizes[target]
                self.degree[target] += torch.bincount(edge[1], minlength=size)

    @property
    def items(self) -> int:
        """How many items there are (I)."""
        return self.sizes[self.item]

    @property
    def users(self) -> int:
        """How many users there are (U)."""
        return self.sizes[self.user] if self.user else 0


def edge_keys(graph: Graph, counts: PathCounts) -> list[EdgeKey]:
    """The types of message_edges, for building the GNN."""
    bundle = graph.schema.of_role("bundle")
    gone = bundle.name if bundle else None
    keys = [k for k in graph.typed_edges() if gone not in (k[0], k[2])]
    return keys + ([(graph.item, TOGETHER, graph.item)] if counts.item_item else [])
