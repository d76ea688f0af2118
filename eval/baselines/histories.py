"""Users' histories in the order of time, and scores whose unknown items come last."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eval.baselines.counts import FloatScores
from kg.graph import Graph
from kg.tables import IntArray


def unknown_last(
    scores: FloatScores, known: npt.NDArray[np.bool_], popularity: FloatScores
) -> FloatScores:
    """Scores (B, I), changed in place: what is not known (B, I) below the rest, by popularity."""
    least = np.where(known, scores, np.inf).min(axis=1, initial=np.inf, keepdims=True)
    floor = np.where(np.isfinite(least), least, 0) - 2
    np.copyto(
        scores,
        (floor + popularity / max(popularity.max(initial=0), 1)).astype(np.float32),
        where=~known,
    )
    return scores


class Histories:
    """The events of the known users in the order of time.

    Events of one time are one moment, without order among themselves; those without a time are
    the oldest moment.

    Attributes:
        user: (H,) ascending.
        item: (H,) of each user the oldest first.
        moment: (H,) numbered through all users.
        age: (H,) how many later moments the user has.
        offsets: (U + 2,) user u's events are offsets[u]:offsets[u + 1]; the last user, nobody,
            has none.
    """

    def __init__(self, graph: Graph) -> None:
        events = graph.events.take(graph.events.user >= 0)
        time = np.nan_to_num(events.time, nan=-np.inf)
        order = np.lexsort((time, events.user))
        self.user, self.item, time = events.user[order], events.item[order], time[order]
        new = np.ones(len(order), bool)
        new[1:] = (np.diff(self.user) != 0) | (time[1:] != time[:-1])
        self.moment: IntArray = np.cumsum(new) - 1
        users = (graph.size(graph.user) if graph.user else 0) + 1
        self.offsets: IntArray = np.searchsorted(self.user, np.arange(users + 1))
        self.age: IntArray = self.moment[self.offsets[self.user + 1] - 1] - self.moment
