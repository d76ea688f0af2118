"""Graph to vectors: heterogeneous GNNs over typed edge lists."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch_geometric.nn import GATv2Conv, SAGEConv, SimpleConv

from kg.errors import InputError
from kg.events import EdgeKey

Vectors = dict[str, Tensor]

# torch says once a process that sparse matrices are young; here is that once.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor([0, 0], [], [], (1, 1), check_invariants=False)


@dataclass(frozen=True)
class Sage:
    """GraphSAGE with mean aggregation (arXiv 1706.02216), a weight matrix a relation.

    Attributes:
        layers: Hops that a node sees.
        dropout: Of what a layer adds, in training.
    """

    layers: int = 2
    dropout: float = 0.0

    def __post_init__(self) -> None:
        _check(self.layers, self.dropout)

    def build(
        self,
        embedding_dim: int,
        edge_keys: Sequence[EdgeKey],
        node_types: Sequence[str],
    ) -> nn.Module:
        """The module, for vectors of D numbers."""
        pair = (embedding_dim, embedding_dim)
        conv = partial(SAGEConv, pair, embedding_dim, root_weight=False, bias=False)
        return Convolutions(
            embedding_dim,
            edge_keys,
            node_types,
            conv,
            self.layers,
            self.dropout,
            sparse=True,
        )


@dataclass(frozen=True)
class Attention:
    """GATv2 (arXiv 2105.14491), attention heads of their own a relation.

    On a CPU it takes ten times as long as Sage.

    Attributes:
        layers: Hops that a node sees.
        heads: Attention heads; they must divide embedding_dim.
        dropout: Of what a layer adds and of attention, in training.
    """

    layers: int = 2
    heads: int = 4
    dropout: float = 0.0

    def __post_init__(self) -> None:
        _check(self.layers, self.dropout)
        if self.heads < 1:
            raise InputError(f"heads = {self.heads}: it is at least 1", field="heads")

    def build(
        self,
        embedding_dim: int,
        edge_keys: Sequence[EdgeKey],
        node_types: Sequence[str],
    ) -> nn.Module:
        """The module, for vectors of D numbers; ValueError where heads do not divide it."""
        if embedding_dim % self.heads:
            raise InputError(
                f"heads = {self.heads} do not divide embedding_dim = {embedding_dim}",
                field="heads",
            )
        conv = partial(
            GATv2Conv,
            (embedding_dim, embedding_dim),
            embedding_dim // self.heads,
            heads=self.heads,
            dropout=self.dropout,
            add_self_loops=False,
            bias=False,
        )
        return Convolutions(
            embedding_dim,
            edge_keys,
            node_types,
            conv,
            self.layers,
            self.dropout,
            sparse=False,
        )


@dataclass(frozen=True)
class LightGCN:
    """Propagation with no weights, all layers averaged (arXiv 2002.02126).

    Normalised by the target's degree only: a source's degree is not known in a sampled
    neighbourhood, and with it the vectors of training would not be those of the whole graph.

    Attributes:
        layers: Hops that a node sees.
    """

    layers: int = 2

    def __post_init__(self) -> None:
        _check(self.layers, 0.0)

    def build(
        self,
        embedding_dim: int,
        edge_keys: Sequence[EdgeKey],
        node_types: Sequence[str],
    ) -> nn.Module:
        """The module; it serves any embedding_dim."""
        return Propagation(edge_keys, self.layers)


GraphConfig = Sage | Attention | LightGCN


class Convolutions(nn.Module):
    """Residual layers that average one convolution a relation.

    x_t <- LayerNorm(x_t + ReLU(W_t x_t + mean over relations of conv_r(x_source, x_t))).

    The mean goes over the relations by which a node has neighbours, so a node with none keeps
    a vector of its own.

    Args:
        embedding_dim: D.
        edge_keys: The relations.
        node_types: The node types.
        conv: Makes the convolution of one relation.
        layers: How many.
        dropout: Of what a layer adds.
        sparse: Whether the convolutions take sparse matrices, several times faster than lists
            of edges.
    """

    def __init__(
        self,
        embedding_dim: int,
        edge_keys: Sequence[EdgeKey],
        node_types: Sequence[str],
        conv: Callable[[], nn.Module],
        layers: int,
        dropout: float,
        sparse: bool,
    ) -> None:
        super().__init__()
        self.edge_keys, self.layers, self.sparse = tuple(edge_keys), layers, sparse
        hops = range(layers)
        # a name with a space is no attribute of ModuleDict, as the type "items" would be
        self.convs = nn.ModuleDict(
            {f"{h} {' '.join(key)}": conv() for h in hops for key in edge_keys}
        )
        self.own = nn.ModuleDict(
            {
                f"{h} {t}": nn.Linear(embedding_dim, embedding_dim)
                for h in hops
                for t in node_types
            }
        )
        self.norms = nn.ModuleDict(
            {f"{h} {t}": nn.LayerNorm(embedding_dim) for h in hops for t in node_types}
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Vectors, edges: Mapping[EdgeKey, Tensor]) -> Vectors:
        """(N_t, D) vectors a type and (2, E) edges a relation to (N_t, D) vectors a type.

        Edges are source rows over target rows.
        """
        relations = _relations(x, edges, self.edge_keys, self.sparse)
        x = {t: v.float() for t, v in x.items()}
        for hop in range(self.layers):
            sums = {t: self.own[f"{hop} {t}"](v) for t, v in x.items()}
            for (source, name, target), (links, share) in relations.items():
                message = self.convs[f"{hop} {source} {name} {target}"](
                    (x[source], x[target]), links
                )
                sums[target] = sums[target] + message * share
            x = {
                t: self.norms[f"{hop} {t}"](v + self.dropout(sums[t].relu()))
                for t, v in x.items()
            }
        return x


class Propagation(nn.Module):
    """Layers without weights, all averaged.

    x_t <- mean over relations of the neighbours' mean, or x_t where there are none.

    Args:
        edge_keys: The relations.
        layers: How many.
    """

    def __init__(self, edge_keys: Sequence[EdgeKey], layers: int) -> None:
        super().__init__()
        self.edge_keys, self.layers = tuple(edge_keys), layers
        self.conv = SimpleConv(aggr="mean")

    def forward(self, x: Vectors, edges: Mapping[EdgeKey, Tensor]) -> Vectors:
        """(N_t, D) vectors a type and (2, E) edges a relation to (N_t, D) vectors a type.

        Edges are source rows over target rows.
        """
        relations = _relations(x, edges, self.edge_keys, sparse=True)
        x = {t: v.float() for t, v in x.items()}
        total, alone = dict(x), {t: v.new_ones(len(v), 1) for t, v in x.items()}
        for (_, _, target), (_, share) in relations.items():
            alone[target] = alone[target] - share
        for _ in range(self.layers):
            sums = {t: v * alone[t].round() for t, v in x.items()}
            for (source, _, target), (links, share) in relations.items():
                sums[target] = (
                    sums[target] + self.conv((x[source], x[target]), links) * share
                )
            x = sums
            total = {t: v + x[t] for t, v in total.items()}
        return {t: v / (self.layers + 1) for t, v in total.items()}


def _relations(
    x: Vectors, edges: Mapping[EdgeKey, Tensor], known: Sequence[EdgeKey], sparse: bool
) -> dict[EdgeKey, tuple[Tensor, Tensor]]:
    """By relation: its edges for a convolution, and (N_t, 1) its share in the mean."""
    if unknown := set(edges) - set(known):
        raise InputError(f"the GNN was not built for the edges {sorted(unknown)}")
    links, present = {}, {}
    for key in known:
        if key not in edges or not edges[key].size(1):
            continue
        (source, target), sizes = edges[key], (len(x[key[0]]), len(x[key[2]]))
        for rows, end, size in ((source, key[0], sizes[0]), (target, key[2], sizes[1])):
            if int(rows.min()) < 0 or int(rows.max()) >= size:
                raise InputError(
                    f"edges {key}: a row of {end} lies outside 0..{size - 1}"
                )
        degree = torch.bincount(target, minlength=sizes[1])
        present[key] = (degree > 0).float().unsqueeze(1)
        links[key] = _matrix(source, target, degree, sizes) if sparse else edges[key]
    count: Vectors = {}
    for key, has in present.items():
        count[key[2]] = count.get(key[2], 0) + has
    return {
        key: (links[key], has / count[key[2]].clamp(min=1))
        for key, has in present.items()
    }


def _matrix(
    source: Tensor, target: Tensor, degree: Tensor, sizes: tuple[int, int]
) -> Tensor:
    order = torch.argsort(
        target * sizes[0] + source
    )  # columns in order, so that sums do not hang on the edges' order
    starts = torch.cat([degree.new_zeros(1), degree.cumsum(0)])
    ones = torch.ones(len(source), device=source.device)
    return torch.sparse_csr_tensor(
        starts, source[order], ones, (sizes[1], sizes[0]), check_invariants=False
    )


def _check(layers: int, dropout: float) -> None:
    if layers < 1:
        raise InputError(f"layers = {layers}: it is at least 1", field="layers")
    if not 0 <= dropout < 1:
        raise InputError(
            f"dropout = {dropout}: it is at least 0 and below 1", field="dropout"
        )
