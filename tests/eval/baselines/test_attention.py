"""Attention over a history."""

from __future__ import annotations

import torch

from eval.baselines.attention import Attention


def test_attention_never_looks_ahead_or_at_padding():
    torch.manual_seed(0)
    network = Attention(10, 8, 2, 6, 0.5).eval()
    rows = torch.tensor([[1, 2, 3, 4]])
    later = network(torch.tensor([[1, 2, 3, 9]]))
    torch.testing.assert_close(network(rows)[:, :3], later[:, :3])
    assert (network(rows)[:, 3] != later[:, 3]).any()
    padded = network(torch.tensor([[10, 10, 1, 2, 3, 4], [10, 10, 10, 10, 10, 10]]))
    torch.testing.assert_close(padded[:1, 2:], network(rows))
    assert padded.isfinite().all()
