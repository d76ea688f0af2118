"""Search as people judged it: graded NDCG over all items, unjudged ones counted as useless."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa

from eval.measure.protocol import Scorer
from fusion.query_batch import QueryBatch, Ragged
from fusion.ranking.metrics import ndcg
from fusion.ranking.ranks import ranks
from kg.errors import DataError, InputError
from kg.progress import tqdm
from kg.tables import FloatArray, IntArray, Vocab


@dataclass(frozen=True)
class Judged:
    """Q queries and people's grades of items.

    Attributes:
        queries: Q queries of words alone; targets are the items graded above 0.
        grades: (T,) of the targets, above 0, in the order of queries.targets.rows.
        judged: Q lists of the rows of all judged items, those graded 0 included.
    """

    queries: QueryBatch
    grades: FloatArray
    judged: Ragged

    def __len__(self) -> int:
        return len(self.queries)

    @classmethod
    def of(cls, table: pa.Table, items: Vocab) -> Self:
        """From columns query, item (id) and rating (0 useless); queries in alphabetical order.

        Queries of which no item is graded above 0 are left out: nothing can be found.

        Raises:
            DataError: An item is not in the catalogue, a pair is judged twice, or a rating is
                no number at least 0.
        """
        rows = items.rows(table["item"])
        if (rows < 0).any():
            raise DataError(
                f"judgments: item {table['item'][int(rows.argmin())].as_py()!r} is "
                f"not in the catalogue"
            )
        phrases, owner = np.unique(
            np.array(table["query"].to_pylist(), object), return_inverse=True
        )
        grades = np.asarray(table["rating"].to_numpy(), np.float64)
        if not (grades >= 0).all():
            raise DataError(
                f"judgments: a rating is {grades[~(grades >= 0)][0]}; it is a number at least 0"
            )
        if len(np.unique(owner * len(items) + rows)) < len(rows):
            raise DataError("judgments: an item is judged twice for one query")
        order = np.lexsort((rows, owner))
        rows, owner, grades = rows[order], owner[order], grades[order]
        kept = [
            np.flatnonzero(owner == q)
            for q in range(len(phrases))
            if (grades[owner == q] > 0).any()
        ]
        good = [some[grades[some] > 0] for some in kept]
        texts = tuple(str(phrases[owner[some[0]]]) for some in kept)
        none = Ragged.of([[] for _ in kept])
        targets, judged = (
            Ragged.of([rows[some] for some in part]) for part in (good, kept)
        )
        queries = QueryBatch(
            np.full(len(kept), -1), none, texts, targets, np.arange(len(kept))
        )
        return cls(
            queries, grades[np.concatenate([np.zeros(0, np.int64), *good])], judged
        )


def search_ndcg(
    scorer: Scorer,
    judged: Judged,
    items: int,
    k: int = 10,
    batch: int = 64,
    progress: bool = True,
) -> Mapping[str, FloatArray]:
    """NDCG@k of each query, ready for the paired bootstrap with `judged.queries.groups`.

    Gain `2^grade - 1`, discount `1 / log2(rank + 1)`, ideal over all judged items of the
    query. Ties get the mid-rank, as in `fusion.ranking.ranks`.

    Args:
        scorer: What searches.
        judged: Q queries.
        items: How many the catalogue has (I).
        k: The cut-off.
        batch: Queries scored at a time.
        progress: Whether to draw a bar.

    Returns:
        "NDCG@k": (Q,) over the full catalogue, unjudged items in the way; "condensed NDCG@k":
        (Q,) with the unjudged items taken out before ranking (Sakai, "Alternatives to Bpref",
        2007).

    Raises:
        DataError: The scorer gave a wrong shape or type, or NaN.
        ValueError: There are no queries.
    """
    if not len(judged):
        raise InputError("there are no judged queries")
    full, condensed = [], []
    bar = tqdm(
        total=len(judged),
        desc=scorer.name,
        unit="query",
        leave=False,
        disable=not progress,
    )
    for start in range(0, len(judged), batch):
        which = np.arange(start, min(start + batch, len(judged)))
        queries, seen = judged.queries.take(which), judged.judged.take(which)
        scores = scorer.score(queries)
        if scores.shape != (len(queries), items):
            raise DataError(
                f"scorer {scorer.name!r}: shape {scores.shape}, wanted {(len(queries), items)}"
            )
        full.append(ranks(scores, queries.targets, queries.context))
        condensed.append(ranks(scores, queries.targets, _others(seen, items)))
        bar.update(len(queries))
    bar.close()
    targets = judged.queries.targets
    return {
        name: ndcg(np.concatenate(found), targets, k, judged.grades)
        for name, found in ((f"NDCG@{k}", full), (f"condensed NDCG@{k}", condensed))
    }


def _others(lists: Ragged, items: int) -> Ragged:
    """For each list, all item rows that are not in it."""
    inside = np.zeros((len(lists), items), bool)
    inside[lists.owners, lists.rows] = True
    owners, rows = np.nonzero(~inside)
    offsets: IntArray = np.concatenate(
        [[0], np.cumsum(np.bincount(owners, minlength=len(lists)))]
    )
    return Ragged(offsets, rows)
