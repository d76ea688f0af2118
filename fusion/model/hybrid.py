"""The model: vectors through the gate, queries through the context, and the score."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from encoders.graph.inputs import NodeInputs
from encoders.graph.layers import GraphConfig, Sage
from encoders.text.encoder import TextEncoder
from fusion.model.config import FusionConfig
from fusion.model.context import ITEM, USER, WORDS, ContextEncoder
from fusion.model.gate import FUSIONS
from fusion.model.head import FeatureHead
from fusion.model.nodes import EmbeddingCache, Nodes
from fusion.model.scores import Candidates, QueryVectors, Scores, similarities
from fusion.model.snapshot import GraphSnapshot
from fusion.query_batch import QueryBatch
from kg.events import EdgeKey

# Chance that an item's own learned vector is dropped in training. Without it the GNN leans on
# these vectors, which cold items lack.
ID_DROP = 0.1


class Hybrid(nn.Module):
    """score(query, item) = <context(query), z_item> / tau + m(x(query, item)).

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
        """The vectors of some nodes of a snapshot, as `fuse` makes them."""
        distinct, degree = snapshot.distinct[kind][rows], snapshot.degree[kind][rows]
        return self.fuse(distinct, degree, graph, texts)

    def fuse(
        self,
        distinct: Tensor,
        degree: Tensor,
        graph: Tensor | None,
        texts: Tensor | None,
    ) -> Nodes:
        """Fuse what the graph and the texts say of N nodes; one of the two must be given.

        Args:
            distinct: (N,) row of each node's text, -1 where it has none.
            degree: (N,) edges of each node.
            graph: (N, D) from the GNN.
            texts: (U, D) of the distinct texts.
        """
        assert graph is not None or texts is not None
        words = distinct >= 0
        blank = distinct.new_zeros(
            (len(distinct), self.config.embedding_dim), dtype=torch.float32
        )
        text = blank
        if texts is not None and len(texts):
            text = nn.functional.normalize(
                torch.where(words[:, None], texts[distinct.clamp(min=0)], 0), dim=1
            )
        if graph is None:
            return Nodes(text, blank, text, words.float())
        if texts is None:
            words = torch.zeros_like(words)
        fused, share = self.gate(graph, text, degree, words)
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
            has_text = torch.zeros_like(distinct, dtype=torch.bool)
            text = None
            if texts is not None:
                has_text = distinct >= 0
                text = texts[distinct.clamp(min=0)] if len(texts) else None
            keep = None
            if kind == snapshot.item:
                keep = snapshot.seen_items[chosen]
                if self.training and ID_DROP:
                    chance = torch.rand(len(chosen), device=chosen.device)
                    keep = keep & (chance >= ID_DROP)
            x[kind] = self.inputs(kind, chosen, text, has_text, keep)
        out: dict[str, Tensor] = self.gnn(x, edges)
        return out

    @torch.no_grad()
    def encode(self, snapshot: GraphSnapshot, texts: Tensor | None) -> EmbeddingCache:
        """Every item and user of a snapshot: the vectors that are served."""
        training = self.training
        self.eval()
        rows, out = snapshot.all_rows, {}
        if self.gnn is not None:
            out = self.message(snapshot, rows, snapshot.edges, texts)
        user, item = self.types
        items = self._side(snapshot, item, rows, out, texts)
        users = self._none(snapshot)
        if user:
            users = self._side(snapshot, user, rows, out, texts)
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
        self,
        queries: QueryBatch,
        items: Nodes,
        users: Nodes,
        words: Tensor,
    ) -> QueryVectors:
        """What is known of B queries as vectors; words (B, D) are 0 where a query has none."""
        normalize = nn.functional.normalize
        batch = queries.to(words.device)
        context, owners = batch.context, batch.owners
        known = batch.known_users if len(users.fused) else batch.users[:0]
        spoken = words.abs().sum(1).nonzero().squeeze(1)
        unit = normalize(words, dim=1)
        parts = (
            (users.fused[batch.users[known]], USER, known),
            (items.fused[context], ITEM, owners),
            (unit[spoken], WORDS, spoken),
        )
        fused = self.context(
            torch.cat([vectors for vectors, _, _ in parts]),
            torch.cat([torch.full_like(of, kind) for _, kind, of in parts]),
            torch.cat([of for _, _, of in parts]),
            len(queries),
        )
        blank = torch.zeros_like(unit)
        text = blank.index_add(0, owners, items.text[context]) + unit
        graph = blank.index_add(0, owners, items.graph[context])
        graph = graph.index_add(0, known, users.graph[batch.users[known]])
        return QueryVectors(
            fused, normalize(text, dim=1), normalize(graph, dim=1), words
        )

    def _search(self, snapshot: GraphSnapshot, vector: Tensor) -> Tensor:
        """(B, X) the nearest items, and the nearest of the cold ones."""
        cold = snapshot.cold_items
        count = min(self.config.vector_candidates, snapshot.items)
        found = [vector.topk(count, sorted=False).indices]
        if count := min(self.config.cold_candidates, len(cold)):
            found.append(cold[vector[:, cold].topk(count, sorted=False).indices])
        return torch.cat(found, 1)

    @property
    def weight(self) -> Tensor:
        """() what the fused similarity counts in the score."""
        return self.log_weight.clamp(max=4.6).exp()

    def rank(
        self,
        phi: Tensor | None,
        similarities: Tensor,
        words: Tensor,
    ) -> Tensor:
        """(B, C) the score, of features (B, C, F), similarities (B, C, 3) and words (B, D)."""
        kept = self.kept[words.any(1).long()][:, None]
        score = kept * (self.weight * similarities[..., 0])
        if phi is None or self.head is None:
            return score
        counted: Tensor = self.head(phi, similarities, kept)
        return score + counted

    def score_rows(
        self,
        query: QueryVectors,
        items: Nodes,
        rows: Tensor,
        phi: Tensor | None,
        cosine: Tensor | None = None,
    ) -> Tensor:
        """(B, C) the score of any item rows for B queries: the one place where it is put together.

        Args:
            query: The queries' vectors.
            items: The items' vectors.
            rows: (B, C) rows of these.
            phi: (B, C, F) the features of these; None where the model has no head.
            cosine: (B, I) the fused similarity to every item, where that is known already.
        """
        return self.rank(phi, similarities(query, items, rows, cosine), query.words)

    def candidates(
        self,
        snapshot: GraphSnapshot,
        queries: QueryBatch,
        items: Nodes,
        users: Nodes,
        words: Tensor,
    ) -> Candidates:
        """Retrieve by vectors and features, and gather what the score is made of."""
        query = self.query_vectors(queries, items, users, words)
        cosine = query.fused @ items.fused.T
        batch = queries.to(words.device)
        vector = (self.log_scale.clamp(max=4.6).exp() * cosine).index_put(
            (batch.excluded_owners, batch.excluded), cosine.new_tensor(-torch.inf)
        )
        near = self._search(snapshot, vector.detach()) if self.config.vectors else None
        each = self.config.candidates_per_path if self.config.paths else 0
        rows, phi = snapshot.features(queries, each, near)
        found = similarities(query, items, rows.clamp(min=0), cosine)
        return Candidates(rows, vector, phi, found)

    def score(
        self,
        snapshot: GraphSnapshot,
        queries: QueryBatch,
        items: Nodes,
        users: Nodes,
        words: Tensor,
    ) -> Scores:
        """Retrieve, then score."""
        found = self.candidates(snapshot, queries, items, users, words)
        score = self.rank(found.phi, found.similarities, words)
        score = score.masked_fill(found.rows < 0, -torch.inf)
        return Scores(found.rows, score, *found[1:])
