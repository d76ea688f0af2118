"""Messages: the vectors of a few nodes had some edges carried no message, for many such cases at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from encoders.graph import Convolutions, Propagation
from fusion.model import Hybrid
from fusion.world import World
from kg.graph import EdgeKey

Vectors = dict[str, Tensor]


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
        self.starts = torch.searchsorted(self.key, torch.arange(sizes[1] + 1, device=edge.device) * sizes[0])

    def degree(self, rows: Tensor) -> Tensor:
        return self.starts[rows + 1] - self.starts[rows]

    def sums(self, x: Tensor, rows: Tensor) -> Tensor:
        """(n, D) sums over the sources of some targets."""
        count = self.degree(rows)
        place = torch.arange(int(count.sum()), device=rows.device)
        place = place + (self.starts[rows] - count.cumsum(0) + count).repeat_interleave(count)
        owner = torch.arange(len(rows), device=rows.device).repeat_interleave(count)
        matrix = torch.sparse_coo_tensor(
            torch.stack([owner, self.key[place] % self.width]), torch.ones(len(owner), device=x.device),
            (len(rows), len(x)), check_invariants=False,
        )  # fmt: skip
        found: Tensor = torch.sparse.mm(matrix, x)
        return found

    def count(self, source: Tensor, target: Tensor) -> Tensor:
        """(n,) how many edges go from each source to each target."""
        key = target * self.width + source
        return torch.searchsorted(self.key, key, right=True) - torch.searchsorted(self.key, key)


class Messages:
    """What the GNN makes of a world, and of it without some edges.

    A mean of messages without one of them is known from the whole, so that a case costs what its edges touch, not a
    pass over the graph: in the first layer the ends of masked edges change, in the second what is asked for. This is
    exact for mean aggregation (GraphSAGE, LightGCN) of at most two layers; any other GNN is run whole, a pass a case.

    Args:
        model: With a GNN.
        world: Whose edges.
        texts: (U, D) of its distinct texts, None where texts are not used.
    """

    def __init__(self, model: Hybrid, world: World, texts: Tensor | None) -> None:
        self.model, self.world, self.texts = model, world, texts
        gnn = model.gnn
        self._mean = isinstance(gnn, Propagation) or (isinstance(gnn, Convolutions) and gnn.sparse)
        self.local = self._mean and isinstance(gnn, Convolutions | Propagation) and gnn.layers <= 2

    @cached_property
    def _layers(self) -> list[Vectors]:
        """Every node's vectors before each layer, and after the last."""
        gnn = self.model.gnn
        assert gnn is not None
        seen: list[Vectors] = []
        hook = gnn.register_forward_pre_hook(lambda _, given: seen.append({t: v.float() for t, v in given[0].items()}))
        with torch.no_grad():
            self.model.message(self.world, self.world.all_rows, self.world.edges, self.texts)
        hook.remove()
        rows = self.world.all_rows
        for layer in range(len(self) - 1):  # what the last layer gives is computed where it is asked for
            sums = {k: i.sums(seen[-1][k[0]], rows[k[2]]) for k, i in self._incoming.items()}
            count = {k: i.degree(rows[k[2]]).float() for k, i in self._incoming.items()}
            with torch.no_grad():
                seen.append({t: self._layer(layer, t, v, sums, count) for t, v in seen[-1].items()})
        return seen

    def __len__(self) -> int:
        gnn = self.model.gnn
        assert isinstance(gnn, Convolutions | Propagation)
        return gnn.layers

    @cached_property
    def _incoming(self) -> dict[EdgeKey, _Incoming]:
        sizes, known = self.world.sizes, getattr(self.model.gnn, "edge_keys", ())
        edges = self.world.edges
        return {k: _Incoming(edges[k], (sizes[k[0]], sizes[k[2]])) for k in known if k in edges and edges[k].size(1)}

    def _layer(
        self, layer: int, kind: str, x: Tensor, sums: Mapping[EdgeKey, Tensor], count: Mapping[EdgeKey, Tensor]
    ) -> Tensor:
        """One layer for n nodes of a type, from the sums and counts of their messages."""
        gnn = self.model.gnn
        keys = [k for k in self._incoming if k[2] == kind]
        some = {k: (count[k] > 0.5).float()[:, None] for k in keys}
        relations = torch.stack([*some.values(), torch.zeros(len(x), 1, device=x.device)]).sum(0)
        means = {k: sums[k] / count[k].clamp(min=1)[:, None] * some[k] for k in keys}
        if isinstance(gnn, Propagation):
            mixed = torch.stack([*means.values(), torch.zeros_like(x)]).sum(0) / relations.clamp(min=1)
            return torch.where(relations > 0, mixed, x)
        assert isinstance(gnn, Convolutions)
        total: Tensor = gnn.own[f"{layer} {kind}"](x)
        for key, mean in means.items():
            linear = gnn.convs[f"{layer} {' '.join(key)}"].lin_l
            assert isinstance(linear, nn.Module)
            total = total + linear(mean) / relations.clamp(min=1)
        out: Tensor = gnn.norms[f"{layer} {kind}"](x + total.relu())
        return out

    def without(self, masked: Masked, cases: int, wanted: Mapping[str, Tensor]) -> Vectors:
        """(V, n, D) by type: the vectors of the wanted rows in each case."""
        if not self.local:
            return self._whole(masked, cases, wanted)
        device = self.world.device
        every = {t: (torch.arange(cases, device=device).repeat_interleave(len(r)), r.repeat(cases))
                 for t, r in wanted.items()}  # fmt: skip
        changed: dict[str, tuple[Tensor, Tensor, Tensor]] = {}
        total: Vectors = {}
        for layer in range(len(self)):
            last = layer == len(self) - 1
            before = self._layers[layer]
            places = every if last else self._touched(masked, every)
            if layer == 0 and isinstance(self.model.gnn, Propagation):
                total = {t: before[t][rows] for t, (_, rows) in every.items()}
            found = {t: self._at(layer, t, *place, before, changed, masked) for t, place in places.items()}
            changed = {t: (*places[t], x) for t, x in found.items()}
            if isinstance(self.model.gnn, Propagation):
                mine = {t: _pick(changed[t], place, self._wide(t)) for t, place in every.items()}
                total = {t: v + mine[t] for t, v in total.items()}
        out = {t: changed[t][2] for t in every} if not total else {t: v / (len(self) + 1) for t, v in total.items()}
        return {t: out[t].view(cases, len(r), -1) for t, r in wanted.items()}

    def _wide(self, kind: str) -> int:
        return self.world.sizes[kind]

    def _touched(self, masked: Masked, every: dict[str, tuple[Tensor, Tensor]]) -> dict[str, tuple[Tensor, Tensor]]:
        """The places that the next layer may not take from the whole graph: masked edges' ends, and what is wanted."""
        found: dict[str, list[Tensor]] = {t: [case * self._wide(t) + rows] for t, (case, rows) in every.items()}
        for key, case in masked.case.items():
            found.setdefault(key[2], []).append(case * self._wide(key[2]) + masked.target[key])
        places = {}
        for kind, parts in found.items():
            keys = torch.unique(torch.cat(parts))
            places[kind] = (keys // self._wide(kind), keys % self._wide(kind))
        return places

    def _at(
        self, layer: int, kind: str, case: Tensor, rows: Tensor, before: Vectors,
        changed: dict[str, tuple[Tensor, Tensor, Tensor]], masked: Masked,
    ) -> Tensor:  # fmt: skip
        """(n, D) what a layer gives at (case, row) places of a type."""
        x = _pick(changed.get(kind), (case, rows), self._wide(kind), before[kind])
        distinct, back = torch.unique(rows, return_inverse=True)
        sums, count = {}, {}
        for key, incoming in self._incoming.items():
            if key[2] != kind:
                continue
            with torch.no_grad():
                base = incoming.sums(before[key[0]], distinct)
            total, many = base[back], incoming.degree(rows).float()
            if key[0] in changed:
                total = total + self._moved(incoming, case, rows, changed[key[0]], before[key[0]])
            if key in masked.case:
                at = _find(masked.case[key] * self._wide(kind) + masked.target[key], case * self._wide(kind) + rows)
                mine = at >= 0
                gone = (masked.case[key][mine], masked.source[key][mine])
                weight = masked.weight[key][mine]
                sent = _pick(changed.get(key[0]), gone, self._wide(key[0]), before[key[0]])
                total = total.index_add(0, at[mine], -weight[:, None] * sent)
                many = many.index_add(0, at[mine], -weight)
            sums[key], count[key] = total, many
        return self._layer(layer, kind, x, sums, count)

    def _moved(
        self, incoming: _Incoming, case: Tensor, rows: Tensor, changed: tuple[Tensor, Tensor, Tensor], before: Tensor
    ) -> Tensor:
        """(n, D) by how much the sums of messages moved, since sources changed in the same case."""
        theirs, sources, now = changed
        out = torch.zeros(len(rows), now.shape[1], device=now.device)
        left, right = (case[:, None] == theirs[None, :]).nonzero(as_tuple=True)
        many = incoming.count(sources[right], rows[left])
        there = many > 0
        left, right, many = left[there], right[there], many[there]
        return out.index_add(0, left, many[:, None] * (now[right] - before[sources[right]]))

    @torch.no_grad()
    def _whole(self, masked: Masked, cases: int, wanted: Mapping[str, Tensor]) -> Vectors:
        found: dict[str, list[Tensor]] = {t: [] for t in wanted}
        sizes = self.world.sizes
        for case in range(cases):
            edges = dict(self.world.edges)
            for key, cases_of in masked.case.items():
                mine = (cases_of == case) & (masked.weight[key] > 0.5)
                if mine.any():
                    gone = masked.target[key][mine] * sizes[key[0]] + masked.source[key][mine]
                    edges[key] = edges[key][:, _left(edges[key][1] * sizes[key[0]] + edges[key][0], gone)]
            out = self.model.message(self.world, self.world.all_rows, edges, self.texts)
            for kind, rows in wanted.items():
                found[kind].append(out[kind][rows])
        return {t: torch.stack(v) for t, v in found.items()}


def _left(keys: Tensor, gone: Tensor) -> Tensor:
    """Which edges stay when each of `gone` takes one edge of its key out."""
    order = keys.argsort(stable=True)
    ordered = keys[order]
    nth = torch.arange(len(keys), device=keys.device) - torch.searchsorted(ordered, ordered)
    gone = gone.sort().values
    many = torch.searchsorted(gone, ordered, right=True) - torch.searchsorted(gone, ordered)
    stays = torch.empty(len(keys), dtype=torch.bool, device=keys.device)
    stays[order] = nth >= many
    return stays


def _find(keys: Tensor, among: Tensor) -> Tensor:
    """(n,) where each key stands among distinct ones, -1 where it does not."""
    ordered, order = among.sort()
    at = torch.searchsorted(ordered, keys).clamp(max=max(len(ordered) - 1, 0))
    return torch.where(ordered[at] == keys, order[at], -1) if len(ordered) else torch.full_like(keys, -1)


def _pick(
    changed: tuple[Tensor, Tensor, Tensor] | None,
    place: tuple[Tensor, Tensor],
    width: int,
    before: Tensor | None = None,
) -> Tensor:
    """(n, D) the changed vectors of (case, row) places, else those before."""
    case, rows = place
    if changed is None:
        assert before is not None
        return before[rows]
    at = _find(case * width + rows, changed[0] * width + changed[1])
    found = changed[2][at.clamp(min=0)]
    return found if before is None else torch.where((at >= 0)[:, None], found, before[rows])
