import pytest
import torch
from torch_geometric.nn import GATv2Conv, SAGEConv

from encoders.graph.inputs import NodeInputs
from encoders.graph.layers import Attention, LightGCN, Sage
from encoders.graph.sampler import CSRSampler
from kg.errors import InputError

WIDTH = 8
SIZES = {
    "user": 7,
    "items": 9,
    "brand": 3,
}  # "items" is also the name of a method of ModuleDict
KEYS = [
    ("user", "bought", "items"),
    ("items", "rev_bought", "user"),
    ("items", "made_by", "brand"),
    ("brand", "rev_made_by", "items"),
    ("items", "like", "items"),
]
CONFIGS = [Sage(), Attention(heads=2), LightGCN(), Sage(layers=1), LightGCN(layers=3)]


def graph(seed=0, edges=14):
    """Random edges, repeats among them; the last node of each type has none."""
    torch.manual_seed(seed)
    made: dict[tuple[str, str, str], torch.Tensor] = {}
    for source, name, target in KEYS:
        if name.startswith("rev_"):
            made[(source, name, target)] = made[(target, name[4:], source)].flip(0)
        else:
            ends = [torch.randint(0, SIZES[t] - 1, (edges,)) for t in (source, target)]
            made[(source, name, target)] = torch.cat(
                [torch.stack(ends), torch.stack(ends)[:, :2]], 1
            )
    return {t: torch.randn(n, WIDTH) for t, n in SIZES.items()}, made


def build(config, seed=0):
    torch.manual_seed(seed)
    return config.build(WIDTH, KEYS, list(SIZES))


def same(a, b, atol=1e-5):
    return a.keys() == b.keys() and all(
        torch.allclose(a[t], b[t], atol=atol) for t in a
    )


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_the_order_of_edges_does_not_matter(config):
    x, edges = graph()
    shuffled = {
        key: pair[:, torch.randperm(pair.size(1))]
        for key, pair in reversed(edges.items())
    }
    model = build(config)
    assert same(model(x, edges), model(x, shuffled))


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_renaming_nodes_renames_the_results(config):
    x, edges = graph()
    order = {t: torch.randperm(n) for t, n in SIZES.items()}
    place = {t: torch.argsort(o) for t, o in order.items()}
    moved = {
        key: torch.stack([place[key[0]][pair[0]], place[key[2]][pair[1]]])
        for key, pair in edges.items()
    }
    model = build(config)
    out = model({t: v[order[t]] for t, v in x.items()}, moved)
    assert same(out, {t: v[order[t]] for t, v in model(x, edges).items()})


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_messages_flow_from_source_to_target_and_as_far_as_there_are_layers(config):
    key = ("items", "like", "items")
    x, _ = graph()
    edges = {key: torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])}
    model = build(config)
    before = model(x, edges)["items"]
    x["items"] = x["items"].clone()
    x["items"][0] += 1
    changed = (model(x, edges)["items"] - before).abs().amax(1) > 1e-6
    assert changed.nonzero().flatten().tolist() == list(range(config.layers + 1))


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_nodes_without_edges_keep_a_vector_of_their_own(config):
    x, edges = graph()
    out = build(config)(x, edges)
    lonely = {t: v[-1] for t, v in out.items()}
    assert same(lonely, {t: v[-1] for t, v in build(config)(x, {}).items()})
    for node_type, vector in lonely.items():
        assert vector.norm() > 0.5
        assert vector @ x[node_type][-1] > 0, "and it looks like what came in"


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_full_sample_gives_the_seeds_the_vectors_of_the_whole_graph(config):
    x, edges = graph(1)
    sampler = CSRSampler(edges, SIZES, [-1] * config.layers)
    seeds = {"items": torch.tensor([4, 8, 0]), "user": torch.tensor([2])}
    found = sampler.sample(seeds)
    model = build(config)
    whole, part = (
        model(x, edges),
        model({t: x[t][rows] for t, rows in found.rows.items()}, found.edges),
    )
    for node_type, rows in seeds.items():
        assert torch.allclose(
            part[node_type][: len(rows)], whole[node_type][rows], atol=1e-5
        )


def test_lightgcn_leaves_a_node_without_edges_as_it_was():
    x, edges = graph()
    assert same(
        {t: v[-1] for t, v in build(LightGCN())(x, edges).items()},
        {t: v[-1] for t, v in x.items()},
    )


def test_sage_on_sparse_matrices_is_sage_on_edges():
    x, edges = graph()
    model = build(Sage(layers=1))
    x = {t: v.requires_grad_() for t, v in x.items()}
    into = [key for key in KEYS if key[2] == "items"]
    heard, relations = torch.zeros(9, WIDTH), torch.zeros(9, 1)
    for key in into:
        conv = model.convs["0 " + " ".join(key)]
        assert isinstance(conv, SAGEConv)
        heard = heard + conv((x[key[0]], x["items"]), edges[key])
        relations += torch.isin(torch.arange(9), edges[key][1])[:, None]
    assert len(relations.unique()) > 2, "some nodes lack a relation"
    plain = model.norms["0 items"](
        x["items"]
        + (model.own["0 items"](x["items"]) + heard / relations.clamp(min=1)).relu()
    )
    ours = model(x, {key: edges[key] for key in into})["items"]
    assert torch.allclose(ours, plain, atol=1e-5)
    weight = torch.randn_like(ours)
    wanted = torch.autograd.grad((plain * weight).sum(), x["user"])[0]
    assert torch.allclose(
        torch.autograd.grad((ours * weight).sum(), x["user"])[0], wanted, atol=1e-5
    )


