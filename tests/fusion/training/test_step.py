"""One training step: what learns, what is encoded anew, and at which price."""

import numpy as np
import pytest
import torch

from fusion.model.inputs import encode_words
from fusion.training.step import TrainingStep

WHOLE = pytest.mark.parametrize("whole", [True, False], ids=["whole", "sampled"])


def run(small, whole=True, budget=-1, hand=-1, text_only=False, queries=None, seed=0):
    """Losses of a step, with every gradient of before gone."""
    model, snapshot, usual, source, embeddings = small
    model.zero_grad()
    generator = torch.Generator().manual_seed(seed)
    step = TrainingStep(model, whole, budget, hand)
    return step(
        snapshot,
        usual if queries is None else queries,
        embeddings,
        source,
        generator,
        text_only,
    )


def learning(model):
    """The parameters that a backward pass reached."""
    return {
        name
        for name, p in model.named_parameters()
        if p.grad is not None and p.grad.any()
    }


@pytest.fixture(autouse=True)
def own_vectors_stay(monkeypatch):
    monkeypatch.setattr("fusion.model.hybrid.ID_DROP", 0.0)


def still(small):
    """Without chance: neither sides, own vectors nor neighbours are dropped."""
    return small(modality_drop=0.0, head_dropout=0.0, fanout=(-1, -1))


@pytest.fixture
def encoded(small):
    """A small hybrid, and the numbers of the texts that each step encodes."""
    made, seen = small(modality_drop=0.0), []
    encode = made.source.encode

    def noted(distinct):
        seen.append(distinct.tolist())
        return encode(distinct)

    made.source.encode = noted
    return made, seen


@WHOLE
def test_one_backward_pass_reaches_every_part(small, whole):
    """BERT's tuned layer and nothing below it, the GNN, the gate, the context and the head."""
    made = still(small)
    found = run(made, whole)
    found.total(0.5).backward()
    reached = learning(made.model)
    wanted = (
        "text.model.encoder.layer.1.attention.self.query",
        "text.model.encoder.layer.1.output.dense",
        "text.projection.weight",
        "inputs.nodes.of item",
        "inputs.nodes.of user",
        "inputs.kinds",
        "gnn.convs",
        "gnn.own",
        "gate.linear",
        "context.query",
        "context.key",
        "context.value",
        "context.kind_weight",
        "head.net.0",
        "head.net.6",
        "log_scale",
        "log_weight",
    )
    assert not [
        part for part in wanted if not any(name.startswith(part) for name in reached)
    ]
    assert not [
        name for name in reached if "encoder.layer.0" in name or "embeddings" in name
    ]
    assert all(
        p.grad is None or p.grad.isfinite().all() for p in made.model.parameters()
    )
    tuned = {n for n, p in made.model.named_parameters() if p.requires_grad}
    # a query sees all alike, so the key's bias alone of attention stays; a brand's own vector
    # goes through the GNN
    assert not {n for n in tuned - reached if "text.model" in n and "key.bias" not in n}


@WHOLE
@pytest.mark.parametrize("loss", ["candidates", "catalogue"])
def test_either_loss_alone_reaches_bert_and_the_graph(small, whole, loss):
    made = still(small)
    getattr(run(made, whole), loss).backward()
    reached = learning(made.model)
    for part in (
        "text.model.encoder.layer.1",
        "text.projection",
        "gnn",
        "inputs.nodes.of item",
        "gate",
        "context",
    ):
        assert any(name.startswith(part) for name in reached), part
    assert any(name.startswith("head") for name in reached) == (loss == "candidates")


@WHOLE
def test_the_heads_own_gradient_reaches_bert_and_the_graph(small, whole):
    """With the vectors' own say in the score turned off."""
    made = still(small)
    made.model.log_weight.data.fill_(-torch.inf)
    torch.nn.init.normal_(made.model.head.mix[-1].weight)  # a correction that has begun
    run(made, whole).candidates.backward()
    reached = learning(made.model)
    for part in (
        "text.model.encoder.layer.1",
        "text.projection",
        "gnn",
        "gate",
        "context",
        "head",
    ):
        assert any(name.startswith(part) for name in reached), part


def test_a_step_of_descent_lowers_the_loss(small):
    made = still(small)
    before = run(made).total(0.5)
    before.backward()
    with torch.no_grad():
        for p in made.model.parameters():
            if p.grad is not None:
                p -= 1e-3 * p.grad
    assert run(made).total(0.5) < before


def test_whole_and_sampled_steps_say_the_same_where_everything_is_sampled_and_the_bank_is_fresh(
    small,
):
    made = still(small)
    whole, sampled = (run(made, which) for which in (True, False))
    for one, other in zip(whole, sampled, strict=True):
        assert one.item() == pytest.approx(other.item(), abs=1e-5)


