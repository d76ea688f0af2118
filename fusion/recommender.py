"""Recommender: what people call; a facade of verbs over the ranker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa

from fusion.bundles import build, compatibility, complete, rank
from fusion.bundles.compatibility import Compatibility
from fusion.bundles.plan import Combination, Plan
from fusion.bundles.rank import RankedBundle
from fusion.explain import explainer
from fusion.explain.explanation import Explanation
from fusion.query import Constraints, Query, Recommendation, ids_of
from fusion.ranking import incremental
from fusion.ranking.ranker import ANYTHING, Ranker
from fusion.runs.artifacts import load_parts

ANY_PLAN = Plan()


class Recommender(Ranker):
    """Answers queries over one catalogue.

    What it does not know is no error: an unknown user is an anonymous user, unknown context
    items are passed over, and a query of which nothing is known is answered by recent
    popularity.
    """

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> Self:
        """Open a run folder; needs no database and no network.

        Raises:
            RunError: The folder is no run, or is damaged; the message says which file.
        """
        parts = load_parts(folder)
        made = cls.assemble(
            parts.model.to(device),
            parts.tables,
            parts.counts,
            device,
            parts.embeddings.to(device),
            parts.seen_items,
        )
        made.store = parts.store
        return made

    def recommend(
        self, user: str, k: int = 10, where: Constraints = ANYTHING
    ) -> list[Recommendation]:
        """What this user may want next."""
        return self.answer(Query(user=user, k=k, where=where))

    def complete(
        self,
        items: Sequence[str],
        user: str | None = None,
        text: str | None = None,
        k: int = 10,
        where: Constraints = ANYTHING,
        one_per: str = "",
        diversity: float = 0.0,
        complements: float = 0.0,
        season: int | None = None,
    ) -> list[Recommendation]:
        """What goes with these items: an outfit, a basket, a bundle.

        With one_per, the best item of each category (or whatever it names) that no context
        item has; diversity, 0..1, is how unlike each other the items should be; complements
        and season as in Plan.
        """
        query = Query(user, ids_of(items), text, k, where)
        if season is None and not (one_per or diversity or complements):
            return self.answer(query)
        rows, scores = complete.complete(
            self, query, one_per, diversity, complements, season
        )
        return self._listed(rows, scores[rows])

    def search(
        self,
        text: str,
        user: str | None = None,
        k: int = 10,
        where: Constraints = ANYTHING,
    ) -> list[Recommendation]:
        """What these words mean, for this user where one is given."""
        return self.answer(Query(user=user, text=text, k=k, where=where))

    def similar(
        self, item: str, k: int = 10, where: Constraints = ANYTHING
    ) -> list[Recommendation]:
        """The items whose vectors are nearest: alike, not complements.

        An unknown item has none, and so has one without a vector: every item where the model
        counts paths only.
        """
        query = Query(items=(item,), k=k, where=where)
        row = self.items.row(item)
        if row < 0 or not self.embeddings.items.fused[row].any():
            return []
        scores = (
            (self.embeddings.items.fused @ self.embeddings.items.fused[row])
            .cpu()
            .numpy()
            .copy()
        )
        scores[row] = -np.inf
        return self._top(scores, query.k, query.where)

    def build(
        self,
        plan: Plan = ANY_PLAN,
        user: str | None = None,
        items: Sequence[str] = (),
        text: str | None = None,
    ) -> list[Combination]:
        """Whole combinations under a plan, the context items kept.

        See fusion.bundles.build.build for what it raises.
        """
        return build.build(self, plan, user, items, text)

    def compatibility(
        self,
        items: Sequence[str],
        user: str | None = None,
        text: str | None = None,
        plan: Plan = ANY_PLAN,
        category: str | None = None,
    ) -> Compatibility:
        """How well items go together, and the best swap; see fusion.bundles.compatibility."""
        return compatibility.compatibility(self, items, user, text, plan, category)

    def rank_bundles(
        self,
        bundles: Mapping[str, Sequence[str]] | None = None,
        user: str | None = None,
        text: str | None = None,
        items: Sequence[str] = (),
        k: int = 10,
    ) -> list[RankedBundle]:
        """Bundles, the graph's own or any others, for a user or words.

        See fusion.bundles.rank.rank_bundles.
        """
        return rank.rank_bundles(self, bundles, user, text, items, k)

    def explain(
        self,
        query: Query,
        item: str,
        k: int = 3,
        support: bool = True,
        verify: str | bool = False,
    ) -> Explanation:
        """Why an item is where it is in an answer.

        fusion.explain.explainer.explain has more settings.
        """
        return explainer.explain(self, query, item, k, support, verify)

    def add_items(
        self, items: pa.Table, edges: Mapping[str, pa.Table] | None = None
    ) -> Self:
        """A recommender that knows further items, without training.

        Args:
            items: Columns as the item type's: id and what its text is made of; of its other
                properties those known.
            edges: By relation name, source and target ids: what is known of the new items
                (category, brand, ...).

        Returns:
            A new recommender; this one stays as it is.

        Raises:
            DataError: An id is there already, or a table breaks the schema.
        """
        return incremental.add_items(self, items, edges)

    def with_events(self, events: pa.Table) -> Self:
        """A recommender that knows what users did since, without training.

        Its graph, metapath counts and vectors are those that the weights give over the graph
        with these events. What is in the graph already changes nothing.

        Args:
            events: Columns user and item, ids; time, in the graph's unit, or dates (its latest
                moment where there is none); and bundle, the id of what belongs together (all
                events of a user at one moment where there is none). Users may be new.

        Returns:
            A new recommender, or this one where nothing is new; this one stays as it is.

        Raises:
            DataError: An item is not in the catalogue, a column is missing or wrong, or users
                take nothing in it.
        """
        return incremental.with_events(self, events)
