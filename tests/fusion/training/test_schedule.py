"""Which queries each step has."""

import numpy as np

from fusion.training.schedule import schedule


def test_the_schedule_has_every_query_once_an_epoch():
    steps = list(schedule([10, 7], 3, 2, seed=0))
    assert len(steps) == 2 * (3 + 2)
    for epoch in (steps[:5], steps[5:]):
        for fold, count in ((0, 9), (1, 6)):
            asked = np.concatenate(
                [chosen for number, chosen in epoch if number == fold]
            )
            assert (
                len(asked) == len(set(asked)) == count
            )  # a short last batch is left out
    again = list(schedule([10, 7], 3, 2, seed=0))
    assert all(
        a[0] == b[0] and (a[1] == b[1]).all() for a, b in zip(steps, again, strict=True)
    )
    assert [len(chosen) for _, chosen in schedule([2, 0], 3, 1, seed=0)] == [2]
