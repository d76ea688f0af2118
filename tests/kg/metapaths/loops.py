"""Counts by loops over the events, and whether two counts are the same."""

import numpy as np

from kg.metapaths.count import PathConfig

CONFIG = PathConfig(half_life=2.0, recent=3.0)


SEEDS = range(3)


def rows(events):
    return list(
        zip(
            *(
                c.tolist()
                for c in (events.user, events.bundle, events.item, events.time)
            ),
            strict=True,
        )
    )


def together(groups, items):
    """By loops: how many groups hold both items, and how many hold each."""
    count, degree = np.zeros((items, items)), np.zeros(items)
    for members in groups:
        for a in members:
            degree[a] += 1
            for b in members - {a}:
                count[a, b] += 1
    return count, np.maximum(degree, 1)


def every_matrix(counts):
    named = {**counts.user_item, **counts.item_item}
    return named | {
        f"{a.name} {p}": getattr(a, p)
        for a in counts.attributes
        for p in ("items", "users", "together")
    }


def assert_same(left, right):
    assert list(every_matrix(left)) == list(every_matrix(right))
    for name, matrix in every_matrix(left).items():
        assert (matrix != every_matrix(right)[name]).nnz == 0, name
    for kind in ("item", "user"):
        assert list(getattr(left, kind)) == list(getattr(right, kind))
        for name, values in getattr(left, kind).items():
            assert values.tolist() == getattr(right, kind)[name].tolist()
