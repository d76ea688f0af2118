"""The hybrid on a small random graph; items 12 and 13 are cold, item 1 has no words."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

import fusion.model.scores
from fusion.model.config import FusionConfig
from fusion.model.context import ContextEncoder
from fusion.model.inputs import encode_words, live_rows
from fusion.model.nodes import Nodes
from fusion.query_batch import Ragged

PARTS: list[dict[str, Any]] = [
    {},
    {"paths": False},
    {"graph": False},
    {"text": False},
    {"graph": False, "paths": False},
    {"text": False, "paths": False},
    {"text": False, "graph": False},
    {"fuse": "concatenation"},
    {"fuse": "sum"},
]


def scored(small, queries=None):
    model, snapshot, usual, _, embeddings = small
    queries = usual if queries is None else queries
    with torch.no_grad():
        return model.eval().score(
            snapshot,
            queries,
            embeddings.items,
            embeddings.users,
            encode_words(model, queries, snapshot.device),
        )


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


def test_looking_at_candidates_alone_changes_nothing(small, monkeypatch):
    made = small()
    found = []
    for few in (0, 10**9):  # gathered rows, and products with the whole catalogue
        monkeypatch.setattr(fusion.model.scores, "FEW", few)
        found.append(scored(made))
    for part, (gathered, whole) in zip(
        found[0]._fields, zip(*found, strict=True), strict=True
    ):
        assert torch.allclose(gathered, whole, atol=1e-6), part
    assert (found[0].similarities[..., 1:] != 0).any()


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


def test_the_score_by_hand(small):
    made = small()
    model, _, queries, _, embeddings = made
    model.log_weight.data.fill_(0.7)
    found = scored(made)
    assert (found.rows < 0).any() and (found.rows >= 0).any(0).all()
    for b in range(len(queries)):
        things = (
            [embeddings.users.fused[queries.users[b]]] if queries.users[b] >= 0 else []
        )
        kinds = [0] * len(things) + [1] * len(queries.context[b])
        things += [embeddings.items.fused[i] for i in queries.context[b]]
        query = model.context(
            torch.stack(things), torch.tensor(kinds), torch.zeros(len(kinds)).long(), 1
        )[0]
        text = normalize(
            sum(embeddings.items.text[i] for i in queries.context[b]), dim=0
        )
        graph = normalize(
            sum(embeddings.items.graph[i] for i in queries.context[b])
            + (
                embeddings.users.graph[queries.users[b]] if queries.users[b] >= 0 else 0
            ),
            dim=0,
        )
        cosine = embeddings.items.fused @ query
        expected = model.log_scale.exp() * cosine
        expected[queries.context[b]] = -torch.inf
        assert torch.allclose(found.vector[b], expected, atol=1e-5)
        for c, row in enumerate(found.rows[b].tolist()):
            if row >= 0:
                similar = torch.stack(
                    [
                        cosine[row],
                        embeddings.items.text[row] @ text,
                        embeddings.items.graph[row] @ graph,
                    ]
                )
                assert torch.allclose(found.similarities[b, c], similar, atol=1e-5)
                features = model.head(
                    found.phi[b, c].view(1, 1, -1), similar.view(1, 1, -1)
                )
                assert found.score[b, c].item() == pytest.approx(
                    (np.exp(0.7) * cosine[row] + features).item(), abs=1e-4
                )


def test_without_paths_the_score_is_the_vectors(small):
    made = small(paths=False)
    found = scored(made)
    here = found.rows >= 0
    expected = made.model.log_weight.exp() * found.similarities[..., 0]
    assert made.model.head is None and torch.allclose(found.score[here], expected[here])


def test_candidates_are_what_counts_and_what_vectors_bring(small):
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


def test_items_at_hand_are_never_scored(small):
    for part in PARTS:
        made = small(**part)
        found = scored(made)
        for b in range(len(made.queries)):
            hand = made.queries.context[b]
            assert (found.vector[b, hand] == -torch.inf).all() and not np.isin(
                hand, found.rows[b]
            ).any()


def test_what_is_masked_is_never_scored(small):
    made = small()
    masked = Ragged.of([[n % 5, 7] for n in range(len(made.queries))])
    found = scored(made, replace(made.queries, exclude=masked))
    assert torch.isinf(found.vector[masked.owners, masked.rows]).all()
    assert torch.isinf(found.vector).sum() == len(
        set(zip(*_ends(made.queries.context, masked), strict=True))
    )
    assert not (
        found.rows[masked.owners] == torch.as_tensor(masked.rows)[:, None]
    ).any()


def _ends(*lists):
    return [
        [*(x for part in lists for x in getattr(part, side).tolist())]
        for side in ("owners", "rows")
    ]


def test_an_ask_scores_the_same_alone_and_among_others(small, queries):
    made = small()
    mixed = queries(
        (0, [1, 2], 3),
        (-1, [], 0),
        (-1, [], 5),
        (3, [], 1),
        (-1, [4], 2),
        texts=["", "", "blue thing", "", "kind"],
    )
    together = scored(made, mixed)
    for b in range(len(mixed)):
        alone = scored(made, mixed.take(np.array([b])))
        here, only = together.rows[b] >= 0, alone.rows[0] >= 0
        assert together.rows[b, here].tolist() == alone.rows[0, only].tolist()
        assert torch.allclose(together.score[b, here], alone.score[0, only], atol=1e-5)
        assert torch.allclose(together.vector[b], alone.vector[0], atol=1e-5)


def test_words_of_an_ask_bring_items_of_those_words(small, queries):
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


def test_a_bank_is_encoded_without_gradient_or_chance_and_leaves_the_mode_as_it_was(
    small, monkeypatch
):
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


def test_straight_through_keeps_values_and_passes_gradient():
    torch.manual_seed(0)
    old = Nodes(torch.randn(5, 3), torch.randn(5, 3), torch.randn(5, 3), torch.rand(5))
    live = Nodes(*(torch.randn_like(part[:2]).requires_grad_() for part in old))
    rows = torch.tensor([3, 1])
    made = old.through(rows, live)
    for part, before, now in zip(made, old, live, strict=True):
        slope = torch.randn_like(part)
        assert torch.allclose(part, before, atol=1e-6) and not before.requires_grad
        (part * slope).sum().backward()
        assert now.grad is not None and torch.equal(now.grad, slope[rows])


@pytest.mark.parametrize("hand", [-1, 0, 1, 2])
def test_live_rows_are_targets_users_and_some_of_what_is_at_hand(small, queries, hand):
    snapshot = small().snapshot
    many = queries((0, [5, 6, 7], 1), (-1, [], 1), (2, [8], 2), (0, [], 3))
    found = live_rows(snapshot, many, torch.Generator().manual_seed(0), hand)
    assert found["user"].tolist() == [0, 2]
    rows = found["item"].tolist()
    assert rows == sorted(set(rows)) and {1, 2, 3} <= set(rows) <= {1, 2, 3, 5, 6, 7, 8}
    at_hand = set(rows) - {1, 2, 3}
    if hand < 0:
        assert at_hand == {5, 6, 7, 8}
    else:
        assert (
            (8 in at_hand) == (hand > 0)
            and len(at_hand - {8}) <= hand
            and (hand == 0 or len(at_hand) > 1)
        )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"text": False, "graph": False, "paths": False}, "at least one"),
        ({"fuse": "glue"}, "one of gate, concatenation, sum"),
        ({"embedding_dim": 0}, "fusion.embedding_dim"),
        ({"candidates_per_path": 0}, "fusion.candidates_per_path"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        FusionConfig(**wrong)
