"""Messages: the vectors of a few nodes had some edges carried no message, for many such cases at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import torch
from torch import Tensor, nn

from encoders.graph.layers import Convolutions, Propagation
from fusion.model.hybrid import Hybrid
from fusion.model.snapshot import GraphSnapshot
from kg.graph import EdgeKey

Vectors = dict[str, Tensor]
QueryItemPair = tuple[Tensor, Tensor]  # (P,) cases and rows
Changed = dict[
    str, tuple[Tensor, Tensor, Tensor]
]  # by type (P,) cases and rows, and (P, D) vectors there


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


class _Incoming:
    """One relation's edges by target, sources ascending."""

    def __init__(self, edge: Tensor, sizes: tuple[int, int]) -> None:
        self.width = sizes[0]
        self.key = (edge[1] * sizes[0] + edge[0]).sort().values
        self.source = self.key % sizes[0]
        self.starts = torch.searchsorted(
            self.key, torch.arange(sizes[1] + 1, device=edge.device) * sizes[0]
        )

    def degree(self, rows: Tensor) -> Tensor:
        return self.starts[rows + 1] - self.starts[rows]

    def sums(self, x: Tensor, rows: Tensor) -> Tensor:
        """(n, D) sums over the sources of some targets."""
        count = self.degree(rows)
        first = count.cumsum(0) - count
        place = torch.arange(int(count.sum()), device=rows.device)
        place = place + (self.starts[rows] - first).repeat_interleave(count)
        return nn.functional.embedding_bag(self.source[place], x, first, mode="sum")

    def count(self, source: Tensor, target: Tensor) -> Tensor:
        """(n,) how many edges go from each source to each target."""
        key = target * self.width + source
        return torch.searchsorted(self.key, key, right=True) - torch.searchsorted(
            self.key, key
        )


