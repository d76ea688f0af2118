"""The model: text and graph vectors through the gate, asks through the context, and the shared score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from encoders.graph.layers import GraphConfig, NodeInputs, Sage
from encoders.text.encoder import TextEncoder
from encoders.text.source import TextSource
from fusion.model.config import FusionConfig
from fusion.model.context import ITEM, USER, WORDS, ContextEncoder
from fusion.model.gate import FUSIONS
from fusion.model.head import FeatureHead
from fusion.model.snapshot import GraphSnapshot
from fusion.query_batch import QueryBatch
from kg.graph import EdgeKey

FEW = 8  # times dearer is a product with a gathered row than with one in place


class Nodes(NamedTuple):
    """Vectors of N nodes of a type: (N, D) fused, graph and text, all of length 1 or 0, and (N,) text weight."""

    fused: Tensor
    graph: Tensor
    text: Tensor
    share: Tensor

    def through(self, rows: Tensor, live: Nodes) -> Nodes:
        """The same values; the gradient of some rows flows to live (a straight-through estimate)."""
        pairs = zip(self, live, strict=True)
        return Nodes(
            *(
                old.index_add(0, rows, (new - new.detach()).to(old.dtype))
                for old, new in pairs
            )
        )


@dataclass
class EmbeddingCache:
    """The latest vectors, without gradient: of the distinct texts (U, D), and of a world's items and users."""

    text: Tensor
    items: Nodes
    users: Nodes

    def to(self, device: torch.device | str) -> EmbeddingCache:
        """The same on a device."""
        sides = (
            Nodes(*(part.to(device) for part in side))
            for side in (self.items, self.users)
        )
        return EmbeddingCache(self.text.to(device), *sides)


class Candidates(NamedTuple):
    """What B queries' scores are made of.

    Attributes:
        rows: (B, C) candidate rows, -1 where there are fewer; ascending.
        vector: (B, I) the vector part for the whole catalogue; what is no answer is -inf.
        phi: (B, C, F) the counts.
        similarities: (B, C, 3) fused, text and graph.
    """

    rows: Tensor
    vector: Tensor
    phi: Tensor
    similarities: Tensor


class Scores(NamedTuple):
    """What the model says of B queries: as Candidates, and (B, C) the score, -inf where there is no candidate."""

    rows: Tensor
    score: Tensor
    vector: Tensor
    phi: Tensor
    similarities: Tensor


