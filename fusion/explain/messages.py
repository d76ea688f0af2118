"""Messages: a few nodes' vectors had some edges carried no message, for many such cases at once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType

import torch
from torch import Tensor, nn

from encoders.graph.layers import Convolutions, Propagation
from fusion.explain.lookup import (
    CaseRows,
    CaseVectors,
    IncomingEdges,
    Moved,
    find,
    vectors_at,
)
from fusion.explain.masks import Masked
from fusion.explain.whole import Vectors, whole_passes
from fusion.model.hybrid import Hybrid
from fusion.model.snapshot import GraphSnapshot
from kg.events import EdgeKey

Changed = dict[str, CaseVectors]  # by type


class Messages:
    """What the GNN makes of a graph snapshot, and of it without some edges.

    A mean of messages without one of them is known from the whole, so that a case costs what
    its edges touch, not a
    pass over the graph: in the first layer the ends of masked edges change, in the second what
    is asked for. This is exact for mean aggregation (GraphSAGE, LightGCN) of at most two
    layers; any other GNN is run whole, a pass a case.

    Args:
        model: With a GNN.
        snapshot: Whose edges.
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
        # What the last layer gives is computed where it is asked for.
        for layer in range(len(self) - 1):
            before = seen[-1]
            sums, count = {}, {}
            for key, incoming in self._incoming.items():
                sums[key] = incoming.sums(before[key[0]], rows[key[2]])
                count[key] = incoming.degree(rows[key[2]]).float()
            with torch.no_grad():
                after = {
                    kind: self._layer(layer, kind, x, sums, count)
                    for kind, x in before.items()
                }
            seen.append(after)
        return seen

    def __len__(self) -> int:
        gnn = self.model.gnn
        assert isinstance(gnn, Convolutions | Propagation)
        return gnn.layers

    @cached_property
    def _incoming(self) -> dict[EdgeKey, IncomingEdges]:
        sizes, known = self.snapshot.sizes, getattr(self.model.gnn, "edge_keys", ())
        edges = self.snapshot.edges
        return {
            k: IncomingEdges(edges[k], (sizes[k[0]], sizes[k[2]]))
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
        none = torch.zeros(len(x), 1, device=x.device)
        relations = torch.stack([*some.values(), none]).sum(0)
        means = {}
        for k in keys:
            many = count[k].clamp(min=1)[:, None]
            means[k] = sums[k] / many * some[k]
        if isinstance(gnn, Propagation):
            mixed = torch.stack([*means.values(), torch.zeros_like(x)]).sum(0)
            mixed = mixed / relations.clamp(min=1)
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
            return whole_passes(
                self.model,
                self.snapshot,
                self.texts,
                masked,
                cases,
                wanted,
            )
        device = self.snapshot.device
        case = torch.arange(cases, device=device)
        every = {
            kind: (case.repeat_interleave(len(rows)), rows.repeat(cases))
            for kind, rows in wanted.items()
        }
        changed: Changed = {}
        if len(self) > 1:
            changed = {
                kind: (*place, self._at(0, kind, place, changed, masked))
                for kind, place in self._ends(masked).items()
            }
        spread = isinstance(self.model.gnn, Propagation)
        out = {}
        for kind, rows in wanted.items():
            place, known, moved = self._places(kind, rows, cases, changed, masked)
            last = self._at(len(self) - 1, kind, place, changed, masked, moved)[known]
            if spread:  # its vectors are the mean of what all layers give
                total = self._before_last(kind, every[kind], changed)
                last = (total + last) / (len(self) + 1)
            out[kind] = last.view(cases, len(rows), -1)
        return out

    def _before_last(self, kind: str, place: CaseRows, changed: Changed) -> Tensor:
        """(P, D) the sum of the vectors at some places before each layer."""
        total = self._layers[0][kind][place[1]]
        if len(self) > 1:
            before = self._layers[1][kind]
            total = total + vectors_at(
                changed.get(kind), place, self._wide(kind), before
            )
        return total

    def _wide(self, kind: str) -> int:
        return self.snapshot.sizes[kind]

    def _ends(self, masked: Masked) -> dict[str, CaseRows]:
        """The targets of masked edges, each once in a case."""
        found: dict[str, list[Tensor]] = {}
        for key, case in masked.case.items():
            ends = case * self._wide(key[2]) + masked.target[key]
            found.setdefault(key[2], []).append(ends)
        places = {}
        for kind, parts in found.items():
            keys = torch.unique(torch.cat(parts))
            places[kind] = keys // self._wide(kind), keys % self._wide(kind)
        return places

    def _places(
        self,
        kind: str,
        rows: Tensor,
        cases: int,
        changed: Changed,
        masked: Masked,
    ) -> tuple[CaseRows, Tensor, dict[EdgeKey, Moved]]:
        """Where the last layer must look: what cases touch, and the wanted rows of the whole graph.

        Returns:
            (P,) cases, V for the whole graph, and rows; (V * n,) which of these each row takes
            in each case; and by relation the messages that moved.
        """
        wide, many = self._wide(kind), len(rows)
        case = torch.arange(cases, device=rows.device)
        own = case.repeat_interleave(many) * wide + rows.repeat(cases)
        touched_by = [own.new_zeros(0)]
        for key, masked_case in masked.case.items():
            if key[2] == kind:
                touched_by.append(find(masked_case * wide + masked.target[key], own))
        if kind in changed:
            touched_by.append(find(changed[kind][0] * wide + changed[kind][1], own))
        moved = self._moved(kind, rows, changed)
        touched_by += [message.place for message in moved.values()]
        touched = torch.unique(torch.cat(touched_by))
        touched = touched[touched >= 0]
        known = len(touched) + torch.arange(many, device=rows.device).repeat(cases)
        known[touched] = torch.arange(len(touched), device=rows.device)
        place = (
            torch.cat([touched // many, own.new_full((many,), cases)]),
            torch.cat([rows[touched % many], rows]),
        )
        looked_at = {
            key: message._replace(place=known[message.place])
            for key, message in moved.items()
        }
        return place, known, looked_at

    def _moved(self, kind: str, rows: Tensor, changed: Changed) -> dict[EdgeKey, Moved]:
        """By relation, the messages from changed sources to the wanted rows, V * n of them."""
        moved = {}
        for key, incoming in self._incoming.items():
            if key[2] != kind or key[0] not in changed:
                continue
            case, sources, _ = changed[key[0]]
            count = incoming.count(sources[:, None], rows[None])
            source, target = count.nonzero(as_tuple=True)
            place = case[source] * len(rows) + target
            moved[key] = Moved(place, source, count[source, target])
        return moved

    def _at(
        self,
        layer: int,
        kind: str,
        place: CaseRows,
        changed: Changed,
        masked: Masked,
        moved: Mapping[EdgeKey, Moved] = MappingProxyType({}),
    ) -> Tensor:
        """(P, D) what a layer gives at (case, row) places of a type."""
        before = self._layers[layer]
        rows = place[1]
        x = vectors_at(changed.get(kind), place, self._wide(kind), before[kind])
        distinct, back = torch.unique(rows, return_inverse=True)
        sums, count = {}, {}
        for key, incoming in self._incoming.items():
            if key[2] != kind:
                continue
            with torch.no_grad():
                total = incoming.sums(before[key[0]], distinct)[back]
            many = incoming.degree(rows).float()
            if key in moved:
                _, sources, now = changed[key[0]]
                shift = (now - before[key[0]][sources])[moved[key].source]
                times = moved[key].times[:, None]
                total = total.index_add(0, moved[key].place, times * shift)
            if key in masked.case:
                at, gone, weight = self._gone(key, place, masked)
                sent = vectors_at(
                    changed.get(key[0]), gone, self._wide(key[0]), before[key[0]]
                )
                total = total.index_add(0, at, -weight[:, None] * sent)
                many = many.index_add(0, at, -weight)
            sums[key], count[key] = total, many
        return self._layer(layer, kind, x, sums, count)

    def _gone(
        self, key: EdgeKey, place: CaseRows, masked: Masked
    ) -> tuple[Tensor, CaseRows, Tensor]:
        """Of a relation's masked edges that end at some places: which place, source, weight."""
        wide = self._wide(key[2])
        ends = masked.case[key] * wide + masked.target[key]
        at = find(ends, place[0] * wide + place[1])
        inside = at >= 0
        source = masked.case[key][inside], masked.source[key][inside]
        return at[inside], source, masked.weight[key][inside]
