import pytest
import torch

from fusion.model.head import FeatureHead

F, S = 3, 2


@pytest.fixture
def phi():
    """(N, F) counts: many zeros, a heavy tail, and a column that is never positive."""
    generator = torch.Generator().manual_seed(0)
    counts = (torch.rand(2000, F, generator=generator) * 8).exp().floor() * (
        torch.rand(2000, F, generator=generator) < 0.4
    )
    counts[:, 2] = 0
    return counts


@pytest.fixture
def head(phi):
    torch.manual_seed(0)
    head = FeatureHead(F, S, hidden=8).eval()
    head.fit(phi)
    return head


def inputs(head, phi, similarities=None):
    """What the first layer is given: (..., 2F + S)."""
    seen = []
    hook = head.mix[0].register_forward_hook(
        lambda module, args, out: seen.append(args[0])
    )
    head(phi, torch.zeros(*phi.shape[:2], S) if similarities is None else similarities)
    hook.remove()
    return seen[0]


def test_logarithms_are_standardised_over_what_it_was_fitted_to(head, phi):
    logs = inputs(head, phi[None])[0, :, :F]
    assert torch.allclose(logs[:, :2].mean(0), torch.zeros(2), atol=1e-4)
    assert torch.allclose(logs[:, :2].std(0), torch.ones(2), atol=1e-3)
    assert torch.allclose(
        logs[:, 2], torch.zeros(2000), atol=1e-4
    )  # and a column of one value stays finite
    assert torch.allclose(
        logs[:, 0], (phi[:, 0].log1p() - head.mean[0]) / head.scale[0]
    )


def test_quantiles_are_those_of_the_positive_values(head, phi):
    quantile = inputs(head, phi[None])[0, :, F : 2 * F]
    column, found = phi[:, 0], quantile[:, 0]
    assert (
        (found[column == 0] == 0).all()
        and (found[column > 0] > 0).all()
        and found.max() == 1
    )
    positive = column[column > 0].sort().values
    for q in (0.25, 0.5, 0.9):
        value = positive[int(q * len(positive))]
        assert found[column == value][0].item() == pytest.approx(
            q, abs=2 / head.QUANTILES
        )


def test_quantiles_never_fall_as_counts_grow(head):
    grid = torch.cat([torch.zeros(1), torch.logspace(-3, 5, 200)])
    quantile = inputs(head, grid[None, :, None].expand(1, -1, F))[0, :, F : 2 * F]
    assert (quantile.diff(dim=0) >= 0).all()
    assert (quantile[0] == 0).all() and (quantile[-1] == 1).all()
    assert len(quantile[:, 0].unique()) > 20


def test_a_count_never_seen_is_the_largest_of_its_kind(head):
    quantile = inputs(head, torch.tensor([[[0.0, 0.0, 5.0]]]))[0, 0, F : 2 * F]
    assert quantile.tolist() == [0, 0, 1]


def test_similarities_go_in_as_they_are(head):
    similarities = torch.tensor([[[0.3, -0.7]]])
    assert inputs(head, torch.zeros(1, 1, F), similarities)[
        0, 0, 2 * F :
    ].tolist() == pytest.approx([0.3, -0.7])


def test_a_pair_is_scored_alone(head, phi):
    """(B, C, F) to (B, C), whatever stands beside it."""
    block, similarities = (
        phi[:12].view(3, 4, F),
        torch.randn(3, 4, S, generator=torch.Generator().manual_seed(1)),
    )
    out = head(block, similarities)
    assert out.shape == (3, 4)
    for b in range(3):
        for c in range(4):
            one = head(block[b : b + 1, c : c + 1], similarities[b : b + 1, c : c + 1])
            assert torch.allclose(one[0, 0], out[b, c], atol=1e-5)


def test_fitting_to_one_row_is_finite():
    head = FeatureHead(F, S)
    head.fit(torch.tensor([[1.0, 0.0, 3.0]]))
    assert head(torch.ones(1, 2, F), torch.zeros(1, 2, S)).isfinite().all()


def test_the_scales_are_saved_with_the_weights(head, phi):
    torch.nn.init.ones_(head.mix[-1].weight)
    other = FeatureHead(F, S, hidden=8).eval()
    other.load_state_dict(head.state_dict())
    block = phi[None, :20]
    assert (
        other(block, torch.zeros(1, 20, S)) == head(block, torch.zeros(1, 20, S))
    ).all()


def test_vectors_begin_as_no_correction_at_all(head, phi):
    similarities = torch.randn(1, 20, S, generator=torch.Generator().manual_seed(1))
    assert torch.equal(
        head(phi[None, :20], similarities), head.of_counts(phi[None, :20])
    )
    torch.nn.init.ones_(head.mix[-1].weight)
    assert not torch.allclose(
        head(phi[None, :20], similarities), head(phi[None, :20], -similarities)
    )
