"""How much of what vectors add is kept: told by queries that nothing was trained on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fusion.model.hybrid import Hybrid
from fusion.model.inputs import encode_words
from fusion.model.nodes import EmbeddingCache
from fusion.model.snapshot import GraphSnapshot
from fusion.query_batch import QueryBatch
from kg.progress import tqdm

_SHARES = torch.linspace(0, 1, 11)
_K = 10
_LINES = 16  # asks weighed at once by all shares


@torch.no_grad()
def fit_shrinkage(
    model: Hybrid,
    snapshot: GraphSnapshot,
    embeddings: EmbeddingCache,
    queries: QueryBatch,
    batch: int = 128,
    progress: bool = True,
) -> None:
    """Set, in place, the share that is kept of what vectors add to the counts, for queries without words and with.

    On asks that the vectors were trained on they look better than they are, and the head has
    settled on such queries. Queries that nothing was trained on tell how far to trust them, as in
    stacking (Breiman, Stacked regressions, 1996): the share with the best NDCG@10 is kept, and
    all where that is not better by a standard error.

    Args:
        model: Trained, with a head.
        world: Of the graph before the queries.
        bank: The vectors of that world.
        asks: Held out of all training.
        batch: Asks at once.
        progress: Whether to draw a bar.
    """
    model.kept.fill_(1.0)
    training = model.training
    model.eval()
    gains, spoken = [torch.zeros(0, len(_SHARES))], [torch.zeros(0, dtype=torch.bool)]
    with tqdm(
        total=len(queries),
        desc="weighing vectors",
        unit="ask",
        leave=False,
        disable=not progress,
    ) as bar:
        for some in queries.batches(batch):
            words = encode_words(model, some, snapshot.device)
            found = model.candidates(
                snapshot, some, embeddings.items, embeddings.users, words
            )
            whole = model.rank(found.phi, found.similarities, words)
            assert model.head is not None
            counted, right = model.head.of_counts(found.phi), _right(some, found.rows)
            ideal = (
                _discounts(_K)
                .cumsum(0)[np.clip(some.targets.lengths, 1, _K) - 1]
                .to(snapshot.device)
            )
            for start in range(0, len(some), _LINES):
                lines = slice(start, start + _LINES)
                dcg = _dcg(
                    counted[lines], whole[lines], found.rows[lines] >= 0, right[lines]
                )
                gains.append((dcg / ideal[lines, None]).cpu())
            spoken.append(words.any(1).cpu())
            bar.update(len(some))
    ndcg, kind = torch.cat(gains), torch.cat(spoken).long()
    for number in range(2):
        model.kept[number] = _best(ndcg[kind == number])
    model.train(training)


def shares_kept(model: Hybrid) -> str:
    """What is kept, for people; "" of a model that has no vectors, or nothing beside them."""
    if model.head is None or not model.config.vectors:
        return ""
    without, spoken = (
        "all" if share == 1 else f"{share:.1f}" for share in model.kept.tolist()
    )
    return f"of what vectors add, {without} for asks without words and {spoken} for asks with"


def _best(ndcg: Tensor) -> float:
    """The share of the best mean in (B, S) asks by shares; all where that is not better by a standard error."""
    more = ndcg - ndcg[:, -1:]
    best = int(more.mean(0).argmax()) if len(ndcg) > 1 else -1
    sure = (
        len(ndcg) > 1 and more[:, best].mean() > more[:, best].std() / len(ndcg) ** 0.5
    )
    return float(_SHARES[best]) if sure else 1.0


def _dcg(counted: Tensor, whole: Tensor, real: Tensor, right: Tensor) -> Tensor:
    """(B, S) of each query's candidates in the order of each share; those that are none come last."""
    shares = _SHARES.to(counted.device)[:, None]
    score = counted[:, None] + shares * (whole - counted)[:, None]
    first = (
        score.masked_fill(~real[:, None], -torch.inf)
        .topk(min(_K, score.shape[2]))
        .indices
    )
    hits = right[:, None].expand_as(score).gather(2, first)
    found: Tensor = hits.float() @ _discounts(hits.shape[2]).to(hits.device)
    return found


def _discounts(count: int) -> Tensor:
    return 1 / torch.log2(torch.arange(count) + 2.0)


def _right(queries: QueryBatch, rows: Tensor) -> Tensor:
    """(B, C) which candidates are targets."""
    lines = np.arange(len(queries))[:, None]
    most = int(max(rows.max(), queries.targets.rows.max(initial=0))) + 1
    wanted = queries.targets.owners * most + queries.targets.rows
    here = rows.cpu().numpy()
    return torch.from_numpy((here >= 0) & np.isin(lines * most + here, wanted)).to(
        rows.device
    )
