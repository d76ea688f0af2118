"""The vectors of a query's nodes in many cases: without some messages, or with another text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fusion.explain.cases import Case
from fusion.explain.lookup import find
from fusion.explain.masks import Masked
from fusion.explain.messages import Messages
from fusion.model.hybrid import Hybrid
from fusion.model.nodes import Nodes
from fusion.model.snapshot import TOGETHER, GraphSnapshot


class CaseNodes:
    """Copies of some nodes, one for each case.

    Args:
        model: What fuses them.
        snapshot: Of the whole graph.
        texts: (U, D) of the distinct texts, None where there are none.
        messages: None where the model has no GNN.
    """

    def __init__(
        self,
        model: Hybrid,
        snapshot: GraphSnapshot,
        texts: Tensor | None,
        messages: Messages | None,
    ) -> None:
        self.model = model
        self.snapshot = snapshot
        self.texts = texts
        self.messages = messages

    def __call__(
        self,
        kind: str,
        rows: Tensor,
        cases: Sequence[Case],
        masked: Masked,
    ) -> Nodes:
        """(V * N) vectors of N nodes, case after case.

        Args:
            kind: The nodes' type.
            rows: (N,) of the items the last is the one whose text a case may change.
            cases: V of them.
            masked: The message edges that each case is without.
        """
        model, count = self.model, len(cases)
        device = self.snapshot.device
        if not model.config.vectors:
            size = (count * len(rows), model.config.embedding_dim)
            blank = torch.zeros(size, device=device)
            return Nodes(blank, blank, blank, blank[:, 0])
        graph = None
        if self.messages is not None:
            sent = self.messages.without(masked, count, {kind: rows})
            graph = sent[kind].flatten(0, 1)
        degree = self._degree(kind, rows, count, masked)
        distinct, texts = self._texts(kind, rows, cases)
        nodes = model.fuse(distinct, degree, graph, texts)
        sighted = sees(cases, device).repeat_interleave(len(rows))[:, None]
        return Nodes(
            nodes.fused * sighted,
            nodes.graph * sighted,
            nodes.text * sighted,
            nodes.share,
        )

    def _degree(
        self,
        kind: str,
        rows: Tensor,
        count: int,
        masked: Masked,
    ) -> Tensor:
        """(V * N,) how many edges each node has left."""
        size = self.snapshot.sizes[kind]
        degree = self.snapshot.degree[kind][rows].repeat(count)
        case = torch.arange(count, device=rows.device).repeat_interleave(len(rows))
        place = case * size + rows.repeat(count)
        for key, target in masked.target.items():
            if key[2] == kind and key[1] != TOGETHER:
                gone = masked.case[key] * size + target
                at = find(gone, place)
                there = at >= 0
                degree = degree.index_add(0, at[there], -masked.weight[key][there])
        return degree.clamp(min=0)

    def _texts(
        self,
        kind: str,
        rows: Tensor,
        cases: Sequence[Case],
    ) -> tuple[Tensor, Tensor | None]:
        """(V * N,) the distinct text of each node, -1 for none, and the vectors of the texts."""
        texts, encoder = self.texts, self.model.text
        distinct = self.snapshot.distinct[kind][rows].repeat(len(cases))
        if kind != self.snapshot.item or texts is None or encoder is None:
            return distinct, texts
        new: list[str] = []
        for v, case in enumerate(cases):
            if case.text is None:
                continue
            last = (v + 1) * len(rows) - 1
            distinct[last] = -1
            if case.text.strip():
                distinct[last] = len(texts) + len(new)
                new.append(case.text)
        if new:
            texts = torch.cat([texts, encoder.encode(new)])
        return distinct, texts


def sees(cases: Sequence[Case], device: torch.device) -> Tensor:
    """(V,) 1 where a case looks at vectors, else 0."""
    return torch.tensor([not case.blind for case in cases], device=device).float()
