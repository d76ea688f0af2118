"""Bundles of the checkerboard, and a baseline that knows what it is told."""

import numpy as np

from eval.studies.bundles import Held

REAL = [
    Held(np.array(rows), user, "", user)
    for user, rows in enumerate([[0, 2, 4], [6, 8], [0, 10, 12, 14], [4, 18]])
]


class Told:
    """A baseline that scores the items it is told of, or that the query's words number."""

    name = "told"

    def __init__(self, value, rows=()):
        self.value, self.rows = value, list(rows)

    def score(self, queries):
        out = np.zeros((len(queries), 42), np.float32)
        out[:, self.rows] = self.value
        for line, text in zip(out, queries.texts, strict=True):
            line[[int(word) for word in text.split()]] = self.value
        return out


def thing(served, row):
    return served.title(row).split()[1]