class Messages:
    """What the GNN makes of a world, and of it without some edges.

    A mean of messages without one of them is known from the whole, so that a case costs what
    its edges touch, not a
    pass over the graph: in the first layer the ends of masked edges change, in the second what
    is asked for. This is exact for mean aggregation (GraphSAGE, LightGCN) of at most two
    layers; any other GNN is run whole, a pass a case.

    Args:
        model: With a GNN.
        world: Whose edges.
        texts: (U, D) of its distinct texts, None where texts are not used.
    """

    def __init__(
        self, model: Hybrid, snapshot: GraphSnapshot, texts: Tensor | None
    ) -> None:
        self.model, self.snapshot, self.texts = model, snapshot, texts
        gnn = model.gnn
        self._mean = isinstance(gnn, Propagation) or (
            isinstance(gnn, Convolutions) and gnn.sparse
        )
        self.local = (
            self._mean
            and isinstance(gnn, Convolutions | Propagation)
            and gnn.layers <= 2
        )

    @cached_property
    def _layers(self) -> list[Vectors]:
        """Every node's vectors before each layer, and after the last."""
        gnn = self.model.gnn
        assert gnn is not None
        seen: list[Vectors] = []
        hook = gnn.register_forward_pre_hook(
            lambda _, given: seen.append({t: v.float() for t, v in given[0].items()})
        )
        with torch.no_grad():
            self.model.message(
                self.snapshot, self.snapshot.all_rows, self.snapshot.edges, self.texts
            )
        hook.remove()
        rows = self.snapshot.all_rows
        for layer in range(
            len(self) - 1
        ):  # what the last layer gives is computed where it is asked for
            sums = {
                k: i.sums(seen[-1][k[0]], rows[k[2]]) for k, i in self._incoming.items()
            }
            count = {k: i.degree(rows[k[2]]).float() for k, i in self._incoming.items()}
            with torch.no_grad():
                seen.append(
                    {
                        t: self._layer(layer, t, v, sums, count)
                        for t, v in seen[-1].items()
                    }
                )
        return seen

    def __len__(self) -> int:
        gnn = self.model.gnn
        assert isinstance(gnn, Convolutions | Propagation)
        return gnn.layers

    @cached_property
    def _incoming(self) -> dict[EdgeKey, _Incoming]:
        sizes, known = self.snapshot.sizes, getattr(self.model.gnn, "edge_keys", ())
        edges = self.snapshot.edges
        return {
            k: _Incoming(edges[k], (sizes[k[0]], sizes[k[2]]))
            for k in known
            if k in edges and edges[k].size(1)
        }

    def _layer(
        self,
        layer: int,
        kind: str,
        x: Tensor,
        sums: Mapping[EdgeKey, Tensor],
        count: Mapping[EdgeKey, Tensor],
    ) -> Tensor:
        """One layer for n nodes of a type, from the sums and counts of their messages."""
        gnn = self.model.gnn
        keys = [k for k in self._incoming if k[2] == kind]
        some = {k: (count[k] > 0.5).float()[:, None] for k in keys}
        relations = torch.stack(
            [*some.values(), torch.zeros(len(x), 1, device=x.device)]
        ).sum(0)
        means = {k: sums[k] / count[k].clamp(min=1)[:, None] * some[k] for k in keys}
        if isinstance(gnn, Propagation):
            mixed = torch.stack([*means.values(), torch.zeros_like(x)]).sum(
                0
            ) / relations.clamp(min=1)
            return torch.where(relations > 0, mixed, x)
        assert isinstance(gnn, Convolutions)
        total: Tensor = gnn.own[f"{layer} {kind}"](x)
        for key, mean in means.items():
            linear = gnn.convs[f"{layer} {' '.join(key)}"].lin_l
            assert isinstance(linear, nn.Module)
            total = total + linear(mean) / relations.clamp(min=1)
        out: Tensor = gnn.norms[f"{layer} {kind}"](x + total.relu())
        return out

    def without(
        self, masked: Masked, cases: int, wanted: Mapping[str, Tensor]
    ) -> Vectors:
        """(V, n, D) by type: the vectors of the wanted rows in each case."""
        if not self.local:
            return self._whole(masked, cases, wanted)
        device = self.snapshot.device
        every = {
            t: (
                torch.arange(cases, device=device).repeat_interleave(len(r)),
                r.repeat(cases),
            )
            for t, r in wanted.items()
        }
        spread = isinstance(self.model.gnn, Propagation)
        changed: Changed = {}
        total = (
            {t: self._layers[0][t][rows] for t, (_, rows) in every.items()}
            if spread
            else {}
        )
        if len(self) > 1:
            changed = {
                t: (*place, self._at(0, t, place, changed, masked))
                for t, place in self._ends(masked).items()
            }
            if spread:
                total = {
                    t: v
                    + _pick(changed.get(t), every[t], self._wide(t), self._layers[1][t])
                    for t, v in total.items()
                }
        out = {}
        for kind, rows in wanted.items():
            place, known, moved = self._places(kind, rows, cases, changed, masked)
            found = self._at(len(self) - 1, kind, place, changed, masked, moved)[known]
            out[kind] = (
                (total[kind] + found) / (len(self) + 1) if spread else found
            ).view(cases, len(rows), -1)
        return out

    def _wide(self, kind: str) -> int:
        return self.snapshot.sizes[kind]

    def _ends(self, masked: Masked) -> dict[str, QueryItemPair]:
        """The targets of masked edges, each once in a case."""
        found: dict[str, list[Tensor]] = {}
        for key, case in masked.case.items():
            found.setdefault(key[2], []).append(
                case * self._wide(key[2]) + masked.target[key]
            )
        keys = {kind: torch.unique(torch.cat(parts)) for kind, parts in found.items()}
        return {
            kind: (some // self._wide(kind), some % self._wide(kind))
            for kind, some in keys.items()
        }

    def _places(
        self, kind: str, rows: Tensor, cases: int, changed: Changed, masked: Masked
    ) -> tuple[QueryItemPair, Tensor, dict[EdgeKey, tuple[Tensor, Tensor, Tensor]]]:
        """Where the last layer must look: what a case touches, and each wanted row once as in the whole graph.

        Returns:
            (P,) cases, V for the whole graph, and rows; (V * n,) which of these each row takes
            in each case; and by relation (place, which changed source, how many edges) of the
            messages that moved.
        """
        wide, many = self._wide(kind), len(rows)
        own = torch.arange(cases, device=rows.device).repeat_interleave(
            many
        ) * wide + rows.repeat(cases)
        at = [own.new_zeros(0)]
        at += [
            find(case * wide + masked.target[key], own)
            for key, case in masked.case.items()
            if key[2] == kind
        ]
        if kind in changed:
            at.append(find(changed[kind][0] * wide + changed[kind][1], own))
        moved = {}
        for key, incoming in self._incoming.items():
            if key[2] == kind and key[0] in changed:
                theirs, sources, _ = changed[key[0]]
                count = incoming.count(sources[:, None], rows[None])
                source, target = count.nonzero(as_tuple=True)
                moved[key] = (
                    theirs[source] * many + target,
                    source,
                    count[source, target],
                )
                at.append(moved[key][0])
        touched = torch.unique(torch.cat(at))
        touched = touched[touched >= 0]
        known = len(touched) + torch.arange(many, device=rows.device).repeat(cases)
        known[touched] = torch.arange(len(touched), device=rows.device)
        place = (
            torch.cat([touched // many, own.new_full((many,), cases)]),
            torch.cat([rows[touched % many], rows]),
        )
        return (
            place,
            known,
            {
                key: (known[left], source, count)
                for key, (left, source, count) in moved.items()
            },
        )

    def _at(
        self,
        layer: int,
        kind: str,
        place: QueryItemPair,
        changed: Changed,
        masked: Masked,
        moved: Mapping[EdgeKey, tuple[Tensor, Tensor, Tensor]] = MappingProxyType({}),
    ) -> Tensor:
        """(P, D) what a layer gives at (case, row) places of a type."""
        before, (case, rows) = self._layers[layer], place
        x = _pick(changed.get(kind), place, self._wide(kind), before[kind])
        distinct, back = torch.unique(rows, return_inverse=True)
        sums, count = {}, {}
        for key, incoming in self._incoming.items():
            if key[2] != kind:
                continue
            with torch.no_grad():
                total = incoming.sums(before[key[0]], distinct)[back]
            many = incoming.degree(rows).float()
            if key in moved:
                left, source, times = moved[key]
                _, sources, now = changed[key[0]]
                total = total.index_add(
                    0, left, times[:, None] * (now - before[key[0]][sources])[source]
                )
            if key in masked.case:
                at = find(
                    masked.case[key] * self._wide(kind) + masked.target[key],
                    case * self._wide(kind) + rows,
                )
                mine = at >= 0
                gone = (masked.case[key][mine], masked.source[key][mine])
                weight = masked.weight[key][mine]
                sent = _pick(
                    changed.get(key[0]), gone, self._wide(key[0]), before[key[0]]
                )
                total = total.index_add(0, at[mine], -weight[:, None] * sent)
                many = many.index_add(0, at[mine], -weight)
            sums[key], count[key] = total, many
        return self._layer(layer, kind, x, sums, count)

    @torch.no_grad()
    def _whole(
        self, masked: Masked, cases: int, wanted: Mapping[str, Tensor]
    ) -> Vectors:
        found: dict[str, list[Tensor]] = {t: [] for t in wanted}
        sizes = self.snapshot.sizes
        for case in range(cases):
            edges = dict(self.snapshot.edges)
            for key, cases_of in masked.case.items():
                mine = (cases_of == case) & (masked.weight[key] > 0.5)
                if mine.any():
                    gone = (
                        masked.target[key][mine] * sizes[key[0]]
                        + masked.source[key][mine]
                    )
                    edges[key] = edges[key][
                        :, _left(edges[key][1] * sizes[key[0]] + edges[key][0], gone)
                    ]
            out = self.model.message(
                self.snapshot, self.snapshot.all_rows, edges, self.texts
            )
            for kind, rows in wanted.items():
                found[kind].append(out[kind][rows])
        return {t: torch.stack(v) for t, v in found.items()}


def _left(keys: Tensor, gone: Tensor) -> Tensor:
    """Which edges stay when each of `gone` takes one edge of its key out."""
    order = keys.argsort(stable=True)
    ordered = keys[order]
    nth = torch.arange(len(keys), device=keys.device) - torch.searchsorted(
        ordered, ordered
    )
    gone = gone.sort().values
    many = torch.searchsorted(gone, ordered, right=True) - torch.searchsorted(
        gone, ordered
    )
    stays = torch.empty(len(keys), dtype=torch.bool, device=keys.device)
    stays[order] = nth >= many
    return stays


def find(keys: Tensor, among: Tensor) -> Tensor:
    """(n,) where each key stands among distinct ones, -1 where it does not."""
    ordered, order = among.sort()
    at = torch.searchsorted(ordered, keys).clamp(max=max(len(ordered) - 1, 0))
    return (
        torch.where(ordered[at] == keys, order[at], -1)
        if len(ordered)
        else torch.full_like(keys, -1)
    )


def _pick(
    changed: tuple[Tensor, Tensor, Tensor] | None,
    place: QueryItemPair,
    width: int,
    before: Tensor,
) -> Tensor:
    """(n, D) the changed vectors of (case, row) places, else those before."""
    case, rows = place
    if changed is None:
        return before[rows]
    at = find(case * width + rows, changed[0] * width + changed[1])
    return torch.where((at >= 0)[:, None], changed[2][at.clamp(min=0)], before[rows])
