"""Case: one way in which the graph is not what it is. ExplanationTarget: where that is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from torch import Tensor

from fusion.explain.masks import Ends
from fusion.query_batch import QueryBatch
from kg.counterfactual.edits import Cut
from kg.counterfactual.index import Counted, QueryItemPair
from kg.counterfactual.recount import LocalCounts, Recount
from kg.tables import FloatArray

POPULARITY = ("popularity", "recent popularity", "repeats")


@dataclass(frozen=True)
class Case:
    """One way in which the graph, or the words, are not what they are.

    Attributes:
        cut: Edges taken out.
        counted: Whether the counts know it.
        messages: Whether the messages know it.
        asked: The query's words, as they are where None.
        text: The item's text, as it is where None; "" for none.
        blank: Features set to 0.
        blind: Whether vectors are left out.
    """

    cut: Cut = field(default_factory=dict)
    counted: bool = True
    messages: bool = True
    asked: str | None = None
    text: str | None = None
    blank: tuple[str, ...] = ()
    blind: bool = False


@dataclass(frozen=True)
class ExplanationTarget:
    """A query and an item, and what the score is made of there.

    Attributes:
        queries: The query alone.
        place: Rows.
        text: The query's words.
        phi: (F,) the features.
        served: The score that the answer ranks by.
        candidate: Whether retrieval brought the item.
        returned: Whether the query's constraints let the item be returned.
        others: (I,) the served scores of all items, -inf where they may not be returned, and
            of the item itself.
        recount: What counts anew.
        known: The features and message edges of the cuts that were looked at.
    """

    queries: QueryBatch
    place: QueryItemPair
    text: str
    phi: Tensor
    served: float
    candidate: bool
    returned: bool
    others: FloatArray
    recount: Recount
    known: dict[tuple[tuple[str, bytes], ...], tuple[Tensor, list[Ends]]] = field(
        default_factory=dict
    )

    @cached_property
    def ground(self) -> LocalCounts:
        """What its counts are made of."""
        return self.recount.local_counts(self.place)

    @cached_property
    def whole(self) -> Counted:
        """The counts of the whole graph."""
        return self.ground.count({}, self.recount.changes.of({}))

    def asked(self, case: Case) -> str:
        """The query's words in a case."""
        return self.text if case.asked is None else case.asked

    def rank(self, score: float) -> int:
        """1 and how many other items have a higher score."""
        return 1 + int(np.sum(self.others > score))
