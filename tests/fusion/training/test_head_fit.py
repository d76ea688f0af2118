import numpy as np
import pytest
import torch

from fusion.model.features import MetapathFeatures
from fusion.model.head import FeatureHead
from fusion.training.config import HeadConfig
from fusion.training.head_fit import HeadBatch, pretrain_head
from kg.graph import build_graph
from kg.metapaths.count import count_paths


@pytest.fixture(scope="module")
def fold(shop, queries):
    """A graph, and queries whose targets the users took most often: counts alone tell."""
    graph = build_graph(shop())
    counts = count_paths(graph)
    own = counts.user_item["user-item"].toarray()
    users = [user for user in range(len(own)) if own[user].max() > 0]
    some = queries(*((user, [], int(own[user].argmax())) for user in users * 20))
    return MetapathFeatures(counts), some


def head_of(fold):
    torch.manual_seed(0)
    return FeatureHead(len(fold[0].names), 3, hidden=16)


def right(head, fold):
    """Share of the queries whose target comes first."""
    features, queries = fold
    rows, phi = features(queries, 10)
    with torch.no_grad():
        best = head.eval().of_counts(phi).masked_fill(rows < 0, -torch.inf).argmax(1)
    return (rows.gather(1, best[:, None])[:, 0].numpy() == queries.targets.rows).mean()


def test_the_head_learns_what_counts_tell(fold):
    head = head_of(fold)
    mix = {name: p.clone() for name, p in head.mix.named_parameters()}
    pretrain_head(head, [fold], 10, HeadConfig(), 0, 0, progress=False)
    assert right(head, fold) < 0.7  # scales alone say nothing
    pretrain_head(
        head, [fold], 10, HeadConfig(batch=16, lr=0.01), 30, 0, progress=False
    )
    assert right(head, fold) > 0.95
    assert all(torch.equal(p, mix[name]) for name, p in head.mix.named_parameters())


def test_equal_seeds_give_equal_heads_and_gradients_stay_as_they_were(fold):
    heads = []
    for seed in (1, 1, 2):
        head = head_of(fold)
        head.net.requires_grad_(False)
        pretrain_head(head, [fold], 10, HeadConfig(batch=16), 2, seed, progress=False)
        assert not any(p.requires_grad for p in head.net.parameters())
        heads.append(torch.cat([p.flatten() for p in head.parameters()]))
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])


def test_asks_whose_target_no_path_brings_teach_nothing(fold, queries):
    features, _ = fold
    head = head_of(fold)
    before = [p.clone() for p in head.parameters()]
    nothing = queries(
        *((0, [int(i)], int(i)) for i in np.zeros(5))
    )  # what is at hand is never a candidate
    pretrain_head(head, [(features, nothing)], 10, HeadConfig(), 2, 0, progress=False)
    assert all(
        torch.equal(p, old) for p, old in zip(head.parameters(), before, strict=True)
    )


@pytest.mark.parametrize("few", [1, 3])
def test_a_few_wrong_candidates_teach_the_same(fold, few):
    head = head_of(fold)
    pretrain_head(
        head,
        [fold],
        10,
        HeadConfig(batch=16, lr=0.01, negatives=few),
        30,
        0,
        progress=False,
    )
    assert right(head, fold) > 0.9


def test_the_right_one_is_always_kept_and_what_is_no_candidate_never(queries):
    some = queries(*((-1, [], target) for target in (5, 7, 9, 4)))
    rows = torch.tensor(
        [
            [1, 2, 3, 5, 6, 8],
            [0, 2, 7, -1, -1, -1],
            [0, 1, 2, 3, 4, 5],
            [4, 5, 6, 7, 8, 9],
        ]
    )
    torch.manual_seed(0)
    part = HeadBatch.of(some, rows, 2, rows[..., None].float())
    values = part.tensors[0][..., 0]
    assert (
        part.real.shape == part.right.shape == (3, 3)
    )  # the third query's target is none of its candidates
    assert part.right.sum(1).tolist() == [1, 1, 1]
    assert values[part.right].tolist() == [5, 7, 4]
    assert (part.real == (values >= 0)).all() and part.real.sum(1).tolist() == [3, 3, 3]
    assert len(set(values[0].tolist())) == 3
    whole = HeadBatch.of(some, rows, 0, rows)
    assert torch.equal(whole.tensors[0], rows[[0, 1, 3]])
