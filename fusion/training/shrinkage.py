"""Shrinkage: how much is kept of what vectors add, by queries that nothing was trained on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fusion.model.hybrid import Hybrid
from fusion.model.inputs import encode_words
from fusion.model.nodes import EmbeddingCache
from fusion.model.scores import Candidates
from fusion.model.snapshot import GraphSnapshot
from fusion.query_batch import QueryBatch
from fusion.ranking.metrics import ndcg
from kg.progress import tqdm
from kg.tables import FloatArray

_SHARES = torch.linspace(0, 1, 11)
_K = 10


@torch.no_grad()
def fit_shrinkage(
    model: Hybrid,
    snapshot: GraphSnapshot,
    embeddings: EmbeddingCache,
    queries: QueryBatch,
    batch: int = 128,
    progress: bool = True,
) -> None:
    """Set, in place, the share kept of what vectors add to the counts, without text and with.

    On queries that the vectors were trained on they look better than they are, and the head has
    been fine-tuned on such queries. Queries that nothing was trained on tell how far to trust
    them, as in stacking (Breiman, Stacked regressions, 1996): the share with the best NDCG@10 is
    kept, and all where that is not better by a standard error.

    Args:
        model: Trained, with a head.
        snapshot: Of the graph before the queries.
        embeddings: The vectors of that graph.
        queries: Held out of all training.
        batch: Queries at once.
        progress: Whether to draw a bar.
    """
    model.kept.fill_(1.0)
    training = model.training
    model.eval()
    gains, with_text = [np.zeros((0, len(_SHARES)))], [np.zeros(0, bool)]
    with tqdm(
        total=len(queries),
        desc="weighing vectors",
        unit="query",
        leave=False,
        disable=not progress,
    ) as bar:
        # All texts at once: many queries have the same.
        vectors = encode_words(model, queries, snapshot.device)
        for number, some in enumerate(queries.batches(batch)):
            words = vectors[number * batch :][: len(some)]
            candidates = model.candidates(
                snapshot, some, embeddings.items, embeddings.users, words
            )
            gains.append(_gains(model, candidates, words, some))
            with_text.append(words.any(1).cpu().numpy())
            bar.update(len(some))
    values, kind = np.concatenate(gains), np.concatenate(with_text)
    for number, of_kind in enumerate((~kind, kind)):
        model.kept[number] = _best(values[of_kind])
    model.train(training)


def shares_kept(model: Hybrid) -> str:
    """What is kept, for people; "" of a model that has no vectors, or nothing beside them."""
    if model.head is None or not model.config.vectors:
        return ""
    without, with_text = (
        "all" if share == 1 else f"{share:.1f}" for share in model.kept.tolist()
    )
    return (
        f"of what vectors add, {without} for queries without text "
        f"and {with_text} for queries with it"
    )


def _gains(
    model: Hybrid, candidates: Candidates, words: Tensor, queries: QueryBatch
) -> FloatArray:
    """(B, S) NDCG@10 of each query by each share."""
    assert model.head is not None
    of_counts = model.head.of_counts(candidates.phi)
    whole = model.rank(candidates.phi, candidates.similarities, words)
    none = candidates.rows < 0
    columns, is_candidate = _columns_of_targets(candidates.rows, queries)
    gains = []
    for share in _SHARES.to(whole.device):
        scores = (of_counts + share * (whole - of_counts)).masked_fill(none, -torch.inf)
        ranks = _ranks(scores, columns, is_candidate, queries)
        gains.append(ndcg(ranks, queries.targets, _K))
    return np.stack(gains, 1)


def _columns_of_targets(rows: Tensor, queries: QueryBatch) -> tuple[Tensor, Tensor]:
    """(T,) where each target stands among its query's candidates, and whether it does."""
    owners = torch.as_tensor(queries.targets.owners, device=rows.device)
    wanted = torch.as_tensor(queries.targets.rows, device=rows.device)
    places = rows[owners] == wanted[:, None]
    return places.int().argmax(1), places.any(1)


def _ranks(
    scores: Tensor, columns: Tensor, is_candidate: Tensor, queries: QueryBatch
) -> FloatArray:
    """(T,) the 1-based rank of each target among the candidates, ties at the mid-rank.

    Infinite where it is none of them.
    """
    owners = torch.as_tensor(queries.targets.owners, device=scores.device)
    of_query = scores[owners]
    own = of_query.gather(1, columns[:, None])
    greater, equal = (of_query > own).sum(1), (of_query == own).sum(1)
    ranks = 1 + greater + (equal - 1) / 2
    ranks = ranks.double().masked_fill(~is_candidate, torch.inf)
    values: FloatArray = ranks.cpu().numpy()
    return values


def _best(values: FloatArray) -> float:
    """The share of the best mean in (B, S) queries by shares.

    All where that is not better by a standard error.
    """
    if len(values) < 2:
        return 1.0
    more = values - values[:, -1:]
    best = int(more.mean(0).argmax())
    error = more[:, best].std(ddof=1) / len(values) ** 0.5
    return float(_SHARES[best]) if more[:, best].mean() > error else 1.0
