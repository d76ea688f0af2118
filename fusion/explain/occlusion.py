"""Occlusion: what an item's score would be had some edges, or words, never been there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from fusion.explain.case_features import CaseFeatures
from fusion.explain.case_nodes import CaseNodes, sees
from fusion.explain.cases import Case, ExplanationTarget
from fusion.explain.masks import Masked, Neighbours, masked_edges
from fusion.explain.messages import Messages
from fusion.model.nodes import Nodes
from fusion.model.scores import Scores
from fusion.model.snapshot import NodeTexts
from fusion.query import Constraints, Query
from fusion.query_batch import QueryBatch, Ragged
from fusion.ranking.ranker import Ranker
from kg.counterfactual.edits import Cut
from kg.counterfactual.index import QueryItemPair
from kg.counterfactual.recount import Recount
from kg.tables import FloatArray


class Occlusion:
    """Scores one item again in many cases at once, through the model's own score.

    The counts are recounted (kg.counterfactual.recount), the messages recomputed where a case
    changes them (fusion.explain.messages). A pair of user and item, or of two items, that
    bundles join is one message edge: it is masked once no bundle is left that joins them. All
    other items keep the scores they had.

    Args:
        recommender: Whose model, graph and counts.
    """

    def __init__(self, recommender: Ranker) -> None:
        self.recommender = recommender
        self.model = recommender.model
        self.snapshot = recommender.snapshot
        self.recount = Recount(self.snapshot.graph, recommender.counts)
        self._latest: tuple[Query, QueryBatch, Scores, FloatArray] | None = None

    @cached_property
    def item_texts(self) -> list[str]:
        """What the language model reads of each item."""
        return self.recommender.tables.texts(self.snapshot.item)

    @cached_property
    def texts(self) -> Tensor | None:
        """(U, D) of the distinct texts."""
        encoder = self.model.text
        if encoder is None:
            return None
        kept = self.recommender.embeddings.text
        texts = NodeTexts.of(self.recommender.tables).texts
        if len(kept) == len(texts):
            return kept
        return encoder.encode_table(encoder.table(texts)).clone()

    @cached_property
    def messages(self) -> Messages | None:
        """None where the model has no GNN."""
        if self.model.gnn is None:
            return None
        return Messages(self.model, self.snapshot, self.texts)

    @cached_property
    def features(self) -> CaseFeatures:
        """The features in each case."""
        neighbours = None
        if self.messages is not None:
            neighbours = Neighbours(self.recount, self.snapshot)
        return CaseFeatures(
            self.snapshot,
            self.recount,
            self.item_texts,
            neighbours,
        )

    @cached_property
    def nodes(self) -> CaseNodes:
        """The vectors in each case."""
        return CaseNodes(self.model, self.snapshot, self.texts, self.messages)

    @torch.inference_mode()
    def spot(self, query: Query, item: int) -> ExplanationTarget:
        """Where a query meets an item (its row)."""
        allowed = self.recommender.allowed(query.where, query.user)
        if not allowed[item]:  # what is left out has a score all the same
            query = replace(query, where=Constraints())
        queries, found, scores = self._answered(query)
        context = queries.context[0]
        others = scores.copy()
        others[context] = -np.inf
        others[~allowed] = -np.inf
        others[item] = -np.inf
        at = (found.rows[0] == item).nonzero().flatten()
        candidate = bool(len(at))
        if candidate:
            phi = found.phi[0, at[0]]
        else:
            row = torch.tensor([[item]], device=self.snapshot.device)
            phi = self.snapshot.features.describe(queries, row)[0, 0]
        return ExplanationTarget(
            queries,
            QueryItemPair(int(queries.users[0]), context, item),
            query.text or "",
            phi.cpu(),
            float(scores[item]),
            candidate,
            bool(allowed[item]),
            others,
            self.recount,
        )

    def _answered(self, query: Query) -> tuple[QueryBatch, Scores, FloatArray]:
        """The query in rows, its candidates and (I,) all items' scores.

        The latest are kept, since items of one answer come together.
        """
        latest = self._latest
        if latest is None or latest[0] != query:
            queries = self.recommender.queries([query])
            found = self.recommender.scores(queries)
            scores = self.recommender.score(queries, found)[0].astype(np.float64)
            latest = self._latest = (query, queries, found, scores)
        return latest[1:]

    @torch.no_grad()
    def scores(self, spot: ExplanationTarget, cases: Sequence[Case]) -> FloatArray:
        """(V,) the item's score in each case."""
        phi = self.features(spot, cases)
        ends = [
            (v, self.features.without(spot, case.cut)[1])
            for v, case in enumerate(cases)
            if case.cut and case.messages
        ]
        masked = masked_edges(self.snapshot, ends)
        scores = self._scored(spot, cases, phi, masked)
        array: FloatArray = scores.double().cpu().numpy()
        return array

    def estimates(self, spot: ExplanationTarget, cuts: Sequence[Cut]) -> FloatArray:
        """(P,) a first guess of what each cut costs.

        It is the score's gradient, in one pass forward and one back.
        """
        moved = self.features(spot, [Case(cut) for cut in cuts]) - spot.phi
        ends = [(p, self.features.without(spot, cut)[1]) for p, cut in enumerate(cuts)]
        masked = masked_edges(self.snapshot, ends)
        weight = torch.zeros(len(cuts), device=self.snapshot.device, requires_grad=True)
        one = Masked(
            {key: torch.zeros_like(case) for key, case in masked.case.items()},
            masked.source,
            masked.target,
            {key: weight[case] for key, case in masked.case.items()},
        )
        phi = spot.phi[None].clone().requires_grad_()
        score = self._scored(spot, [Case()], phi, one)[0]
        by_weight, by_phi = torch.autograd.grad(score, (weight, phi), allow_unused=True)
        out = torch.zeros(len(cuts)) if by_weight is None else -by_weight.cpu()
        if by_phi is not None and len(cuts):
            out = out - moved @ by_phi[0]
        return np.asarray(out.double())

    def _scored(
        self,
        spot: ExplanationTarget,
        cases: Sequence[Case],
        phi: Tensor,
        masked: Masked,
    ) -> Tensor:
        """(V,) through the model's score_rows, over copies of the query's nodes in each case."""
        pair, device = spot.place, self.snapshot.device
        count, width = len(cases), len(pair.context) + 1
        rows = torch.as_tensor(np.append(pair.context, pair.item), device=device)
        items = self.nodes(self.snapshot.item, rows, cases, masked)
        users = Nodes(*(part[:0] for part in items))
        user = np.full(count, -1)
        if pair.user >= 0 and self.snapshot.user:
            row = torch.tensor([pair.user], device=device)
            users = self.nodes(self.snapshot.user, row, cases, masked)
            user = np.arange(count)
        first = np.arange(count) * width
        context = [np.arange(start, start + width - 1) for start in first]
        query = self.model.query_vectors(
            QueryBatch.of(user, Ragged.of(context)),
            items,
            users,
            self._words(spot, cases),
        )
        item = torch.as_tensor(first + width - 1, device=device)[:, None]
        features = phi.to(device)[:, None]
        return self.model.score_rows(query, items, item, features)[:, 0]

    def _words(self, spot: ExplanationTarget, cases: Sequence[Case]) -> Tensor:
        """(V, D) of the query's words in each case."""
        texts = [spot.asked(case) for case in cases]
        nobody = np.full(len(cases), -1)
        with torch.no_grad():
            words = self.recommender.words(QueryBatch.of(nobody, texts=texts))
        return words.detach().clone() * sees(cases, words.device)[:, None]
