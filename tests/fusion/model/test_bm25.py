"""BM25 scores, and what they retrieve."""

import numpy as np
import torch

from fusion.model.bm25 import K1, B, Lexical, telling
from fusion.model.features import (
    ALIKE,
    WORDS,
    MetapathFeatures,
)
from tests.fusion.model.dense import ITEMS, TEXTS


def test_bm25_scores_by_hand():
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


def test_plurals_match_singulars():
    texts = ["glass", "glas", "buses", "cables", "gps", "gp"]
    found = Lexical(texts)(["glass", "cable", "GPS", "bus"], torch.device("cpu")) > 0
    assert [row.nonzero().ravel().tolist() for row in found] == [[0], [3], [4], []]


def test_text_queries_retrieve_by_bm25_and_have_its_score_as_a_feature(counts, queries):
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


def test_items_of_similar_text_are_candidates(queries, counts):
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


def test_filler_words_are_left_out():
    assert telling("Something for a taco night, please") == "taco night,"
    assert telling("for you") == "for you" and telling("") == ""
