import pytest
import torch
from torch.nn.functional import normalize

from fusion.model.gate import Concatenation, Gate, Sum

N, D = 200, 6
KINDS = pytest.mark.parametrize("kind", [Gate, Concatenation])


def tuned(kind, drop=0.1, seed=0):
    """A gate that has left its starting point."""
    torch.manual_seed(seed)
    gate = kind(D, drop)
    for parameter in gate.parameters():
        torch.nn.init.normal_(parameter)
    return gate


@pytest.fixture
def nodes():
    """Graph and text vectors of any length, degrees, and which nodes have words."""
    torch.manual_seed(1)
    return (
        torch.randn(N, D) * 3,
        torch.randn(N, D),
        torch.randint(0, 50, (N,)).float(),
        torch.arange(N) % 4 > 0,
    )


def test_the_formula_by_hand(nodes):
    graph, text, degree, words = nodes
    gate = tuned(Gate).eval()
    fused, share = gate(graph, text, degree, words)
    for n in range(8):
        g_n, t_n = graph[n] / graph[n].norm(), text[n] / text[n].norm()
        inputs = torch.cat([g_n, t_n, (1 + degree[n]).log()[None]])
        g = (
            1 / (1 + (-(gate.linear.weight @ inputs + gate.linear.bias)).exp())
            if words[n]
            else torch.ones(D)
        )
        z = g * g_n + (1 - g) * t_n
        assert torch.allclose(fused[n], z / z.norm(), atol=1e-6)
        assert share[n].item() == pytest.approx(1 - g.mean().item(), abs=1e-6)


def test_concatenation_by_hand(nodes):
    graph, text, degree, words = nodes
    module = tuned(Concatenation).eval()
    weight = torch.cat([module.graph.weight, module.text.weight], 1)
    both = torch.cat([normalize(graph), normalize(text) * words[:, None]], 1)
    fused, share = module(graph, text, degree, words)
    assert torch.allclose(
        fused, normalize(both @ weight.T + module.graph.bias), atol=1e-5
    )
    left = (normalize(graph) @ module.graph.weight.T + module.graph.bias).norm(dim=1)
    right = (both[:, D:] @ module.text.weight.T).norm(dim=1)
    assert torch.allclose(share, right / (left + right), atol=1e-5)


def test_an_untrained_gate_is_the_mean_of_both(nodes):
    graph, text, degree, _ = nodes
    fused, share = Gate(D).eval()(graph, text, degree, torch.ones(N, dtype=torch.bool))
    assert torch.allclose(
        fused, normalize(normalize(graph) + normalize(text)), atol=1e-6
    )
    assert (share == 0.5).all()


def test_a_sum_learns_nothing_and_stays_one(nodes):
    graph, text, degree, words = nodes
    module = Sum(D).eval()
    fused, _ = module(graph, text, degree, words)
    assert torch.allclose(
        fused, normalize(normalize(graph) + normalize(text) * words[:, None]), atol=1e-6
    )
    assert not any(p.requires_grad for p in module.parameters())


def test_the_degree_moves_the_gate(nodes):
    graph, text, degree, _ = nodes
    gate, words = tuned(Gate).eval(), torch.ones(N, dtype=torch.bool)
    gate.linear.weight.data[:, -1] = 5.0
    assert (
        gate(graph, text, degree * 0 + 50, words)[1]
        < gate(graph, text, degree * 0, words)[1]
    ).all()


@KINDS
@pytest.mark.parametrize("training", [True, False])
def test_a_node_without_words_takes_the_graph_alone(nodes, kind, training):
    graph, text, degree, words = nodes
    gate = tuned(kind, 0.3).train(training)
    fused, share = gate(graph, text, degree, words)
    other, _ = gate(graph, torch.full_like(text, 7.0), degree, words)
    assert (share[~words] == 0).all() and (fused[~words] == other[~words]).all()
    if kind is Gate:
        assert torch.allclose(fused[~words], normalize(graph)[~words], atol=1e-6)


@KINDS
@pytest.mark.parametrize("training", [True, False])
def test_vectors_have_length_one_and_shares_lie_in_0_to_1(nodes, kind, training):
    fused, share = tuned(kind).train(training)(*nodes)
    assert torch.allclose(fused.norm(dim=1), torch.ones(N), atol=1e-5)
    assert ((share >= 0) & (share <= 1)).all() and len(share.unique()) > 10


@KINDS
def test_sides_are_dropped_in_training_only(nodes, kind):
    graph, text, degree, words = nodes
    gate = tuned(kind, drop=0.3)
    whole, again = (gate.eval()(graph, text, degree, words)[1] for _ in range(2))
    assert (whole == again).all()
    share = gate.train()(graph, text, degree, words)[1]
    graph_alone, text_alone = (share == 0)[words], (share == 1)[words]
    assert (
        0.15 < graph_alone.float().mean() < 0.45
        and 0.15 < text_alone.float().mean() < 0.45
    )
    neither = ~graph_alone & ~text_alone
    assert torch.allclose(share[words][neither], whole[words][neither])
    gate.drop = 0.0
    assert torch.allclose(gate(graph, text, degree, words)[1], whole)


@KINDS
def test_a_row_does_not_depend_on_the_others(nodes, kind):
    gate = tuned(kind).eval()
    fused, share = gate(*nodes)
    for n in (0, 1, 17):
        one, alone = gate(*(part[n : n + 1] for part in nodes))
        assert torch.allclose(one[0], fused[n], atol=1e-6) and torch.allclose(
            alone[0], share[n], atol=1e-6
        )


@KINDS
def test_nodes_of_which_nothing_is_known_give_no_nan(kind):
    none = torch.zeros(2, D, requires_grad=True)
    fused, share = kind(D).eval()(
        none, none, torch.zeros(2), torch.tensor([True, False])
    )
    (fused.sum() + share.sum()).backward()
    assert (
        fused.isfinite().all()
        and share.isfinite().all()
        and none.grad is not None
        and none.grad.isfinite().all()
    )
