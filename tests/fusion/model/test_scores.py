"""Scores of the hybrid, by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

import fusion.model.scores
from fusion.query_batch import Ragged
from tests.fusion.model.scored import PARTS, scored


def test_gathered_candidates_score_as_the_whole_catalogue(small, monkeypatch):
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


def test_context_items_are_never_scored(small):
    for part in PARTS:
        made = small(**part)
        found = scored(made)
        for b in range(len(made.queries)):
            hand = made.queries.context[b]
            assert (found.vector[b, hand] == -torch.inf).all() and not np.isin(
                hand, found.rows[b]
            ).any()


def test_excluded_items_are_never_scored(small):
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


def test_scores_do_not_depend_on_the_batch(small, queries):
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
