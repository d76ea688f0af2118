"""What training is stopped and chosen by: a ranking metric on queries that nothing learns from."""

from __future__ import annotations

import numpy as np

from fusion.model.hybrid import Hybrid
from fusion.model.nodes import EmbeddingCache
from fusion.model.snapshot import GraphSnapshot
from fusion.query_batch import QueryBatch
from fusion.ranking.metrics import metric_named
from fusion.ranking.ranker import Ranker
from fusion.ranking.ranks import ranks
from kg.metapaths.count import PathCounts
from kg.tables import Tables

_BATCH = 256  # queries scored at a time


class ValidationMetric:
    """The mean of a metric over the validation queries, all items ranked; higher is better.

    The queries are drawn once, before training, so every stop is measured on the same.

    Args:
        name: "MRR", "HR@k", "NDCG@k" or "Recall@k".
        queries: With their targets.
        snapshot: The graph that they are asked of.
        tables: That graph's tables.
        counts: Its metapath counts.
    """

    def __init__(
        self,
        name: str,
        queries: QueryBatch,
        snapshot: GraphSnapshot,
        tables: Tables,
        counts: PathCounts,
    ) -> None:
        self.metric = metric_named(name)
        self.queries = queries
        self.snapshot, self.tables, self.counts = snapshot, tables, counts

    def __call__(self, model: Hybrid, embeddings: EmbeddingCache) -> float:
        """The value for a model with these vectors; it is left in training mode."""
        ranker = Ranker(model, self.snapshot, embeddings, self.tables, self.counts)
        value = self.of(ranker)
        model.train()
        return value

    def of(self, ranker: Ranker) -> float:
        """The value for whatever ranks the catalogue."""
        ranked = [
            ranks(ranker.score(batch), batch.targets, batch.excluded)
            for batch in self.queries.batches(_BATCH)
        ]
        values = self.metric(np.concatenate(ranked), self.queries.targets)
        return float(values.mean())
