"""Occlusion: what an item's score would be had some edges, or words, never been there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from fusion.explain.masks import Ends, Neighbours, masked_edges, message_ends
from fusion.explain.messages import Masked, Messages, find
from fusion.model.feature import ItemPath
from fusion.model.features import ALIKE, WORDS, differ
from fusion.model.nodes import Nodes
from fusion.model.scores import Scores
from fusion.model.snapshot import TOGETHER, NodeTexts
from fusion.query import Constraints, Query
from fusion.query_batch import QueryBatch, Ragged
from fusion.ranking.ranker import Ranker
from kg.counterfactual.edits import Cut, column
from kg.counterfactual.index import Counted, QueryItemPair
from kg.counterfactual.recount import LocalCounts, Recount
from kg.tables import FloatArray

POPULARITY = ("popularity", "recent popularity", "repeats")


@dataclass(frozen=True)
class Case:
    """One way in which the world is not what it is.

    Attributes:
        cut: Edges taken out.
        counted: Whether the counts know it.
        messages: Whether the messages know it.
        asked: The query's words, as they are where None.
        text: The item's text, as it is where None; "" for none.
        blank: Counts set to 0.
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
        asks: The query alone.
        place: Rows.
        text: The query's words.
        phi: (F,) the counts.
        served: The score that the answer ranks by.
        candidate: Whether retrieval brought the item.
        returned: Whether the query's constraints let the item be returned.
        others: (I,) the served scores of all items, -inf where they may not be returned, and
            of the item itself.
        recount: What counts anew.
        known: The counts and message edges of the cuts that were met.
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
        return self.recount.ground(self.place)

    @cached_property
    def whole(self) -> Counted:
        """The counts of the whole graph."""
        return self.ground.count({}, self.recount.changes.of({}))

    def rank(self, score: float) -> int:
        """1 and how many other items have a higher score."""
        return 1 + int((self.others > score).sum())