def test_sampled_steps_give_the_context_the_gradient_of_whole_steps(small):
    made = still(small)
    run(made, whole=True).total(0.5).backward()
    whole = made.model.context.value.weight.grad.clone()
    run(made, whole=False).total(0.5).backward()
    assert (
        torch.allclose(whole, made.model.context.value.weight.grad, atol=1e-5)
        and whole.any()
    )


@WHOLE
@pytest.mark.parametrize(
    "off", ["", "text", "graph", "paths", "text graph", "graph paths", "text paths"]
)
def test_every_combination_of_parts_learns(small, whole, off):
    made = small(**dict.fromkeys(off.split(), False), vector_candidates=14)
    found = run(made, whole)
    found.total(0.5).backward()
    reached = learning(made.model)
    assert found.candidates > 0 and (found.catalogue > 0) == made.model.config.vectors
    for name, starts in (
        ("text", "text.model.encoder.layer.1"),
        ("graph", "gnn"),
        ("paths", "head"),
    ):
        assert any(n.startswith(starts) for n in reached) == (name not in off)


@WHOLE
def test_a_text_budget_of_0_gives_bert_no_gradient_but_the_rest(encoded, whole):
    made, seen = encoded
    before = made.embeddings.text.clone()
    run(made, whole, budget=0).total(0.5).backward()
    reached = learning(made.model)
    assert seen == [] and not [n for n in reached if n.startswith("text.")]
    assert any(n.startswith("gnn") for n in reached) and any(
        n.startswith("gate") for n in reached
    )
    assert torch.equal(made.embeddings.text, before)


def test_a_text_budget_of_minus_1_encodes_all_texts_that_occur(encoded):
    made, seen = encoded
    run(made, budget=-1)
    assert [sorted(rows) for rows in seen] == [list(range(len(made.embeddings.text)))]


@WHOLE
@pytest.mark.parametrize("budget", [1, 3, 5])
def test_a_text_budget_is_kept_and_spent_on_the_asks_own_nodes_first(
    encoded, whole, budget
):
    made, seen = encoded
    queries = made.queries.take(np.array([0]))
    run(made, whole, budget, queries=queries)
    (rows,) = seen
    distinct = made.snapshot.distinct["item"][
        torch.as_tensor([*queries.targets.rows, *queries.context.rows])
    ]
    own = set(distinct[distinct >= 0].tolist())
    assert len(rows) == len(set(rows)) == budget
    assert set(rows) <= own if budget <= len(own) else own < set(rows)
    seen.clear()
    run(made, whole, budget, queries=queries, seed=0)
    assert seen == [rows]  # by seed


@WHOLE
def test_the_texts_of_a_step_are_banked_without_gradient(encoded, whole):
    made, seen = encoded
    made.embeddings.text = torch.zeros_like(made.embeddings.text)
    run(made, whole, budget=3)
    fresh = made.source.encode_all()
    anew = torch.isin(torch.arange(len(fresh)), torch.tensor(seen[0]))
    assert (
        torch.allclose(made.embeddings.text[anew], fresh[anew], atol=1e-5)
        and not made.embeddings.text[~anew].any()
    )
    assert not made.embeddings.text.requires_grad


@WHOLE
def test_language_alone_leaves_the_graph_as_it_is_and_out_of_the_loss(small, whole):
    made = still(small)
    found = run(made, whole, text_only=True)
    found.catalogue.backward()
    reached = learning(made.model)
    assert any(n.startswith("text.model.encoder.layer.1") for n in reached)
    assert not [n for n in reached if n.startswith(("gnn", "inputs", "gate", "head"))]
    torch.nn.init.normal_(made.model.inputs.nodes["of item"].weight)
    made.embeddings.items = made.model.encode(
        made.snapshot, made.source.encode_all()
    ).items
    assert run(made, whole, text_only=True).catalogue.item() == pytest.approx(
        found.catalogue.item(), abs=1e-5
    )


@WHOLE
def test_words_of_asks_reach_bert(small, queries, whole):
    made = still(small)
    spoken = queries((-1, [], 6), (-1, [], 2), texts=["thing of kind 3", "kind 1"])
    run(made, whole, budget=0, queries=spoken).total(0.5).backward()
    assert any(n.startswith("text.model.encoder.layer.1") for n in learning(made.model))


def test_words_are_encoded_in_their_place(small, queries):
    made = small()
    made.model.eval()
    spoken = queries(*[(-1, [], 0)] * 4, texts=["red", " ", "blue jeans", "red"])
    with torch.no_grad():
        words = encode_words(made.model, spoken, torch.device("cpu"))
        assert torch.allclose(
            words[[0, 2]], made.model.text.encode(["red", "blue jeans"]), atol=1e-5
        )
    assert torch.equal(words[0], words[3]) and not words[1].any() and words[0].any()


def test_steps_with_one_seed_are_the_same(small):
    made = small()
    values = []
    for seed in (0, 0):
        torch.manual_seed(seed)
        values.append(
            [v.item() for v in run(made, whole=False, budget=2, hand=1, seed=seed)]
        )
    assert values[0] == values[1]