class Hybrid(nn.Module):
    """score(ask, item) = <context(ask), z_item> / tau + m(phi(ask, item)), and the parts it is made of.

    Of all but what the counts alone say, a share may be kept (fusion.training.shrinkage).

    Args:
        config: The shape.
        text: BERT, None where texts are not used.
        gnn: The GNN's config.
        sizes: Nodes by type.
        keys: The message edges' types.
        types: (user or None, item) type names.
        paths: F, metapath counts; 0 where they are not used.
        learned: By type, how many nodes have a vector of their own; all where None.
    """

    def __init__(
        self,
        config: FusionConfig,
        text: TextEncoder | None,
        gnn: GraphConfig | None,
        sizes: dict[str, int],
        keys: Sequence[EdgeKey],
        types: tuple[str | None, str],
        paths: int,
        learned: dict[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.config, self.types = config, types
        self.text = text if config.text else None
        self.inputs: NodeInputs | None = None
        self.gnn: nn.Module | None = None
        if config.graph:
            self.inputs = NodeInputs(
                config.embedding_dim, list(sizes), sizes if learned is None else learned
            )
            self.gnn = (gnn or Sage()).build(
                config.embedding_dim, list(keys), list(sizes)
            )
        self.gate = FUSIONS[config.fuse](config.embedding_dim, config.modality_drop)
        self.context = ContextEncoder(config.embedding_dim)
        self.head = (
            FeatureHead(paths, 3, config.hidden, config.head_dropout)
            if config.paths
            else None
        )
        # 1/tau: one for the search over the catalogue, one for the vectors' say in the score
        # beside the counts.
        self.log_scale = nn.Parameter(torch.tensor(2.5))
        self.log_weight = nn.Parameter(torch.tensor(0.0 if config.paths else 2.5))
        # What is kept of the vectors' say beside the counts, for queries without words and with
        # (fusion.training.shrinkage).
        self.kept: Tensor
        self.register_buffer("kept", torch.ones(2))

    def nodes(
        self,
        snapshot: GraphSnapshot,
        kind: str,
        rows: Tensor,
        graph: Tensor | None,
        texts: Tensor | None,
    ) -> Nodes:
        """Fuse the vectors of some nodes: graph (N, D) from the GNN, texts (U, D) of the distinct texts."""
        distinct = snapshot.distinct[kind][rows]
        words = distinct >= 0
        some = graph if graph is not None else texts
        assert some is not None
        blank = torch.zeros(len(rows), self.config.embedding_dim, device=rows.device)
        text = blank
        if texts is not None and len(texts):
            text = nn.functional.normalize(
                torch.where(words[:, None], texts[distinct.clamp(min=0)], 0), dim=1
            )
        if graph is None:
            return Nodes(text, blank, text, words.float())
        if texts is None:
            words = torch.zeros_like(words)
        fused, share = self.gate(graph, text, snapshot.degree[kind][rows], words)
        return Nodes(fused, nn.functional.normalize(graph, dim=1), text, share)

    def message(
        self,
        snapshot: GraphSnapshot,
        rows: dict[str, Tensor],
        edges: dict[EdgeKey, Tensor],
        texts: Tensor | None,
    ) -> dict[str, Tensor]:
        """The GNN over a (sub)graph: rows by type to (N, D) by type."""
        assert self.inputs is not None and self.gnn is not None
        x = {}
        for kind, chosen in rows.items():
            distinct = snapshot.distinct[kind][chosen]
            has = (
                distinct >= 0
                if texts is not None
                else torch.zeros_like(distinct, dtype=torch.bool)
            )
            text = (
                texts[distinct.clamp(min=0)]
                if texts is not None and len(texts)
                else None
            )
            keep = None
            if kind == snapshot.item:
                keep = snapshot.seen_items[chosen]
                if self.training and self.config.id_drop:
                    keep = keep & (
                        torch.rand(len(chosen), device=chosen.device)
                        >= self.config.id_drop
                    )
            x[kind] = self.inputs(kind, chosen, text, has, keep)
        out: dict[str, Tensor] = self.gnn(x, edges)
        return out

    @torch.no_grad()
    def encode(self, snapshot: GraphSnapshot, texts: Tensor | None) -> EmbeddingCache:
        """Every item and user of a world: the vectors that are served."""
        training = self.training
        self.eval()
        rows = snapshot.all_rows
        out = (
            self.message(snapshot, rows, snapshot.edges, texts)
            if self.gnn is not None
            else {}
        )
        user, item = self.types
        items = self._side(snapshot, item, rows, out, texts)
        users = (
            self._side(snapshot, user, rows, out, texts)
            if user
            else self._none(snapshot)
        )
        self.train(training)
        blank = torch.zeros(0, self.config.embedding_dim, device=snapshot.device)
        return EmbeddingCache(texts if texts is not None else blank, items, users)

    def _side(
        self,
        snapshot: GraphSnapshot,
        kind: str,
        rows: dict[str, Tensor],
        out: dict[str, Tensor],
        texts: Tensor | None,
    ) -> Nodes:
        if not self.config.vectors:
            return self._none(snapshot, snapshot.sizes[kind])
        return self.nodes(snapshot, kind, rows[kind], out.get(kind), texts)

    def _none(self, snapshot: GraphSnapshot, size: int = 0) -> Nodes:
        blank = torch.zeros(size, self.config.embedding_dim, device=snapshot.device)
        return Nodes(blank, blank, blank, torch.zeros(size, device=snapshot.device))

    def query_vectors(
        self, queries: QueryBatch, items: Nodes, users: Nodes, words: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(B, D) an query's vector, and its plain mean in text and in graph space; words (B, D), 0 where it has none."""
        device = words.device
        rows = queries.to(device)
        hand, owner, user = rows.context, rows.owners, rows.users
        known = (user >= 0).nonzero().squeeze(1) if len(users.fused) else user[:0]
        spoken = words.abs().sum(1).nonzero().squeeze(1)
        words = nn.functional.normalize(words, dim=1)
        parts = [
            (users.fused[user[known]], USER, known),
            (items.fused[hand], ITEM, owner),
        ]
        parts.append((words[spoken], WORDS, spoken))
        vectors = torch.cat([p[0] for p in parts])
        kinds = torch.cat([torch.full_like(p[2], p[1]) for p in parts])
        owners = torch.cat([p[2] for p in parts])
        fused = self.context(vectors, kinds, owners, len(queries))
        blank = torch.zeros_like(words)
        text = blank.index_add(0, owner, items.text[hand]) + words
        graph = blank.index_add(0, owner, items.graph[hand]).index_add(
            0, known, users.graph[user[known]]
        )
        return (
            fused,
            nn.functional.normalize(text, dim=1),
            nn.functional.normalize(graph, dim=1),
        )

    def _search(self, snapshot: GraphSnapshot, vector: Tensor) -> Tensor:
        """(B, X) the nearest items, and the nearest of those never taken."""
        found = [
            vector.topk(
                min(self.config.vector_candidates, snapshot.items), sorted=False
            ).indices
        ]
        if count := min(self.config.cold_candidates, len(snapshot.cold_items)):
            found.append(
                snapshot.cold_items[
                    vector[:, snapshot.cold_items].topk(count, sorted=False).indices
                ]
            )
        return torch.cat(found, 1)

    @property
    def weight(self) -> Tensor:
        """() what the fused similarity counts in the score."""
        return self.log_weight.clamp(max=4.6).exp()

    def rank(self, phi: Tensor | None, similarities: Tensor, words: Tensor) -> Tensor:
        """(B, C) the score of items by their counts (B, C, F) and similarities (B, C, 3), for queries' words (B, D)."""
        share = self.kept[words.any(1).long()][:, None]
        said = share * (self.weight * similarities[..., 0])
        return (
            said
            if phi is None or self.head is None
            else said + self.head(phi, similarities, share)
        )

    def candidates(
        self,
        snapshot: GraphSnapshot,
        queries: QueryBatch,
        items: Nodes,
        users: Nodes,
        words: Tensor,
    ) -> Candidates:
        """Retrieve, and gather what is said of what was found."""
        fused, text, graph = self.query_vectors(queries, items, users, words)
        tensors = queries.to(words.device)
        own = (tensors.excluded_owners, tensors.excluded)
        cosine = fused @ items.fused.T
        vector = (self.log_scale.clamp(max=4.6).exp() * cosine).index_put(
            own, cosine.new_tensor(-torch.inf)
        )
        extra = self._search(snapshot, vector.detach()) if self.config.vectors else None
        rows, phi = snapshot.features(
            queries, self.config.candidates_per_path if self.config.paths else 0, extra
        )
        at = rows.clamp(min=0)

        def near(asked: Tensor, known: Tensor) -> Tensor:
            if (
                FEW * rows.numel() < snapshot.items
            ):  # few queries over a large catalogue: only what is looked at
                return (known[at] @ asked[:, :, None]).squeeze(2)
            return (asked @ known.T).gather(1, at)

        similarities = torch.stack(
            [cosine.gather(1, at), near(text, items.text), near(graph, items.graph)], 2
        )
        return Candidates(rows, vector, phi, similarities)

    def score(
        self,
        snapshot: GraphSnapshot,
        queries: QueryBatch,
        items: Nodes,
        users: Nodes,
        words: Tensor,
    ) -> Scores:
        """Retrieve, then score."""
        rows, vector, phi, similarities = self.candidates(
            snapshot, queries, items, users, words
        )
        score = self.rank(phi, similarities, words)
        return Scores(
            rows, score.masked_fill(rows < 0, -torch.inf), vector, phi, similarities
        )


def live_rows(
    snapshot: GraphSnapshot, queries: QueryBatch, generator: torch.Generator, hand: int
) -> dict[str, Tensor]:
    """The nodes to encode with gradient: targets, users, and up to `hand` context items a query, each once."""
    lengths = torch.as_tensor(queries.context.lengths)
    rows = torch.as_tensor(queries.context.rows)
    if hand >= 0:
        starts = torch.as_tensor(queries.context.offsets[:-1])
        pick = (
            torch.rand(len(queries), hand, generator=generator) * lengths[:, None]
        ).long() + starts[:, None]
        rows = rows[pick[lengths > 0].flatten()]
    seeds = {
        snapshot.item: torch.unique(
            torch.cat([torch.as_tensor(queries.targets.rows), rows])
        ).to(snapshot.device)
    }
    users = torch.as_tensor(queries.users)
    if snapshot.user:
        seeds[snapshot.user] = torch.unique(users[users >= 0]).to(snapshot.device)
    return seeds


def encode_words(model: Hybrid, queries: QueryBatch, device: torch.device) -> Tensor:
    """(B, D) vectors of the queries' words, 0 where there are none."""
    words = torch.zeros(len(queries), model.config.embedding_dim, device=device)
    spoken = [b for b, text in enumerate(queries.texts) if text.strip()]
    if model.text is None or not spoken:
        return words
    table = model.text.table(
        [queries.texts[b] for b in spoken]
    )  # equal words are encoded once
    # In batches of like length: one long text among many short ones would pad them all.
    vectors = (
        TextSource(model.text, table, keep=False)
        .encode(torch.arange(len(table)))
        .to(words.dtype)
    )
    own = vectors[torch.as_tensor(table.index, device=device)]
    return words.index_copy(0, torch.as_tensor(spoken, device=device), own)
