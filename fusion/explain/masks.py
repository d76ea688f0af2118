"""Masks: the message edges that stand for edges of the graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fusion.model.snapshot import TOGETHER, GraphSnapshot
from kg.counterfactual.edits import Change, Cut
from kg.counterfactual.recount import Recount
from kg.events import EdgeKey
from kg.graph import REVERSE
from kg.tables import IntArray

Ends = tuple[EdgeKey, IntArray, IntArray]


@dataclass(frozen=True)
class Masked:
    """Message edges that are masked, each in one of V cases.

    Attributes:
        case: By relation, (M,) which case.
        source: By relation, (M,) rows.
        target: By relation, (M,) rows.
        weight: By relation, (M,) how much of the edge is taken out, 0..1.
    """

    case: dict[EdgeKey, Tensor]
    source: dict[EdgeKey, Tensor]
    target: dict[EdgeKey, Tensor]
    weight: dict[EdgeKey, Tensor]


def masked_edges(
    snapshot: GraphSnapshot, ends: Sequence[tuple[int, Sequence[Ends]]]
) -> Masked:
    """What carries no message in each case, both ways along every edge.

    Args:
        snapshot: Whose message edges.
        ends: (case, what message_ends gives for its cut).
    """
    found: dict[EdgeKey, list[tuple[IntArray, IntArray, IntArray]]] = {}
    for case, parts in ends:
        for key, source, target in parts:
            ways = [(key, source, target)]
            if key[1] != TOGETHER:
                ways.append(((key[2], REVERSE + key[1], key[0]), target, source))
            for way, here, there in ways:
                if way in snapshot.edges and len(here):
                    found.setdefault(way, []).append(
                        (np.full(len(here), case), here, there)
                    )
    case_of, sources, targets = (
        {
            key: torch.as_tensor(
                np.concatenate([part[side] for part in parts]),
                dtype=torch.long,
                device=snapshot.device,
            )
            for key, parts in found.items()
        }
        for side in range(3)
    )
    weights = {
        key: torch.ones(len(case), device=snapshot.device)
        for key, case in case_of.items()
    }
    return Masked(
        case_of,
        sources,
        targets,
        weights,
    )


class Neighbours:
    """The items that stand next to each other in messages, and the bundles that join each two.

    Args:
        recount: Of the snapshot's graph.
        snapshot: Whose message edges.
    """

    def __init__(
        self,
        recount: Recount,
        snapshot: GraphSnapshot,
    ) -> None:
        near = snapshot.edges.get((snapshot.item, TOGETHER, snapshot.item))
        self.pairs = (
            np.zeros((0, 2), np.int64) if near is None else near.cpu().numpy().T.copy()
        )
        self.joined = recount.joined(self.pairs)


def message_ends(
    recount: Recount,
    snapshot: GraphSnapshot,
    neighbours: Neighbours,
    cut: Cut,
    change: Change,
) -> Iterator[Ends]:
    """The message edges that stand for a cut's edges, as relation, sources and targets.

    A relation, and a taking without a bundle, is its own message edge. Where bundles are
    contracted, a user and an item (or two items that are next to each other) are one: it is
    masked once no bundle is left that joins them.
    """
    graph = snapshot.graph
    for key, edge in graph.edges.items():
        if key[1] in cut:
            yield key, edge.source[cut[key[1]]], edge.target[cut[key[1]]]
    if graph.user and len(change.owned):
        name = "_".join(
            e.name
            for e in graph.schema.edges
            if e.role in {"interaction", "membership"}
        )
        yield (graph.user, name, graph.item), change.owned[:, 0], change.owned[:, 1]
    apart = neighbours.pairs[
        recount.lost_pairs(change, neighbours.pairs, neighbours.joined)
    ]
    if len(apart):
        yield (graph.item, TOGETHER, graph.item), apart[:, 0], apart[:, 1]
