"""What words say of items: BM25 of a query, and items alike by their words."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from fusion.model.bm25 import K1, B, Lexical, telling
from fusion.model.features import (
    ALIKE,
    SHARED_ATTRIBUTES,
    WORDS,
    MetapathFeatures,
)
from kg.graph import build_graph
from kg.metapaths.count import PathConfig, count_paths
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import Tables

ITEMS, USERS = 14, 6


@pytest.fixture(scope="module")
def counts(shop):
    return count_paths(build_graph(shop()), PathConfig(half_life=2.0, recent=3.0))


TEXTS = ["red hat", "blue hat", "", "red red shoe", *["coat"] * 10]


def test_words_match_by_the_weight_of_the_terms_they_share():
    """By hand, of the text and of what precedes its first ". ", over the most possible."""
    texts = ["red hat. for red shoes", "blue hats", "", "red red shoe", *["coat"] * 10]
    idf = {
        term: np.log1p((14 - many + 0.5) / (many + 0.5))
        for term, many in (("red", 2), ("hat", 2))
    }

    def weight(term, repeats, length, mean):
        return idf[term] * repeats / (repeats + K1 * (1 - B + B * length / mean))

    whole, first = (5 + 2 + 3 + 10) / 14, (2 + 2 + 3 + 10) / 14
    expected = np.zeros(ITEMS)
    expected[0] = weight("red", 2, 5, whole) + weight("hat", 1, 5, whole)
    expected[0] += weight("red", 1, 2, first) + weight("hat", 1, 2, first)
    expected[1] = weight("hat", 1, 2, whole) + weight("hat", 1, 2, first)
    expected[3] = weight("red", 2, 3, whole) + weight("red", 2, 3, first)
    found = Lexical(texts)(
        ["Red hats? RED never", " ", "unheard"], torch.device("cpu")
    ).numpy()
    assert (
        np.allclose(found[0], expected / 2 / sum(idf.values()), atol=1e-6)
        and not found[1:].any()
    )
    assert found.max() < 1
    assert (
        not Lexical.fits(["", " ?"])
        and not Lexical.fits(None)
        and Lexical.fits(["", "a"])
    )


def test_a_plural_is_its_singular_and_a_short_word_itself():
    texts = ["glass", "glas", "buses", "cables", "gps", "gp"]
    found = Lexical(texts)(["glass", "cable", "GPS", "bus"], torch.device("cpu")) > 0
    assert [row.nonzero().ravel().tolist() for row in found] == [[0], [3], [4], []]


def test_items_of_an_asks_words_are_candidates_and_their_match_is_in_phi(
    counts, queries
):
    spoken = queries(
        (-1, [], 0), (0, [1], 2), (0, [1], 2), texts=["blue shoe", "", "hat"]
    )
    features, without = MetapathFeatures(counts, texts=TEXTS), MetapathFeatures(counts)
    rows, phi = features(spoken, each=2)
    more = {WORDS, ALIKE, f"{ALIKE} best", f"{ALIKE} lately"}
    assert set(features.names) - set(without.names) == more
    assert not more & set(MetapathFeatures(counts, texts=[""] * ITEMS).names)
    match = Lexical(TEXTS)(spoken.texts, torch.device("cpu"))
    column = features.names.index(WORDS)
    for b in range(3):
        here = rows[b] >= 0
        assert torch.equal(phi[b, here, column], match[b, rows[b, here]])
    assert (
        {1, 3} <= set(rows[0].tolist()) and 0 in rows[2] and 1 not in rows[2]
    )  # the blue hat is at hand
    silent, plain = features(queries((0, [], 2)), 2), without(queries((0, [], 2)), 2)
    rest = [n for n, name in enumerate(features.names) if name not in more]
    assert torch.equal(silent[0], plain[0]) and torch.equal(
        silent[1][..., rest], plain[1]
    )


def test_items_alike_by_their_words_are_candidates(queries, counts):
    """By loops: unit vectors of BM25 weights over the terms that few items have."""
    rng = np.random.default_rng(0)
    texts = [
        " ".join(f"w{word}" for word in rng.integers(0, 40, 6)) for _ in range(ITEMS)
    ]
    lexical = Lexical(texts)
    terms = lexical.terms.toarray()
    telling = terms[[(row > 0).sum() <= 2 for row in terms]]
    unit = telling / np.maximum(np.linalg.norm(telling, axis=0), 1e-9)
    expected = unit.T @ unit
    np.fill_diagonal(expected, 0)
    assert 0 < len(telling) < len(terms) and (expected > 0).any()
    assert np.allclose(lexical.alike.toarray(), expected, atol=1e-6)
    alike = np.argsort(-expected[3])[:2]
    rows, _ = MetapathFeatures(counts, texts=texts)(queries((-1, [3], 0)), each=2)
    assert (expected[3, alike] > 0).all() and set(alike.tolist()) <= set(
        rows[0].tolist()
    )
    assert Lexical.of(tuple(texts)) is Lexical.of(tuple(texts))


def test_kin_bring_candidates_and_among_them_items_never_taken(queries):
    """Everything alike was never taken, so no count of takings brings it."""
    items, kinds = 60, 12
    schema = GraphSchema(
        (
            NodeType("user", "user"),
            NodeType("item", "item"),
            NodeType("kind", "attribute"),
        ),
        (
            EdgeType("took", "user", "item", "interaction"),
            EdgeType("is_a", "item", "kind", "relation"),
        ),
    )
    ids = [f"i{n:02}" for n in range(items)]
    tables = Tables(
        schema,
        {
            name: pa.table({"id": i})
            for name, i in (("user", ["u"]), ("item", ids), ("kind", ids[:kinds]))
        },
        {
            "took": pa.table({"source": ["u"] * 30, "target": ids[:30]}),
            "is_a": pa.table(
                {"source": ids, "target": [ids[n % kinds] for n in range(items)]}
            ),
        },
    )
    counts = count_paths(build_graph(tables))
    features = MetapathFeatures(counts)
    rows, phi = features(queries((-1, [3], 0), (-1, [], 0)), each=2)
    assert {15, 27, 39, 51} <= set(
        rows[0].tolist()
    )  # of its kind: two that were taken, two that never were
    assert not {39, 51} & set(rows[1].tolist())
    column = features.names.index(SHARED_ATTRIBUTES)
    said = dict(zip(rows[0].tolist(), phi[0, :, column].tolist(), strict=True))
    assert said[15] > said[39] > 0


def test_words_that_name_nothing_mean_nothing():
    assert telling("Something for a taco night, please") == "taco night,"
    assert telling("for you") == "for you" and telling("") == ""
