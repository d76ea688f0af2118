"""Candidates against dense matrices."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from fusion.model.features import (
    MetapathFeatures,
)
from fusion.query_batch import Ragged
from tests.fusion.model.dense import ITEMS, RETRIEVING, by_name


@pytest.mark.parametrize("each", [1, 2, 4])
def test_candidates_are_the_strongest_of_each_retrieving_feature_and_the_extra(
    counts, mixed, each
):
    extra = torch.arange(len(mixed))[:, None] + 6
    rows, _ = MetapathFeatures(counts)(mixed, each, extra)
    for b in range(len(mixed)):
        hand, values = (
            set(mixed.context[b].tolist()),
            by_name(counts, mixed.users[b], mixed.context[b]),
        )
        sure, maybe = {b + 6}, {b + 6}
        for name in (*RETRIEVING, "popularity", "recent popularity"):
            left = np.array(
                [-1 if row in hand else value for row, value in enumerate(values[name])]
            )
            least = np.sort(left)[-each]
            positive = left > (
                -1 if "popularity" in name else 0
            )  # the popular come whatever their count
            sure |= set(np.flatnonzero((left > least) & positive))
            maybe |= set(np.flatnonzero((left >= least) & positive))
        found = set(rows[b].tolist()) - {-1}
        assert sure - hand <= found <= maybe - hand


@pytest.mark.parametrize("each", [1, 3, ITEMS, 100])
def test_candidates_are_distinct_ascending_padded_and_no_context_items(
    counts, mixed, each
):
    rows, _ = MetapathFeatures(counts)(
        mixed, each, torch.tensor([[3, 1, 2]] * len(mixed))
    )
    assert (rows >= 0).any(0).all()  # no column of nothing but padding
    for b, found in enumerate(rows.tolist()):
        real = [r for r in found if r >= 0]
        assert found == real + [-1] * (len(found) - len(real))
        assert all(a < c for a, c in pairwise(real)) and max(real) < ITEMS
        assert not set(real) & set(mixed.context[b].tolist())


@pytest.mark.parametrize("each", [1, 2, 4])
def test_excluded_items_take_no_candidates_place(counts, mixed, each):
    """The candidates are the strongest of the rest, and paths say of them what they said."""
    masked = Ragged.of([[1, 2, 8], [], [0, 3], [5], [6, 7, 9, 11], [2]])
    features, hidden = MetapathFeatures(counts), replace(mixed, exclude=masked)
    whole, all_phi = features(mixed, ITEMS)
    rows, phi = features(hidden, each)
    for b in range(len(mixed)):
        barred = {*mixed.context[b].tolist(), *masked[b].tolist()}
        values = by_name(counts, mixed.users[b], mixed.context[b])
        sure: set[int] = set()
        for name in (*RETRIEVING, "popularity", "recent popularity"):
            left = np.array(
                [
                    -1 if row in barred else value
                    for row, value in enumerate(values[name])
                ]
            )
            best = np.flatnonzero(left > np.sort(left)[-each - 1])
            sure |= set(best[left[best] > (-1 if "popularity" in name else 0)].tolist())
        found = [row for row in rows[b].tolist() if row >= 0]
        assert sure <= set(found) and not barred & set(found)
        for place, row in enumerate(found):
            if row in whole[b].tolist():
                assert torch.equal(
                    phi[b, place], all_phi[b, whole[b].tolist().index(row)]
                )
    alone, _ = features(mixed, each)
    assert (
        rows[1][rows[1] >= 0].tolist() == alone[1][alone[1] >= 0].tolist()
    )  # of which nothing is masked
    none, _ = features(replace(mixed, exclude=Ragged.of([[]] * len(mixed))), each)
    assert torch.equal(none, alone)  # nor does a mask of nothing change anything
    twice, _ = features(replace(mixed, exclude=mixed.context), each)
    assert torch.equal(twice, alone)  # context items are excluded as all others are


def test_an_empty_query_retrieves_popular_items(counts, queries):
    rows, phi = MetapathFeatures(counts)(queries((-1, [], 0)), each=2)
    both = (counts.item["popularity"], counts.item["recent popularity"])
    popular = {
        row for taken in both for row in np.argsort(-taken, kind="stable")[:2].tolist()
    }
    assert set(rows[0].tolist()) <= popular and len(rows[0]) >= 2
    names = MetapathFeatures(counts).names
    about_items = [name in counts.item for name in names]
    assert (
        not phi[..., ~torch.tensor(about_items)].any()
        and phi[..., torch.tensor(about_items)].any()
    )


def test_a_query_with_every_item_in_context_has_no_candidates(counts, queries):
    rows, phi = MetapathFeatures(counts)(queries((0, range(ITEMS), 0)), each=5)
    assert (rows == -1).all() and phi.isfinite().all()


def test_candidates_and_features_do_not_depend_on_the_batch(counts, mixed):
    features = MetapathFeatures(counts)
    together, phi = features(mixed, each=4)
    for b in range(len(mixed)):
        rows, alone = features(mixed.take(np.array([b])), each=4)
        here = together[b] >= 0
        assert rows[0][rows[0] >= 0].tolist() == together[b, here].tolist()
        assert (alone[0, rows[0] >= 0] == phi[b, here]).all()
