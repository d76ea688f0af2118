"""phi and the candidates against dense matrices."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from fusion.model.feature import DECAY, Pool
from fusion.model.features import (
    MetapathFeatures,
    describe,
)
from fusion.model.sparse import Sparse
from fusion.query_batch import QueryBatch, Ragged
from kg.graph import build_graph
from kg.metapaths.count import PathConfig, count_paths

ITEMS, USERS = 14, 6


RETRIEVING = (
    "user-item recent",
    "user-item",
    "user-item-item",
    "item-next-item lately",
    "item-bundle-item lately",
    "item-bundle-item cosine lately",
    "item-user-item cosine lately",
    "item-next-item cosine lately",
)


@pytest.fixture(scope="module")
def counts(shop):
    return count_paths(build_graph(shop()), PathConfig(half_life=2.0, recent=3.0))


@pytest.fixture(scope="module")
def some(queries):
    """With and without a user and items; user 5 took nothing, items 12 and 13 were never taken."""
    return queries(
        (0, [1, 2], 3),
        (-1, [], 0),
        (5, [0], 1),
        (2, [], 4),
        (-1, [4, 7, 9], 5),
        (1, [12, 13], 0),
    )


def by_name(counts, user, hand):
    """By the name of each path: (I,) what it says of every item, from dense matrices."""
    values = {
        n: m.toarray()[user] if user >= 0 else np.zeros(ITEMS)
        for n, m in counts.user_item.items()
    }
    decay = np.array([DECAY ** (len(hand) - 1 - place) for place in range(len(hand))])
    for name, matrix in counts.item_item.items():
        values[name] = matrix.toarray()[hand].sum(0)
        values[f"{name} lately"] = decay @ matrix.toarray()[hand]
        if name.endswith("cosine"):
            values[f"{name} best"] = matrix.toarray()[hand].max(0, initial=0)
    for path in counts.attributes:
        has = path.items.toarray()
        held = has[hand].sum(0)
        values[f"{path.name} at hand"] = has @ held
        values[f"{path.name} at hand lately"] = has @ (decay @ has[hand])
        values[f"{path.name} together"] = has @ path.together.toarray()[held > 0].sum(0)
        values[f"{path.name} of user"] = (
            has @ path.users.toarray()[user] if user >= 0 else np.zeros(ITEMS)
        )
    values |= counts.item
    values |= {
        name: np.full(ITEMS, fact[user] if user >= 0 else 0)
        for name, fact in counts.user.items()
    }
    return values | {"items at hand": np.full(ITEMS, len(hand))}


@given(st.data())
def test_spreading_is_a_product_of_sparse_matrices(data):
    height, width, size = (data.draw(st.integers(1, 6)) for _ in range(3))
    entries = st.lists(st.sampled_from([0, 0, 1, 2, 5]), min_size=width, max_size=width)
    dense = np.array(
        data.draw(st.lists(entries, min_size=height, max_size=height)), np.float32
    )
    pairs = data.draw(
        st.lists(
            st.tuples(st.integers(0, size - 1), st.integers(0, height - 1)), max_size=8
        )
    )
    owners, rows = (
        torch.tensor([p[k] for p in pairs], dtype=torch.long) for k in range(2)
    )
    matrix = Sparse.of(sp.csr_matrix(dense), torch.device("cpu"))
    chosen = sp.csr_matrix((np.ones(len(pairs)), (owners, rows)), shape=(size, height))
    assert (matrix.spread(rows, owners, size).numpy() == (chosen @ dense)).all()
    best = np.zeros((size, width))
    for owner, row in pairs:
        best[owner] = np.maximum(best[owner], dense[row])
    assert (matrix.spread(rows, owners, size, "amax").numpy() == best).all()


@pytest.mark.parametrize("seed", range(3))
def test_phi_is_what_dense_matrices_say(shop, some, seed):
    counts = count_paths(build_graph(shop(seed)), PathConfig(half_life=2.0, recent=3.0))
    features = MetapathFeatures(counts)
    rows, phi = features(some, each=ITEMS)
    assert phi.shape == (*rows.shape, len(features.names)) and (phi >= 0).all()
    for b in range(len(some)):
        here = rows[b] >= 0
        expected = by_name(counts, some.users[b], some.context[b])
        assert set(expected) == set(features.names)
        for column, name in enumerate(features.names):
            assert np.allclose(
                phi[b, here, column], expected[name][rows[b, here]], rtol=1e-5
            ), (b, name)


def test_every_path_says_something_somewhere(counts, some):
    """Else the comparison above is of zeros."""
    rows, phi = MetapathFeatures(counts)(some, each=ITEMS)
    assert (phi[rows >= 0] > 0).any(0).all()


@pytest.mark.parametrize("each", [1, 2, 4])
def test_candidates_are_the_strongest_of_the_retrieving_paths_and_what_else_is_brought(
    counts, some, each
):
    extra = torch.arange(len(some))[:, None] + 6
    rows, _ = MetapathFeatures(counts)(some, each, extra)
    for b in range(len(some)):
        hand, values = (
            set(some.context[b].tolist()),
            by_name(counts, some.users[b], some.context[b]),
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
def test_candidates_are_distinct_ascending_padded_at_the_end_and_never_at_hand(
    counts, some, each
):
    rows, _ = MetapathFeatures(counts)(
        some, each, torch.tensor([[3, 1, 2]] * len(some))
    )
    assert (rows >= 0).any(0).all()  # no column of nothing but padding
    for b, found in enumerate(rows.tolist()):
        real = [r for r in found if r >= 0]
        assert found == real + [-1] * (len(found) - len(real))
        assert all(a < c for a, c in pairwise(real)) and max(real) < ITEMS
        assert not set(real) & set(some.context[b].tolist())


@pytest.mark.parametrize("each", [1, 2, 4])
def test_what_is_masked_takes_no_place_of_a_candidate(counts, some, each):
    """The candidates are the strongest of the rest, and paths say of them what they said."""
    masked = Ragged.of([[1, 2, 8], [], [0, 3], [5], [6, 7, 9, 11], [2]])
    features, hidden = MetapathFeatures(counts), replace(some, exclude=masked)
    whole, all_phi = features(some, ITEMS)
    rows, phi = features(hidden, each)
    for b in range(len(some)):
        barred = {*some.context[b].tolist(), *masked[b].tolist()}
        values = by_name(counts, some.users[b], some.context[b])
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
    alone, _ = features(some, each)
    assert (
        rows[1][rows[1] >= 0].tolist() == alone[1][alone[1] >= 0].tolist()
    )  # of which nothing is masked
    none, _ = features(replace(some, exclude=Ragged.of([[]] * len(some))), each)
    assert torch.equal(none, alone)  # nor does a mask of nothing change anything
    twice, _ = features(replace(some, exclude=some.context), each)
    assert torch.equal(twice, alone)  # context items are excluded as all others are


def test_an_ask_of_nothing_gets_what_is_popular(counts, queries):
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


def test_an_ask_with_everything_at_hand_has_no_candidates(counts, queries):
    rows, phi = MetapathFeatures(counts)(queries((0, range(ITEMS), 0)), each=5)
    assert (rows == -1).all() and phi.isfinite().all()


def test_an_ask_says_the_same_alone_and_among_others(counts, some):
    features = MetapathFeatures(counts)
    together, phi = features(some, each=4)
    for b in range(len(some)):
        rows, alone = features(some.take(np.array([b])), each=4)
        here = together[b] >= 0
        assert rows[0][rows[0] >= 0].tolist() == together[b, here].tolist()
        assert (alone[0, rows[0] >= 0] == phi[b, here]).all()


def test_any_item_is_described_and_in_a_pool_as_in_the_catalogue(counts, queries):
    """A pool's features are the same features of fewer items, to the last digit."""
    features = MetapathFeatures(counts, texts=TEXTS)
    pool = torch.tensor([11, 3, 0, 7, 13, 5])
    contexts = [[], [1], [2, 0], [3, 4, 5]]
    for user, text in ((2, "red hat"), (-1, "")):
        places = Ragged.of(contexts)
        context = Ragged(places.offsets, pool.numpy()[places.rows])
        whole = QueryBatch.of([user] * 4, context, [text] * 4)
        expected = features.describe(whole, pool.expand(4, -1))
        query = QueryBatch.of([user], texts=[text]).to(features.device)
        cut = [f.among(Pool(pool, query)) for f in features.features]
        assert [f.name for f in cut] == list(features.names)
        batch = QueryBatch.of([-1] * 4, places).to(features.device)
        rows = torch.arange(len(pool)).expand(4, -1)
        assert torch.equal(describe(cut, batch, rows, {}), expected)
        candidates, phi = features(whole, each=ITEMS)
        assert torch.equal(
            features.describe(whole, candidates.clamp(min=0))[candidates >= 0],
            phi[candidates >= 0],
        )


def test_a_graph_without_users_bundles_or_attributes_still_counts(shop, queries):
    tables = shop()
    empty = {
        name: table.slice(0, 0)
        for name, table in tables.edges.items()
        if name != "bought"
    }
    counts = count_paths(build_graph(tables.with_tables(edges=empty)))
    rows, phi = MetapathFeatures(counts)(queries((0, [1], 2), (-1, [], 0)), each=3)
    assert (
        "item-bundle-item" not in MetapathFeatures(counts).names
        and "item-user-item" in MetapathFeatures(counts).names
    )
    assert (rows >= 0).any(1).all() and phi.isfinite().all()


TEXTS = ["red hat", "blue hat", "", "red red shoe", *["coat"] * 10]
