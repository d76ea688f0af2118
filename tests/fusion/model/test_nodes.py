"""Vectors of nodes."""

import torch

from fusion.model.nodes import Nodes


def test_straight_through_keeps_values_and_passes_gradient():
    torch.manual_seed(0)
    old = Nodes(torch.randn(5, 3), torch.randn(5, 3), torch.randn(5, 3), torch.rand(5))
    live = Nodes(*(torch.randn_like(part[:2]).requires_grad_() for part in old))
    rows = torch.tensor([3, 1])
    made = old.through(rows, live)
    for part, before, now in zip(made, old, live, strict=True):
        slope = torch.randn_like(part)
        assert torch.allclose(part, before, atol=1e-6) and not before.requires_grad
        (part * slope).sum().backward()
        assert now.grad is not None and torch.equal(now.grad, slope[rows])
