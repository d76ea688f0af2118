"""The features of a query and an item in many cases: recounted, and matched by other words."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fusion.explain.cases import Case, ExplanationTarget
from fusion.explain.masks import Ends, Neighbours, message_ends
from fusion.model.feature import ItemPath
from fusion.model.features import ALIKE, WORDS, differ
from fusion.model.snapshot import GraphSnapshot
from kg.counterfactual.edits import Cut, column
from kg.counterfactual.recount import Recount


class CaseFeatures:
    """What the cuts and the words of cases make of the features.

    Args:
        snapshot: Whose features.
        recount: Of its graph.
        item_texts: What the items' words are, in row order.
        neighbours: The items that exchange messages; None where there are no messages.
    """

    def __init__(
        self,
        snapshot: GraphSnapshot,
        recount: Recount,
        item_texts: Sequence[str],
        neighbours: Neighbours | None,
    ) -> None:
        self.snapshot = snapshot
        self.recount = recount
        self.item_texts = item_texts
        self.neighbours = neighbours

    def __call__(self, target: ExplanationTarget, cases: Sequence[Case]) -> Tensor:
        """(V, F) the features in each case."""
        names = self.snapshot.features.names
        rows = []
        for case in cases:
            cut = case.cut if case.counted else {}
            rows.append(self.without(target, cut)[0] if cut else target.phi)
        phi = torch.stack(rows)
        worded = [
            v
            for v, case in enumerate(cases)
            if case.asked is not None or case.text is not None
        ]
        matches = self._matches(target, [cases[v] for v in worded])
        for v, values in zip(worded, matches, strict=True):
            for at, value in values.items():
                if differ(value, float(phi[v, at])):
                    phi[v, at] = value
        for v, case in enumerate(cases):
            for name in case.blank:
                phi[v, names.index(name)] = 0
        return phi

    def without(self, target: ExplanationTarget, cut: Cut) -> tuple[Tensor, list[Ends]]:
        """(F,) the features without a cut's edges, and the message edges that go with it.

        Features that the cut leaves alone are the same to the last digit.
        """
        key = tuple((name, rows.tobytes()) for name, rows in sorted(cut.items()))
        if key not in target.known:
            target.known[key] = self._without(target, cut)
        return target.known[key]

    def _without(
        self, target: ExplanationTarget, cut: Cut
    ) -> tuple[Tensor, list[Ends]]:
        change = self.recount.changes.of(cut)
        counted = target.ground.count(cut, change)
        phi = target.phi.clone()
        for at, feature in enumerate(self.snapshot.features.features):
            was = feature.recounted(target.whole, target.place)
            now = feature.recounted(counted, target.place)
            if was is not None and now is not None and differ(now, was):
                phi[at] = now
        if self.neighbours is None:
            return phi, []
        ends = message_ends(
            self.recount,
            self.snapshot,
            self.neighbours,
            cut,
            change,
        )
        return phi, list(ends)

    def _matches(
        self, target: ExplanationTarget, cases: Sequence[Case]
    ) -> list[dict[int, float]]:
        """By column, what the words of each case say.

        Of the context items, those that pruning left.
        """
        features, pair = self.snapshot.features, target.place
        if features.lexical is None or not cases:
            return [{} for _ in cases]
        asked = [target.asked(case) for case in cases]
        own = self.item_texts[pair.item]
        texts = [own if case.text is None else case.text for case in cases]
        matches, near = features.lexical.instead(texts, asked, pair.context)
        kept = column(features.lexical.alike, pair.context, pair.item) > 0
        score = features.names.index(WORDS)
        alike = {
            at: feature
            for at, feature in enumerate(features.features)
            if isinstance(feature, ItemPath) and feature.path == ALIKE
        }
        found = []
        for case, match, values in zip(
            cases,
            matches.tolist(),
            near * kept,
            strict=True,
        ):
            columns = {score: match}
            if case.text is not None:
                for at, feature in alike.items():
                    columns[at] = feature.reduce(values)
            found.append(columns)
        return found
