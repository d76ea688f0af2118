"""What goes into a step."""

import pytest
import torch

from fusion.model.inputs import live_rows


@pytest.mark.parametrize("hand", [-1, 0, 1, 2])
def test_live_rows_are_targets_users_and_some_context_items(small, queries, hand):
    snapshot = small().snapshot
    many = queries((0, [5, 6, 7], 1), (-1, [], 1), (2, [8], 2), (0, [], 3))
    found = live_rows(snapshot, many, torch.Generator().manual_seed(0), hand)
    assert found["user"].tolist() == [0, 2]
    rows = found["item"].tolist()
    assert rows == sorted(set(rows)) and {1, 2, 3} <= set(rows) <= {1, 2, 3, 5, 6, 7, 8}
    at_hand = set(rows) - {1, 2, 3}
    if hand < 0:
        assert at_hand == {5, 6, 7, 8}
    else:
        assert (
            (8 in at_hand) == (hand > 0)
            and len(at_hand - {8}) <= hand
            and (hand == 0 or len(at_hand) > 1)
        )