def test_relations_share_a_node_equally_where_it_has_them():
    x = {
        "user": torch.eye(7, WIDTH),
        "items": torch.zeros(9, WIDTH),
        "brand": 4 * torch.eye(3, WIDTH),
    }
    edges = {
        ("user", "bought", "items"): torch.tensor([[0, 1, 0], [0, 0, 1]]),
        ("brand", "rev_made_by", "items"): torch.tensor([[2, 2], [0, 2]]),
    }
    out = build(LightGCN(layers=1))(x, edges)["items"] * 2
    wanted = torch.zeros(3, WIDTH)
    wanted[0, :3] = torch.tensor(
        [0.25, 0.25, 2.0]
    )  # half a relation each, and half a user each
    wanted[1, 0], wanted[2, 2] = 1.0, 4.0
    assert torch.allclose(out[:3], wanted, atol=1e-6)


@pytest.mark.parametrize("config", CONFIGS[:3], ids=str)
def test_every_weight_learns_and_scale_is_sane(config):
    x, edges = graph(edges=40)
    x = {t: v.requires_grad_() for t, v in x.items()}
    model = build(config)
    out = model(x, edges)
    sum((v * torch.randn_like(v)).sum() for v in out.values()).backward()
    assert all(v.grad is not None and v.grad.any() for v in x.values())
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
    assert all(0.1 < float(v.detach().square().mean().sqrt()) < 2 for v in out.values())


def test_attention_is_gatv2_and_its_heads_divide_the_width():
    assert isinstance(build(Attention(heads=4)).convs["1 items like items"], GATv2Conv)
    with pytest.raises(ValueError, match="do not divide"):
        Attention(heads=3).build(WIDTH, KEYS, list(SIZES))


@pytest.mark.parametrize(
    "config", [Sage(dropout=0.5), Attention(heads=2, dropout=0.5)], ids=str
)
def test_dropout_is_only_for_training(config):
    x, edges = graph()
    model = build(config)
    assert not same(model(x, edges), model(x, edges))
    model.eval()
    assert same(model(x, edges), model(x, edges), atol=0)


def test_types_with_no_rows_and_relations_with_no_edges():
    x, edges = graph()
    x["brand"] = x["brand"][:0]
    some = {
        key: pair if "brand" not in key else pair[:, :0] for key, pair in edges.items()
    }
    for config in CONFIGS:
        out = build(config)(x, some)
        assert out["brand"].shape == (0, WIDTH) and out["items"].isfinite().all()


@pytest.mark.parametrize("config", CONFIGS[:3], ids=str)
def test_edges_that_do_not_fit_are_named(config):
    x, edges = graph()
    with pytest.raises(ValueError, match="not built for the edges"):
        build(config)(x, {("user", "viewed", "items"): edges[KEYS[0]]})
    for bad in ([[7], [0]], [[0], [9]], [[-1], [0]]):
        with pytest.raises(ValueError, match="lies outside"):
            build(config)(x, {KEYS[0]: torch.tensor(bad)})


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Sage(layers=0), "layers"),
        (lambda: Attention(dropout=1.0), "dropout"),
        (lambda: Attention(heads=0), "heads"),
        (lambda: LightGCN(layers=0), "layers"),
    ],
)
def test_settings_that_make_no_sense_are_named(make, field):
    with pytest.raises(InputError) as refusal:
        make()
    assert refusal.value.field == field


def test_inputs_add_up_text_own_vector_and_type():
    torch.manual_seed(0)
    inputs = NodeInputs(WIDTH, list(SIZES), {"user": 7, "items": 9})
    kinds, own = inputs.kinds.weight, inputs.get_parameter("nodes.of items.weight")
    rows, text, has = (
        torch.tensor([3, 0]),
        torch.randn(2, 8),
        torch.tensor([True, False]),
    )
    out = inputs("items", rows, text, has)
    assert torch.allclose(out[0], text[0] + own[3] + kinds[1]) and torch.allclose(
        out[1], own[0] + kinds[1]
    )
    assert torch.allclose(inputs("items", rows, text)[1], text[1] + own[0] + kinds[1])
    assert torch.equal(inputs("brand", rows), kinds[2].expand(2, -1))
    assert torch.equal(inputs("brand", rows, text, has)[0], text[0] + kinds[2])
    assert own.std() < 0.05 and own.any()


def test_rows_unknown_in_training_and_those_left_out_have_no_vector_of_their_own():
    inputs = NodeInputs(WIDTH, list(SIZES), {"items": 9})
    kind, own = inputs.kinds.weight[1], inputs.get_parameter("nodes.of items.weight")
    out = inputs(
        "items",
        torch.tensor([2, 9, 12, 4]),
        keep=torch.tensor([True, True, True, False]),
    )
    assert torch.allclose(out, torch.stack([kind + own[2], kind, kind, kind]))
    gradient = torch.autograd.grad(out.sum(), own)[0]
    assert gradient.any(1).nonzero().flatten().tolist() == [2]


def test_a_missing_text_cannot_spoil_a_node():
    inputs = NodeInputs(WIDTH, ["items"], {})
    text = torch.full((2, WIDTH), float("nan"))
    text[1] = 1.0
    assert (
        inputs("items", torch.arange(2), text, torch.tensor([False, True]))
        .isfinite()
        .all()
    )
