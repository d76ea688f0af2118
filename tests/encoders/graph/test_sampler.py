from itertools import combinations

import pytest
import torch
from torch_geometric.data import HeteroData
from torch_geometric.loader import NodeLoader
from torch_geometric.sampler import EdgeSamplerInput

from encoders.graph.sampler import CSRSampler
from kg.errors import InputError

BOUGHT, BACK, LIKE = (
    ("user", "bought", "item"),
    ("item", "rev_bought", "user"),
    ("item", "like", "item"),
)
SIZES = {"user": 40, "item": 60, "brand": 2}


def graph(seed=0, edges=600):
    """Random distinct edges; no edge touches item 59."""
    torch.manual_seed(seed)
    pairs = torch.randperm(40 * 59)[:edges]
    bought = torch.stack([pairs // 59, pairs % 59])
    like = torch.stack(torch.where(torch.rand(59, 59) < 0.1))
    return {BOUGHT: bought, BACK: bought.flip(0), LIKE: like}


def lifted(found, key):
    """A relation's sampled edges in rows of the graph."""
    return torch.stack(
        [
            found.rows[key[0]][found.edges[key][0]],
            found.rows[key[2]][found.edges[key][1]],
        ]
    )


@pytest.mark.parametrize("fanout", [[3], [4, 2], [-1, 3], [5, -1, 1]])
def test_what_is_sampled_is_in_the_graph_and_within_the_fanout(fanout):
    edges = graph()
    sampler = CSRSampler(edges, SIZES, fanout)
    seeds = {"item": torch.tensor([7, 59, 3, 20]), "user": torch.tensor([1, 0])}
    found = sampler.sample(seeds)
    for node_type, rows in found.rows.items():
        given = seeds.get(node_type, torch.zeros(0, dtype=torch.int64))
        assert torch.equal(rows[: len(given)], given), "seeds first, in their order"
        assert len(rows.unique()) == len(rows) == sum(found.nodes_by_hop[node_type])
    for key, pair in edges.items():
        assert torch.equal(lifted(found, key), pair[:, found.edge_ids[key]])
        assert len(found.edge_ids[key].unique()) == len(found.edge_ids[key]), (
            "no edge twice"
        )
        degree = torch.bincount(pair[1], minlength=SIZES[key[2]])[found.rows[key[2]]]
        got = torch.bincount(found.edges[key][1], minlength=len(degree))
        first = 0
        for hop, most in enumerate(fanout):
            here = slice(first, first := first + found.nodes_by_hop[key[2]][hop])
            wanted = degree[here] if most < 0 else degree[here].clamp(max=most)
            assert torch.equal(got[here], wanted), (
                "all where there are few, else exactly as many as allowed"
            )
            assert found.edges_by_hop[key][hop] == wanted.sum()
        assert not got[first:].any(), "what the last hop found is not expanded"


def test_full_fanout_is_the_exact_neighbourhood():
    edges = graph()
    reached: dict[str, set[int]] = {"item": {5, 6}, "user": set()}
    wanted: dict[tuple[str, str, str], set[tuple[int, int]]] = {
        key: set() for key in edges
    }
    for _ in range(2):
        before = {t: set(rows) for t, rows in reached.items()}
        for key, pair in edges.items():
            inside = [(s, t) for s, t in pair.T.tolist() if t in before[key[2]]]
            wanted[key] |= set(inside)
            reached[key[0]] |= {s for s, _ in inside}
    found = CSRSampler(edges, SIZES, [-1, -1]).sample({"item": torch.tensor([5, 6])})
    assert {t: set(found.rows[t].tolist()) for t in reached} == reached
    for key in edges:
        assert {tuple(e) for e in lifted(found, key).T.tolist()} == wanted[key]


@pytest.mark.parametrize(("degree", "fanout"), [(5, 2), (5, 3), (3, 2), (2, 1)])
def test_every_subset_is_equally_likely(degree, fanout):
    edges = {
        BOUGHT: torch.stack(
            [torch.arange(degree), torch.zeros(degree, dtype=torch.int64)]
        )
    }
    sampler = CSRSampler(edges, {"user": degree, "item": 1}, [fanout])
    counts = dict.fromkeys(combinations(range(degree), fanout), 0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(1000):
        found = sampler.sample({"item": torch.tensor([0])}, generator)
        counts[tuple(sorted(found.rows["user"].tolist()))] += 1
    wanted = 1000 / len(counts)
    chi = sum((c - wanted) ** 2 / wanted for c in counts.values())
    assert chi < 27.9, (
        f"chi-squared with at most 9 degrees of freedom, p < .001: {counts}"
    )


def test_the_same_generator_gives_the_same_sample():
    edges, seeds = graph(), {"item": torch.arange(20)}

    def draw(sampler, generator=None):
        return sampler.sample(seeds, generator).edge_ids[BOUGHT]

    sampler = CSRSampler(edges, SIZES, [3, 2], seed=5)
    one, two = (draw(sampler, torch.Generator().manual_seed(s)) for s in (1, 2))
    assert torch.equal(one, draw(sampler, torch.Generator().manual_seed(1)))
    assert not torch.equal(one, two)
    first = draw(sampler)
    assert not torch.equal(first, draw(sampler)), "its own generator goes on"
    assert torch.equal(first, draw(CSRSampler(edges, SIZES, [3, 2], seed=5)))
    assert not torch.equal(first, draw(CSRSampler(edges, SIZES, [3, 2], seed=6)))


def test_isolated_seeds_survive_and_no_seeds_give_nothing():
    sampler = CSRSampler(graph(), SIZES, [3, 2])
    found = sampler.sample({"item": torch.tensor([59]), "brand": torch.tensor([1])})
    assert {t: rows.tolist() for t, rows in found.rows.items()} == {
        "user": [],
        "item": [59],
        "brand": [1],
    }
    assert all(pair.shape == (2, 0) for pair in found.edges.values())
    assert not any(len(rows) for rows in sampler.sample({}).rows.values())


def test_repeated_edges_are_kept_apart():
    edges = {BOUGHT: torch.tensor([[0, 0, 1], [0, 0, 0]])}
    found = CSRSampler(edges, {"user": 2, "item": 1}, [-1]).sample(
        {"item": torch.tensor([0])}
    )
    assert found.edges[BOUGHT].tolist() == [[0, 0, 1], [0, 0, 0]] and found.rows[
        "user"
    ].tolist() == [0, 1]


def test_a_node_loader_can_use_it():
    edges = graph()
    data = HeteroData(
        {"user": {"x": torch.arange(40.0)}, "item": {"x": torch.arange(60.0)}}
    )
    for key, pair in edges.items():
        data[key].edge_index, data[key].edge_attr = pair, torch.arange(pair.size(1))
    sampler = CSRSampler(edges, {"user": 40, "item": 60}, [4, 2])
    loader = NodeLoader(
        data, sampler, input_nodes=("item", torch.arange(30, 60)), batch_size=8
    )
    seeds = []
    for batch in loader:
        seeds += batch["item"].x[: batch["item"].batch_size].tolist()
        for key, pair in edges.items():
            ends = [
                batch[t].x[i].long()
                for t, i in zip((key[0], key[2]), batch[key].edge_index, strict=True)
            ]
            assert torch.equal(torch.stack(ends), pair[:, batch[key].edge_attr])
    assert seeds == list(range(30, 60))


def test_what_does_not_fit_is_named():
    edges = graph()
    for fanout in ([], [0], [3, -2]):
        with pytest.raises(InputError) as refusal:
            CSRSampler(edges, SIZES, fanout)
        assert refusal.value.field == "fanout"
    with pytest.raises(ValueError, match="no size of 'item'"):
        CSRSampler(edges, {"user": 40}, [2])
    with pytest.raises(ValueError, match="'item' lies outside"):
        CSRSampler(edges, {"user": 40, "item": 58}, [2])
    sampler = CSRSampler(edges, SIZES, [2])
    for given, word in (([1, 2, 1], "repeat"), ([60], "outside"), ([-1], "outside")):
        with pytest.raises(ValueError, match=word):
            sampler.sample({"item": torch.tensor(given)})
    with pytest.raises(ValueError, match="seeds of 'shop'"):
        sampler.sample({"shop": torch.tensor([0])})
    ends = torch.tensor([0])
    with pytest.raises(NotImplementedError, match="starts from nodes"):
        sampler.sample_from_edges(EdgeSamplerInput(None, ends, ends))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_a_full_sample_is_the_same():
    edges, seeds = graph(), {"item": torch.arange(10)}
    here = CSRSampler(edges, SIZES, [-1, -1]).sample(seeds)
    there = CSRSampler(edges, SIZES, [-1, -1]).to("cuda").sample(seeds)
    for key in edges:
        assert torch.equal(here.edges[key], there.edges[key].cpu())
