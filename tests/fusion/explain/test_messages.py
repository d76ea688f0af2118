import pytest
import torch

from encoders.graph.layers import Attention, LightGCN, Sage
from fusion.explain.masks import Masked
from fusion.explain.messages import Messages
from fusion.model.hybrid import Hybrid


def draw(snapshot, cases, seed):
    """Some edges of some relations, each in a case."""
    generator = torch.Generator().manual_seed(seed)
    case, source, target, weight = {}, {}, {}, {}
    for key, edge in snapshot.edges.items():
        chosen = torch.randperm(edge.size(1), generator=generator)[: 2 * cases]
        case[key] = torch.randint(cases, (len(chosen),), generator=generator)
        source[key], target[key] = edge[:, chosen]
        weight[key] = torch.ones(len(chosen))
    return Masked(case, source, target, weight)


EVERY = [
    Sage(),
    Sage(layers=1),
    LightGCN(),
    LightGCN(layers=1),
    Attention(heads=2),
    Sage(layers=3),
]


@pytest.mark.parametrize("gnn", EVERY, ids=str)
def test_masked_edges_are_edges_that_were_never_there(small, gnn):
    made = small()
    snapshot = made.snapshot
    model = Hybrid(
        made.model.config,
        made.model.text,
        gnn,
        snapshot.sizes,
        list(snapshot.edges),
        (snapshot.user, snapshot.item),
        3,
    )
    model.eval()
    texts = made.source.encode_all()
    messages = Messages(model, snapshot, texts)
    assert messages.local == (gnn.layers < 3 and not isinstance(gnn, Attention))
    masked = draw(snapshot, 4, 0)
    wanted = {
        snapshot.item: torch.tensor([3, 5, 7]),
        snapshot.user: torch.tensor([1, 2]),
    }
    found = messages.without(masked, 5, wanted)
    for case in range(5):
        edges = {}
        for key, edge in snapshot.edges.items():
            mine = masked.case[key] == case
            gone = set(
                zip(
                    masked.source[key][mine].tolist(),
                    masked.target[key][mine].tolist(),
                    strict=True,
                )
            )
            keep = torch.tensor(
                [(s, t) not in gone for s, t in edge.T.tolist()], dtype=torch.bool
            )
            edges[key] = edge[:, keep]
        with torch.no_grad():
            out = model.message(snapshot, snapshot.all_rows, edges, texts)
        for kind, rows in wanted.items():
            torch.testing.assert_close(
                found[kind][case], out[kind][rows], rtol=1e-4, atol=1e-5
            )
    whole = model.message(snapshot, snapshot.all_rows, snapshot.edges, texts)
    assert not torch.allclose(
        found[snapshot.item],
        whole[snapshot.item][wanted[snapshot.item]][None],
        atol=1e-4,
    )
    torch.testing.assert_close(
        found[snapshot.item][4],
        whole[snapshot.item][wanted[snapshot.item]],
        rtol=1e-4,
        atol=1e-5,
    )
