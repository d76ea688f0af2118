"""A neighbour sampler over typed CSR graphs in plain torch, on the CPU or an accelerator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor
from torch_geometric.sampler import (
    BaseSampler,
    EdgeSamplerInput,
    HeteroSamplerOutput,
    NodeSamplerInput,
)

from kg.errors import InputError
from kg.events import EdgeKey


@dataclass(frozen=True)
class Subgraph:
    """A sampled neighbourhood, its nodes numbered anew.

    Attributes:
        rows: By node type, (n,) distinct rows of the graph: the seeds in their order, then hop
            by hop.
        edges: By relation, (2, e) places in `rows` of source and target; messages flow from
            source to target.
        edge_ids: By relation, (e,) places in the edge list that the sampler was built from.
        nodes_by_hop: By node type, how many of `rows` are seeds, were found in the first hop,
            and so on.
        edges_by_hop: By relation, how many of `edges` were sampled in each hop.
    """

    rows: dict[str, Tensor]
    edges: dict[EdgeKey, Tensor]
    edge_ids: dict[EdgeKey, Tensor]
    nodes_by_hop: dict[str, list[int]]
    edges_by_hop: dict[EdgeKey, list[int]]


class CSRSampler(BaseSampler):  # type: ignore[misc]
    """Samples in-neighbours of seeds, then of what was found, without replacement.

    A node with at most `fanout` in-edges of a relation keeps them all; of more, each set of
    `fanout` is as likely as any other (Floyd's algorithm). The cost of a call grows with the
    edges it samples, not with the graph's, but for one number a node.

    Args:
        edges: By relation, (2, E) source rows over target rows.
        sizes: By node type, how many nodes there are.
        fanout: Hop by hop, the most in-edges taken of a node and relation; -1 takes all.
        seed: Of the generator that is used where a call brings none.

    Raises:
        ValueError: A fanout is neither -1 nor positive, a relation's type has no size, or a
            row lies outside it.
    """

    def __init__(
        self,
        edges: Mapping[EdgeKey, Tensor],
        sizes: Mapping[str, int],
        fanout: Sequence[int],
        seed: int = 0,
    ) -> None:
        if not fanout or any(f < 1 and f != -1 for f in fanout):
            raise InputError(
                f"fanout = {list(fanout)}: one number a hop, positive or -1 for all",
                field="fanout",
            )
        self.sizes, self.fanout, self.seed = dict(sizes), tuple(fanout), seed
        self._starts: dict[EdgeKey, Tensor] = {}
        self._sources: dict[EdgeKey, Tensor] = {}
        self._ids: dict[EdgeKey, Tensor] = {}
        self.device = torch.device("cpu")
        for key, pair in edges.items():
            for rows, end in ((pair[0], key[0]), (pair[1], key[2])):
                if end not in sizes:
                    raise InputError(f"edges {key}: no size of {end!r}")
                if len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= sizes[end]):
                    raise InputError(
                        f"edges {key}: a row of {end!r} lies outside 0..{sizes[end] - 1}"
                    )
            self._ids[key] = torch.argsort(pair[1], stable=True)
            self._sources[key] = pair[0][self._ids[key]]
            degree = torch.bincount(pair[1], minlength=sizes[key[2]])
            self._starts[key] = torch.cat([degree.new_zeros(1), degree.cumsum(0)])
            self.device = pair.device
        self._generator = torch.Generator(self.device).manual_seed(seed)

    def to(self, device: torch.device | str) -> Self:
        """Move the graph; the generator starts anew there."""
        self.device = torch.device(device)
        for part in (self._starts, self._sources, self._ids):
            part.update({key: rows.to(self.device) for key, rows in part.items()})
        self._generator = torch.Generator(self.device).manual_seed(self.seed)
        return self

    def sample(
        self, seeds: Mapping[str, Tensor], generator: torch.Generator | None = None
    ) -> Subgraph:
        """The neighbourhood of (n,) distinct seeds by type.

        Raises:
            ValueError: A type is unknown, or its seeds repeat or lie outside the graph.
        """
        generator = generator or self._generator
        local = {
            t: torch.full((size,), -1, device=self.device)
            for t, size in self.sizes.items()
        }
        rows = {
            t: [torch.zeros(0, dtype=torch.int64, device=self.device)]
            for t in self.sizes
        }
        count = dict.fromkeys(self.sizes, 0)

        def add(node_type: str, new: Tensor) -> None:
            start, count[node_type] = count[node_type], count[node_type] + len(new)
            local[node_type][new] = torch.arange(
                start, count[node_type], device=self.device
            )
            rows[node_type].append(new)

        for node_type, given in seeds.items():
            if node_type not in self.sizes:
                raise InputError(
                    f"seeds of {node_type!r}; there are {', '.join(self.sizes)}"
                )
            given = given.to(self.device)
            if len(given) and (
                int(given.min()) < 0 or int(given.max()) >= self.sizes[node_type]
            ):
                raise InputError(
                    f"seeds of {node_type!r} lie outside 0..{self.sizes[node_type] - 1}"
                )
            add(node_type, given)
            if not torch.equal(
                local[node_type][given], torch.arange(len(given), device=self.device)
            ):
                raise InputError(f"seeds of {node_type!r} repeat")

        nodes_by_hop = {t: [c] for t, c in count.items()}
        parts: dict[EdgeKey, list[Tensor]] = {key: [] for key in self._starts}
        for fanout in self.fanout:
            frontier = {t: torch.cat(found) for t, found in rows.items()}
            frontier = {
                t: found[len(found) - nodes_by_hop[t][-1] :]
                for t, found in frontier.items()
            }
            first = {t: c - len(frontier[t]) for t, c in count.items()}
            for key, starts in self._starts.items():
                source, _, target = key
                start = starts[frontier[target]]
                owner, pick = _choose(
                    starts[frontier[target] + 1] - start, fanout, generator
                )
                place = start[owner] + pick
                found = self._sources[key][place]
                add(source, torch.unique(found[local[source][found] < 0]))
                parts[key].append(
                    torch.stack(
                        [
                            local[source][found],
                            owner + first[target],
                            self._ids[key][place],
                        ]
                    )
                )
            for node_type, c in count.items():
                nodes_by_hop[node_type].append(c - sum(nodes_by_hop[node_type]))
        joined = {key: torch.cat(part, 1) for key, part in parts.items()}
        return Subgraph(
            {t: torch.cat(found) for t, found in rows.items()},
            {key: part[:2] for key, part in joined.items()},
            {key: part[2] for key, part in joined.items()},
            nodes_by_hop,
            {key: [p.size(1) for p in part] for key, part in parts.items()},
        )

    def sample_from_nodes(
        self, index: NodeSamplerInput, **kwargs: Any
    ) -> HeteroSamplerOutput:
        """The neighbourhood of a NodeLoader's seeds, as PyTorch Geometric wants it."""
        if index.time is not None:
            raise InputError(
                "this sampler knows no time; cut the graph before it is built"
            )
        found = self.sample({index.input_type: index.node})
        return HeteroSamplerOutput(
            node=found.rows,
            row={key: pair[0] for key, pair in found.edges.items()},
            col={key: pair[1] for key, pair in found.edges.items()},
            edge=found.edge_ids,
            num_sampled_nodes=found.nodes_by_hop,
            num_sampled_edges=found.edges_by_hop,
            metadata=(index.input_id, None),
        )

    def sample_from_edges(
        self, index: EdgeSamplerInput, neg_sampling: Any = None
    ) -> HeteroSamplerOutput:
        """Not offered: sample the ends as nodes."""
        raise NotImplementedError(
            "this sampler starts from nodes: give the edges' ends to sample or NodeLoader"
        )


def _choose(
    degree: Tensor, fanout: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Of n nodes with (n,) in-edges each: (s,) chosen nodes and (s,) numbers of their edges."""
    take = degree if fanout < 0 else degree.clamp(max=fanout)
    owner = torch.repeat_interleave(take)
    pick = (
        torch.arange(len(owner), device=degree.device) - (take.cumsum(0) - take)[owner]
    )
    heavy = degree > take
    if bool(heavy.any()):
        last = degree[heavy] - fanout
        chance = torch.rand(
            len(last),
            fanout,
            generator=generator,
            dtype=torch.float64,
            device=degree.device,
        )
        chosen = torch.empty(len(last), fanout, dtype=torch.int64, device=degree.device)
        for i in range(fanout):
            draw = (chance[:, i] * (last + i + 1)).long()
            taken = (chosen[:, :i] == draw[:, None]).any(1)
            chosen[:, i] = torch.where(taken, last + i, draw)
        pick[heavy[owner]] = chosen.flatten()
    return owner, pick