class Occlusion:
    """Scores one item again in many cases at once, through the model's own score.

    The counts are recounted (kg.counterfactual.recount), the messages recomputed where a case
    changes them (fusion.explain.messages). A pair
    of user and item, or of two items, that bundles join is one message edge: it is masked once
    no bundle is left that joins them. All other items keep the scores they had.

    Args:
        recommender: Whose model, graph and counts.
    """

    def __init__(self, recommender: Ranker) -> None:
        self.recommender, self.model, self.snapshot = (
            recommender,
            recommender.model,
            recommender.snapshot,
        )
        self.recount = Recount(self.snapshot.graph, recommender.counts)
        self._latest: tuple[Query, QueryBatch, Scores, FloatArray] | None = None

    @cached_property
    def item_texts(self) -> list[str]:
        """What the language model reads of each item."""
        return self.recommender.tables.texts(self.snapshot.item)

    @cached_property
    def texts(self) -> Tensor | None:
        """(U, D) of the distinct texts."""
        if self.model.text is None:
            return None
        kept = self.recommender.embeddings.text
        texts = NodeTexts.of(self.recommender.tables).texts
        return (
            kept
            if len(kept) == len(texts)
            else self.model.text.encode_table(self.model.text.table(texts)).clone()
        )

    @cached_property
    def messages(self) -> Messages | None:
        """None where the model has no GNN."""
        return (
            None
            if self.model.gnn is None
            else Messages(self.model, self.snapshot, self.texts)
        )

    @cached_property
    def _neighbours(self) -> Neighbours:
        return Neighbours(self.recount, self.snapshot)

    @torch.inference_mode()
    def spot(self, query: Query, item: int) -> ExplanationTarget:
        """Where a query meets an item (its row)."""
        allowed = self.recommender.allowed(query.where, query.user)
        if not allowed[item]:  # what is left out has a score all the same
            query = replace(query, where=Constraints())
        queries, found, scores = self._answered(query)
        others = scores.copy()
        served = float(others[item])
        others[queries.context[0]] = -np.inf
        others[~allowed] = -np.inf
        others[item] = -np.inf
        at, phi = (found.rows[0] == item).nonzero().flatten(), found.phi[0]
        if len(at):
            phi = phi[at[0]]
        else:
            row = torch.tensor([[item]], device=self.snapshot.device)
            phi = self.snapshot.features.describe(queries, row)[0, 0]
        place = QueryItemPair(int(queries.users[0]), queries.context[0], item)
        candidate, text = bool(len(at)), query.text or ""
        return ExplanationTarget(
            queries,
            place,
            text,
            phi.cpu(),
            served,
            candidate,
            bool(allowed[item]),
            others,
            self.recount,
        )

    def _answered(self, query: Query) -> tuple[QueryBatch, Scores, FloatArray]:
        """The query in rows, its candidates and (I,) all items' scores; kept, since items of one answer come together."""
        latest = self._latest
        if latest is None or latest[0] != query:
            queries = self.recommender.queries([query])
            found = self.recommender.scores(queries)
            latest = self._latest = (
                query,
                queries,
                found,
                self.recommender.score(queries, found)[0].astype(np.float64),
            )
        return latest[1:]

    @torch.no_grad()
    def scores(self, spot: ExplanationTarget, cases: Sequence[Case]) -> FloatArray:
        """(V,) the item's score in each case."""
        phi = self._phi(spot, cases)
        ends = [
            (v, self._met(spot, c.cut)[1])
            for v, c in enumerate(cases)
            if c.cut and c.messages
        ]
        masked = masked_edges(self.snapshot, ends)
        found: FloatArray = (
            self._scored(spot, cases, phi, masked).double().cpu().numpy()
        )
        return found

    def estimates(self, spot: ExplanationTarget, cuts: Sequence[Cut]) -> FloatArray:
        """(P,) a first guess of what each cut costs: the score's gradient, in one pass forward and one back."""
        moved = self._phi(spot, [Case(cut) for cut in cuts]) - spot.phi
        masked = masked_edges(
            self.snapshot, [(p, self._met(spot, cut)[1]) for p, cut in enumerate(cuts)]
        )
        weight = torch.zeros(len(cuts), device=self.snapshot.device, requires_grad=True)
        one = Masked(
            {k: torch.zeros_like(v) for k, v in masked.case.items()},
            masked.source,
            masked.target,
            {k: weight[v] for k, v in masked.case.items()},
        )
        phi = spot.phi[None].clone().requires_grad_()
        score = self._scored(spot, [Case()], phi, one)[0]
        by_weight, by_phi = torch.autograd.grad(score, (weight, phi), allow_unused=True)
        out = torch.zeros(len(cuts)) if by_weight is None else -by_weight.cpu()
        if by_phi is not None and len(cuts):
            out = out - moved @ by_phi[0]
        return np.asarray(out.double())

    def _met(self, spot: ExplanationTarget, cut: Cut) -> tuple[Tensor, list[Ends]]:
        """The counts without a cut (those that it leaves alone to the last digit), and its message edges."""
        key = tuple((name, rows.tobytes()) for name, rows in sorted(cut.items()))
        if key not in spot.known:
            change, phi = self.recount.changes.of(cut), spot.phi.clone()
            counted = spot.ground.count(cut, change)
            for at, feature in enumerate(self.snapshot.features.features):
                was = feature.recounted(spot.whole, spot.place)
                now = feature.recounted(counted, spot.place)
                if was is not None and now is not None and differ(now, was):
                    phi[at] = now
            ends: list[Ends] = []
            if self.messages is not None:
                ends = list(
                    message_ends(
                        self.recount, self.snapshot, self._neighbours, cut, change
                    )
                )
            spot.known[key] = phi, ends
        return spot.known[key]

    def _phi(self, spot: ExplanationTarget, cases: Sequence[Case]) -> Tensor:
        """(V, F) the counts of cases."""
        names = self.snapshot.features.names
        phi = torch.stack(
            [
                self._met(spot, c.cut)[0] if c.cut and c.counted else spot.phi
                for c in cases
            ]
        )
        worded = [
            v
            for v, case in enumerate(cases)
            if case.asked is not None or case.text is not None
        ]
        for v, values in zip(
            worded, self._lexical(spot, [cases[v] for v in worded]), strict=True
        ):
            for at, value in values.items():
                if differ(value, float(phi[v, at])):
                    phi[v, at] = value
        for v, case in enumerate(cases):
            for name in case.blank:
                phi[v, names.index(name)] = 0
        return phi

    def _lexical(
        self, spot: ExplanationTarget, cases: Sequence[Case]
    ) -> list[dict[int, float]]:
        """By column, what the words of each case say; of the context items those that pruning left."""
        lexical, place = self.snapshot.features.lexical, spot.place
        if lexical is None or not cases:
            return [{} for _ in cases]
        asked = [spot.text if case.asked is None else case.asked for case in cases]
        texts = [
            self.item_texts[place.item] if case.text is None else case.text
            for case in cases
        ]
        matches, near = lexical.instead(texts, asked, place.hand)
        near = near * (column(lexical.alike, place.hand, place.item) > 0)
        features = self.snapshot.features
        score = features.names.index(WORDS)
        alike = [
            (at, feature)
            for at, feature in enumerate(features.features)
            if isinstance(feature, ItemPath) and feature.path == ALIKE
        ]
        found = []
        for case, match, like in zip(cases, matches.tolist(), near, strict=True):
            values = {score: match}
            if case.text is not None:
                values |= {at: feature.reduce(like) for at, feature in alike}
            found.append(values)
        return found

    def _scored(
        self,
        spot: ExplanationTarget,
        cases: Sequence[Case],
        phi: Tensor,
        masked: Masked,
    ) -> Tensor:
        """(V,) through Hybrid.score, over copies of the nodes at hand in each case."""
        many, device, place = len(cases), self.snapshot.device, spot.place
        rows = {
            self.snapshot.item: torch.as_tensor(
                np.append(place.hand, place.item), device=device
            )
        }
        if place.user >= 0 and self.snapshot.user:
            rows[self.snapshot.user] = torch.tensor([place.user], device=device)
        nodes = {t: self._nodes(t, r, cases, masked, rows) for t, r in rows.items()}
        items, each = nodes[self.snapshot.item], len(place.hand) + 1
        first = np.arange(many) * each
        hand = Ragged.of([np.arange(f, f + each - 1) for f in first])
        user = np.arange(many) if self.snapshot.user in nodes else np.full(many, -1)
        users = nodes.get(
            self.snapshot.user or "", Nodes(*(part[:0] for part in items))
        )
        queries = QueryBatch.of(user, hand)
        target = torch.as_tensor(first + each - 1, device=device)[:, None]
        query = self.model.query_vectors(
            queries, items, users, self._spoken(spot, cases)
        )
        features = phi.to(device)[:, None]
        return self.model.score_rows(query, items, target, features)[:, 0]

    def _nodes(
        self,
        kind: str,
        rows: Tensor,
        cases: Sequence[Case],
        masked: Masked,
        wanted: dict[str, Tensor],
    ) -> Nodes:
        """(V * n) nodes, case after case."""
        many, snapshot, model = len(cases), self.snapshot, self.model
        if not model.config.vectors:
            blank = torch.zeros(
                many * len(rows), model.config.embedding_dim, device=snapshot.device
            )
            return Nodes(blank, blank, blank, blank[:, 0])
        graph = None
        if self.messages is not None:
            graph = self.messages.without(masked, many, {kind: rows})[kind].flatten(
                0, 1
            )
        degree = snapshot.degree[kind][rows].repeat(many)
        place = (
            torch.arange(many, device=snapshot.device).repeat_interleave(len(rows))
            * snapshot.sizes[kind]
        )
        place = place + rows.repeat(many)
        for key, target in masked.target.items():
            if key[2] == kind and key[1] != TOGETHER:
                gone = masked.case[key] * snapshot.sizes[kind] + target
                at = find(gone, place)
                degree = degree.index_add(0, at[at >= 0], -masked.weight[key][at >= 0])
        texts, distinct = self.texts, snapshot.distinct[kind][rows].repeat(many)
        changed = [
            (v, case.text) for v, case in enumerate(cases) if case.text is not None
        ]
        if (
            kind == snapshot.item
            and changed
            and texts is not None
            and model.text is not None
        ):
            worded = [(v, text) for v, text in changed if text.strip()]
            last = len(rows) - 1
            for v, _ in changed:
                distinct[v * len(rows) + last] = -1
            for n, (v, _) in enumerate(worded):
                distinct[v * len(rows) + last] = len(texts) + n
            texts = (
                torch.cat([texts, model.text.encode([text for _, text in worded])])
                if worded
                else texts
            )
        found = model.fuse(distinct, degree.clamp(min=0), graph, texts)
        sighted = (
            torch.tensor([not c.blind for c in cases], device=snapshot.device)
            .repeat_interleave(len(rows))
            .float()
        )
        fused, of_graph, of_text = (part * sighted[:, None] for part in found[:3])
        return Nodes(fused, of_graph, of_text, found.share)

    def _spoken(self, spot: ExplanationTarget, cases: Sequence[Case]) -> Tensor:
        texts = tuple(spot.text if c.asked is None else c.asked for c in cases)
        nobody = np.full(len(cases), -1)
        with torch.no_grad():
            words = self.recommender.words(QueryBatch.of(nobody, texts=texts))
        sighted = torch.tensor(
            [not c.blind for c in cases], device=words.device
        ).float()
        return words.detach().clone() * sighted[:, None]
