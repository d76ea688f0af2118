"""The hybrid on a small random graph; items 12 and 13 are cold, item 1 has no words."""

import pytest
import torch
from torch.nn.functional import normalize

from fusion.model.context import ContextEncoder
from tests.fusion.model.scored import PARTS, scored


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_every_combination_of_parts_encodes_and_scores(small, part):
    made = small(**part)
    model, snapshot, queries, _, embeddings = made
    for side, size in (
        (embeddings.items, snapshot.items),
        (embeddings.users, snapshot.users),
    ):
        assert [tuple(v.shape) for v in side] == [(size, 16)] * 3 + [(size,)]
        for vectors in side[:3]:
            length = vectors.norm(dim=1)
            assert ((length - 1).abs().minimum(length) < 1e-5).all()
        assert ((side.share >= 0) & (side.share <= 1)).all()
    found = scored(made)
    assert found.vector.shape == (len(queries), snapshot.items)
    assert (
        found.score.shape
        == found.rows.shape
        == found.phi.shape[:2]
        == found.similarities.shape[:2]
    )
    assert found.similarities.shape[2] == 3 and found.phi.shape[2] == len(
        snapshot.features.names
    )
    assert (found.score.isfinite() == (found.rows >= 0)).all() and (
        found.rows >= 0
    ).any(1).all()
    assert not [p for p in model.parameters() if p.grad is not None]


def test_words_alone(small):
    embeddings = small(graph=False, paths=False).embeddings
    assert (
        torch.equal(embeddings.items.fused, embeddings.items.text)
        and not embeddings.items.graph.any()
    )
    assert embeddings.items.share.tolist() == [
        0.0 if n == 1 else 1.0 for n in range(14)
    ]
    assert not embeddings.users.fused.any()  # of users nothing is written


def test_the_graph_alone(small):
    embeddings = small(text=False, paths=False).embeddings
    assert (
        torch.allclose(embeddings.items.fused, embeddings.items.graph, atol=1e-6)
        and not embeddings.items.text.any()
    )
    assert (
        not embeddings.items.share.any()
        and not embeddings.users.share.any()
        and embeddings.users.fused.any(1).all()
    )


def test_counted_paths_alone(small):
    made = small(text=False, graph=False)
    found = scored(made)
    assert not made.embeddings.items.fused.any() and not found.similarities.any()
    assert torch.allclose(
        found.score,
        made.model.head(found.phi, found.similarities).masked_fill(
            found.rows < 0, -torch.inf
        ),
    )


def test_words_graph_and_gate_make_one_vector(small):
    model, snapshot, _, source, embeddings = small()
    texts = source.encode_all()
    graph = model.eval().message(snapshot, snapshot.all_rows, snapshot.edges, texts)[
        "item"
    ]
    distinct = snapshot.distinct["item"]
    text = texts[distinct.clamp(min=0)] * (distinct >= 0)[:, None]
    fused, share = model.gate(graph, text, snapshot.degree["item"], distinct >= 0)
    for found, expected in zip(
        embeddings.items, (fused, normalize(graph), normalize(text), share), strict=True
    ):
        assert torch.allclose(found, expected, atol=1e-6)


def test_candidates_come_from_counts_and_vectors(small):
    made = small(vector_candidates=2, cold_candidates=1)
    snapshot, queries, found = made.snapshot, made.queries, scored(made)
    by_counts, _ = snapshot.features(queries, made.model.config.candidates_per_path)
    nearest = found.vector.topk(2).indices
    new = snapshot.cold_items[found.vector[:, snapshot.cold_items].argmax(1)]
    for b in range(len(queries)):
        brought = {*by_counts[b].tolist(), *nearest[b].tolist(), new[b].item()} - {-1}
        assert (
            set(found.rows[b].tolist()) - {-1} == brought
            and not set(queries.context[b].tolist()) & brought
        )
    assert set(new.tolist()) <= {12, 13}


def test_a_text_query_retrieves_items_of_that_text(small, queries):
    made = small(tune="frozen", graph=False, paths=False)
    made.model.context = ContextEncoder(
        16
    )  # as it starts: the query's vector is that of its words
    title = "thing of kind 3"  # of items 6 and 7
    found = scored(made, queries((-1, [], 0), (-1, [], 0), texts=[title, "  "]))
    assert set(found.vector[0].topk(2).indices.tolist()) == {6, 7}
    assert found.vector[0].max().item() == pytest.approx(
        made.model.log_scale.exp().item(), abs=1e-4
    )
    same = (found.rows[0] == 6) | (found.rows[0] == 7)
    assert torch.allclose(
        found.similarities[0, same, 1], torch.ones(2), atol=1e-4
    )  # in text space too
    assert not found.vector[1].any()  # blank words are none


def test_encode_has_no_gradient_and_no_dropout_and_keeps_the_mode(small, monkeypatch):
    monkeypatch.setattr("fusion.model.hybrid.ID_DROP", 0.5)
    model, snapshot, _, source, embeddings = small(modality_drop=0.5)
    for training in (True, False):
        model.train(training)
        again = model.encode(snapshot, source.encode_all())
        assert model.training is training and model.gate.training is training
        for one, other in zip(again.items, embeddings.items, strict=True):
            assert torch.equal(one, other) and not one.requires_grad


@pytest.mark.parametrize("row", [0, 12])
def test_only_items_that_were_taken_bring_a_vector_of_their_own(small, row):
    model, snapshot, _, source, embeddings = small()
    model.inputs.nodes["of item"].weight.data[row] += 5
    moved = (
        model.encode(snapshot, source.encode_all()).items.graph - embeddings.items.graph
    ).abs().sum(1) > 1e-6
    assert moved[row] == (row == 0)


def test_own_vectors_are_dropped_in_training_only(small, monkeypatch):
    monkeypatch.setattr("fusion.model.hybrid.ID_DROP", 0.5)
    model, snapshot, _, source, _ = small()
    rows, texts = {"item": torch.arange(14)}, source.encode_all()
    seen = []
    model.inputs.register_forward_pre_hook(lambda _, args: seen.append(args[4]))
    for training in (False, True):
        torch.manual_seed(1)
        model.train(training).message(
            snapshot, {**snapshot.all_rows, **rows}, snapshot.edges, texts
        )
    whole, some = (keep for keep in seen if keep is not None)
    assert torch.equal(whole, snapshot.seen_items)
    assert 0 < some.sum() < whole.sum() and not (some & ~whole).any()
