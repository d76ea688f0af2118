import pytest
import torch
from torch.nn.functional import normalize

from fusion.model.context import ITEM, USER, WORDS, ContextEncoder

D = 5
OWNERS = torch.tensor([0, 0, 0, 1, 3, 3])
KINDS = torch.tensor([USER, ITEM, ITEM, WORDS, ITEM, WORDS])


@pytest.fixture
def vectors():
    torch.manual_seed(2)
    return normalize(torch.randn(6, D))


@pytest.fixture
def tuned():
    """One that has left its starting point."""
    torch.manual_seed(3)
    context = ContextEncoder(D)
    for parameter in context.parameters():
        torch.nn.init.normal_(parameter)
    return context


def test_the_formula_by_hand(tuned, vectors):
    out = tuned(vectors, KINDS, OWNERS, 4)
    for query in (0, 1, 3):
        mine = [j for j in range(6) if OWNERS[j] == query]
        typed = [vectors[j] + tuned.kinds.weight[KINDS[j]] for j in mine]
        bias = [tuned.kind_weight[KINDS[j]] for j in mine]
        keys = (torch.tanh(tuned.key.weight @ t + tuned.key.bias) for t in typed)
        logits = torch.stack(
            [tuned.query @ key + b for key, b in zip(keys, bias, strict=True)]
        )
        share = logits.exp() / logits.exp().sum()
        c = sum(
            a * (vectors[j] + tuned.value.weight @ t)
            for a, j, t in zip(share, mine, typed, strict=True)
        )
        assert torch.allclose(out[query], c / c.norm(), atol=1e-5)


def test_it_starts_as_the_mean_of_what_is_at_hand(vectors):
    out = ContextEncoder(D)(vectors, KINDS, OWNERS, 4)
    for query in (0, 1, 3):
        assert torch.allclose(
            out[query], normalize(vectors[query == OWNERS].mean(0), dim=0), atol=1e-6
        )


def test_an_ask_with_nothing_at_hand_is_zero(tuned, vectors):
    assert (tuned(vectors, KINDS, OWNERS, 4)[2] == 0).all()
    none = torch.zeros(0, dtype=torch.long)
    assert (tuned(vectors[:0], none, none, 3) == torch.zeros(3, D)).all()


def test_the_order_at_hand_does_not_matter(tuned, vectors):
    order = torch.tensor([5, 2, 0, 4, 3, 1])
    out = tuned(vectors[order], KINDS[order], OWNERS[order], 4)
    assert torch.allclose(out, tuned(vectors, KINDS, OWNERS, 4), atol=1e-6)


def test_what_it_is_does_matter(tuned, vectors):
    other = KINDS.clone()
    other[0] = ITEM
    changed = (
        (tuned(vectors, other, OWNERS, 4) - tuned(vectors, KINDS, OWNERS, 4))
        .abs()
        .sum(1)
    )
    assert changed[0] > 1e-3 and (changed[1:] == 0).all()


@pytest.mark.parametrize("sharp", [1, 1000])
def test_an_ask_is_the_same_alone_and_among_others(tuned, vectors, sharp):
    """However far apart the queries' logits are."""
    tuned.query.data *= sharp
    tuned.kind_weight.data *= sharp
    together = tuned(vectors, KINDS, OWNERS, 4)
    for query in (0, 1, 3):
        mine = torch.eq(OWNERS, query)
        alone = tuned(
            vectors[mine],
            KINDS[mine],
            torch.zeros(int(mine.sum()), dtype=torch.long),
            1,
        )[0]
        assert torch.allclose(alone, together[query], atol=1e-5)
        assert together[query].norm().item() == pytest.approx(1, abs=1e-5)


def test_every_part_learns(vectors):
    """The key learns once the query has left zero."""
    context = ContextEncoder(D)
    torch.nn.init.normal_(context.query)
    target = torch.randn(4, D, generator=torch.Generator().manual_seed(0))
    (context(vectors, KINDS, OWNERS, 4) * target).sum().backward()
    assert [
        n for n, p in context.named_parameters() if p.grad is None or not p.grad.any()
    ] == []
