"""Which half-paths and which whole paths are kept, against looking at each."""

import numpy as np
import pytest

from kg.pathfinding import half_paths


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "wide", [7, 2**40]
)  # where names no longer fit one number, they are renumbered
def test_the_best_of_each_name_counts_for_all_of_its_name(seed, wide):
    rng = np.random.default_rng(seed)
    named = [(rng.integers(0, 4, 200), wide), (rng.integers(0, 3, 200), wide)]
    cost, times = rng.integers(1, 6, 200).astype(float), rng.integers(1, 9, 200)
    groups: dict[tuple[int, ...], list[int]] = {}
    for n in range(200):
        groups.setdefault(tuple(int(nodes[n]) for nodes, _ in named), []).append(n)
    told = []
    for name, members in groups.items():
        first = min(members, key=lambda n: (cost[n], n))
        total = int(times[members].sum())
        told.append((float(cost[first] - np.log(total)), name, first, total))
    for each in (1, 5, 100):
        place, many = half_paths.best(named, cost, times, each)
        assert [(p, m) for _, _, p, m in sorted(told)[:each]] == list(
            zip(place.tolist(), many.tolist(), strict=True)
        )
