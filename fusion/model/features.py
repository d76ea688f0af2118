"""MetapathFeatures: what is counted of queries and items, column by column, and retrieval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from fusion.model.attribute_features import (
    Attribute,
    SharedValues,
    ValuesOfUser,
    ValuesTogether,
)
from fusion.model.bm25 import Lexical
from fusion.model.feature import (
    BM25Score,
    CatalogueFeature,
    ContextSize,
    Feature,
    ItemFact,
    ItemPath,
    Over,
    UserFact,
    UserPath,
)
from fusion.model.retrieval import Retrieval
from fusion.model.sparse import Sparse
from fusion.query_batch import QueryBatch, QueryTensors
from kg.metapaths.count import PathCounts
from kg.metapaths.svd import PURESVD

WORDS = "words"
ALIKE = "item-word-item cosine"
SHARED_ATTRIBUTES = "item-attributes-item"
ORDERED = "item-next-item"  # counted only where interactions have an order
# Paths whose strongest items become candidates; the others only describe them.
_RETRIEVING = {
    "user-item recent",
    "user-item",
    "user-item-item",
    "item-bundle-item",
    ORDERED,
    "item-item ease",
    SHARED_ATTRIBUTES,
    PURESVD,
}


def is_cosine(path: str) -> bool:
    """Whether a path's counts are cosines, whose maximum over the context items says something."""
    return path.endswith(" cosine")


def retrieves(path: str) -> bool:
    """Whether a path brings candidates."""
    through_users = path.startswith("user-") and path.endswith("-user-item")
    return path in _RETRIEVING or is_cosine(path) or through_users


class MetapathFeatures:
    """The features of the score, an ordered list, and retrieval by them.

    Args:
        counts: From the graph as it stood before the queries: a query's own basket must not
            be in it.
        device: Where the tensors live.
        texts: The items' texts in row order, to match them with each other and with the query's
            text; None does without.

    Attributes:
        features: The columns in order.
        names: Theirs.
        item_item: By path, (I, I) the counts from item to item.
        lexical: The items' texts, None where they are not matched.
        retrieval: Finds the candidates.
    """

    def __init__(
        self,
        counts: PathCounts,
        device: torch.device | str = "cpu",
        texts: Sequence[str] | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.lexical: Lexical | None = None
        if texts is not None and Lexical.fits(texts):
            self.lexical = Lexical.of(tuple(texts))
        matrices = dict(counts.item_item)
        if self.lexical is not None:
            matrices[ALIKE] = self.lexical.alike
        self.item_item = {k: Sparse.of(m, self.device) for k, m in matrices.items()}
        item_facts = {
            name: torch.as_tensor(values, dtype=torch.float32, device=self.device)
            for name, values in counts.item.items()
        }
        self.features: tuple[Feature, ...] = (
            *self._of_users(counts),
            *self._of_items(ORDERED in counts.item_item),
            *([BM25Score(WORDS, self.lexical)] if self.lexical is not None else []),
            *self._of_attributes(counts),
            *(ItemFact(name, values) for name, values in item_facts.items()),
            *self._of_user_facts(counts),
            ContextSize(),
        )
        self.names = tuple(feature.name for feature in self.features)
        popularity = (item_facts["popularity"], item_facts["recent popularity"])
        self.retrieval = Retrieval(self.features, popularity)

    def _of_users(self, counts: PathCounts) -> Iterator[Feature]:
        for path, matrix in counts.user_item.items():
            yield UserPath(path, Sparse.of(matrix, self.device), retrieves(path))

    def _of_items(self, ordered: bool) -> Iterator[Feature]:
        """Sums, maxima of cosines and, where there is an order, sums by recency, which then retrieve."""
        retrieving = Over.RECENT if ordered else Over.SUM
        variants = [(Over.SUM, path) for path in self.item_item]
        variants += [(Over.BEST, path) for path in self.item_item if is_cosine(path)]
        if ordered:
            variants += [(Over.RECENT, path) for path in self.item_item]
        for over, path in variants:
            brings = over is retrieving
            yield ItemPath(
                path,
                self.item_item[path],
                over,
                brings and retrieves(path),
                brings and path == SHARED_ATTRIBUTES,
            )

    def _of_attributes(self, counts: PathCounts) -> Iterator[Feature]:
        for paths in counts.attributes:
            attribute = Attribute.of(paths.items, self.device)
            together = Sparse.of(paths.together, self.device)
            users = Sparse.of(paths.users, self.device)
            yield SharedValues(paths.name, attribute, Over.SUM)
            if ORDERED in counts.item_item:
                yield SharedValues(paths.name, attribute, Over.RECENT)
            yield ValuesTogether(paths.name, attribute, together)
            yield ValuesOfUser(paths.name, attribute, users)

    def _of_user_facts(self, counts: PathCounts) -> Iterator[Feature]:
        for name, values in counts.user.items():
            tensor = torch.as_tensor(values, dtype=torch.float32, device=self.device)
            yield UserFact(name, tensor)

    def __call__(
        self, queries: QueryBatch, each: int, extra: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Candidates and their features.

        Args:
            queries: B of them.
            each: How many items a retrieving feature brings.
            extra: (B, X) further candidate rows: those of the vector search.

        Returns:
            (B, C) item rows ascending, -1 where a query has fewer than C, and (B, C, F)
            features, all >= 0. What a query excludes is no candidate.
        """
        batch = queries.to(self.device)
        found = {}
        for feature in self.features:
            if isinstance(feature, CatalogueFeature):
                scores = feature.everywhere(batch)
                if scores is not None:
                    found[feature.name] = scores
        rows = self.retrieval(batch, found, each, extra)
        return rows, describe(self.features, batch, rows.clamp(min=0), found)

    def describe(self, queries: QueryBatch, rows: Tensor) -> Tensor:
        """(B, C, F) the features of any item rows (B, C), candidates or not."""
        return describe(self.features, queries.to(self.device), rows, {})


def describe(
    features: Sequence[Feature],
    batch: QueryTensors,
    rows: Tensor,
    found: Mapping[str, Tensor],
) -> Tensor:
    """(B, C, F) the features of item rows (B, C); found by name, (B, I) what is known already."""
    columns = []
    for feature in features:
        if feature.name in found:
            columns.append(found[feature.name].gather(1, rows))
        else:
            columns.append(feature.column(batch, rows))
    return torch.stack(columns, 2)


def differ(now: float, was: float) -> bool:
    """By more than the last digits, at which quantiles jump."""
    return abs(now - was) > 1e-6 * max(1.0, abs(was))
