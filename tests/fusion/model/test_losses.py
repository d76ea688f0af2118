import numpy as np
import pytest
import torch

from fusion.model.losses import losses
from fusion.model.scores import Scores

INF = float("inf")
ROWS = torch.tensor([[0, 2, 4], [1, 3, -1], [0, 1, 2], [-1, -1, -1]])


def scores(score, vector, rows=ROWS):
    blank = torch.zeros(*rows.shape, 0)
    return Scores(rows, score.masked_fill(rows < 0, -INF), vector, blank, blank)


@pytest.fixture
def given():
    torch.manual_seed(0)
    vector = torch.randn(4, 5)
    vector[0, 1] = -INF  # at hand
    return torch.randn(4, 3, requires_grad=True), vector.requires_grad_()


TARGETS = torch.tensor(
    [2, 3, 4, 0]
)  # found, found, missed, and a query without candidates
RIGHT = TARGETS[:, None] == ROWS


def test_both_losses_by_hand(given):
    score, vector = given
    found = losses(scores(score, vector), TARGETS, vectors=True)
    s, v = score.detach().double().numpy(), vector.detach().double().numpy()
    first = np.log(np.exp(s[0]).sum()) - s[0, 1]
    second = np.log(np.exp(s[1, :2]).sum()) - s[1, 1]
    assert found.candidates.item() == pytest.approx((first + second + 0 + 0) / 4)
    every = np.log(np.exp(v).sum(1)) - v[np.arange(4), TARGETS]
    assert found.catalogue.item() == pytest.approx(every.mean())
    assert found.retrieved.item() == 0.5
    assert found.total(0.3).item() == pytest.approx(
        found.candidates.item() + 0.3 * every.mean()
    )


def test_less_loss_means_a_higher_score_of_the_target_and_lower_ones_of_the_rest(given):
    score, vector = given
    losses(scores(score, vector), TARGETS, vectors=True).total(1.0).backward()
    assert (score.grad[RIGHT] < 0).all() and (
        score.grad[:2][(~RIGHT & (ROWS >= 0))[:2]] > 0
    ).all()
    whole = torch.nn.functional.one_hot(TARGETS, 5).bool()
    assert (vector.grad[whole] < 0).all() and (
        vector.grad[~whole & vector.isfinite()] > 0
    ).all()


def test_a_target_that_retrieval_missed_teaches_the_candidates_nothing(given):
    score, vector = given
    found = losses(scores(score, vector), TARGETS, vectors=True)
    found.candidates.backward()
    assert (
        score.grad.isfinite().all()
        and not score.grad[2:].any()
        and score.grad[:2].any()
    )
    changed = scores(score.detach() + torch.tensor([[0.0]] * 2 + [[9.0]] * 2), vector)
    assert losses(changed, TARGETS, True).candidates.item() == pytest.approx(
        found.candidates.item()
    )


def test_better_scores_cost_less(given):
    score, vector = given
    before = losses(scores(score, vector), TARGETS, vectors=True)
    better = score.detach() + RIGHT
    after = losses(
        scores(better, vector.detach() + torch.nn.functional.one_hot(TARGETS, 5)),
        TARGETS,
        vectors=True,
    )
    assert after.candidates < before.candidates and after.catalogue < before.catalogue


def test_without_vectors_the_catalogue_costs_nothing(given):
    score, vector = given
    found = losses(scores(score, vector), TARGETS, vectors=False)
    assert found.catalogue == 0 and found.total(5.0) == found.candidates > 0
