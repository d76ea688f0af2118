"""What other packages bring: BM25, LambdaRank, and the word where they are missing."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from eval.baselines.extra import MissingExtraError, extra
from eval.baselines.lambdarank import LightGBMRanker
from eval.baselines.packaged import ALS, BM25, BPR
from eval.measure.protocol import evaluate
from fusion.query_batch import QueryBatch, Ragged
from kg.graph import build_graph
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import Tables
from tests.eval.baselines.interactions import checkerboard_queries
from tests.eval.baselines.queries import query

TEXTS = ["red shirt", "red shoe", "hat", "", "blue shoe", "red red red hat"]


@pytest.fixture(scope="module")
def tiny():
    """Items a to f; u took a twice, b and c, of whom v took c."""
    nodes = (NodeType("user", "user"), NodeType("item", "item", text=("words",)))
    schema = GraphSchema(nodes, (EdgeType("took", "user", "item", "interaction"),))
    edges = pa.table({"source": list("uuuuv"), "target": list("aabcc")})
    named = {
        "user": pa.table({"id": ["u", "v"]}),
        "item": pa.table({"id": list("abcdef"), "words": TEXTS}),
    }
    return build_graph(Tables(schema, named, {"took": edges}))


def test_bm25_by_hand(tiny):
    pytest.importorskip("bm25s", reason="needs the benchmark extra")
    model = BM25(tiny, TEXTS, k1=1.0, b=0.5)
    average = (2 + 2 + 1 + 0 + 2 + 4) / 6

    def weight(times, holding, length):
        rarity = np.log(1 + (6 - holding + 0.5) / (holding + 0.5))
        return rarity * times / (times + 1.0 * (1 - 0.5 + 0.5 * length / average))

    scores = model.score(
        query(
            (-1, [], "Red"),
            (-1, [], "hat red"),
            (-1, [2], ""),
            (-1, [2], "blue"),
            (-1, [], "nothing"),
            (1, [], ""),
        )
    )
    red = [weight(1, 3, 2), weight(1, 3, 2), 0, 0, 0, weight(3, 3, 4)]
    hat = [0, 0, weight(1, 2, 1), 0, 0, weight(1, 2, 4)]
    np.testing.assert_allclose(scores[0], red, atol=2e-3)
    np.testing.assert_allclose(scores[1], np.add(red, hat), atol=2e-3)
    np.testing.assert_allclose(scores[2], hat, atol=2e-3)
    blue = [0, 0, 0, 0, weight(1, 1, 2), 0]
    np.testing.assert_allclose(
        scores[3], np.add(blue, hat), atol=2e-3, err_msg="words and the item at hand"
    )
    np.testing.assert_allclose(scores[5], hat, atol=2e-3)
    assert scores[4].argmax() == 0, "popularity"
    assert scores[0, 0] > scores[0, 1], "the same words, and a is more popular"


def test_texts_that_do_not_fit_are_named(tiny):
    pytest.importorskip("bm25s", reason="needs the benchmark extra")
    with pytest.raises(ValueError, match="BM25: 2 texts for 6 items"):
        BM25(tiny, ["a", "b"])
    with pytest.raises(ValueError, match="no item has a word"):
        BM25(tiny, ["", "-", "", "", ".", ""])


def ranked_world(count=120, items=40):
    """The target is the candidate whose first feature is the query's largest."""
    rng = np.random.default_rng(0)
    rows = np.stack([rng.permutation(items)[:12] for _ in range(count)])
    features = rng.normal(0, 1, (count, 12, 2)).astype(np.float32)
    target = rows[np.arange(count), features[:, :, 0].argmax(1)]
    rows = np.concatenate([rows, np.full((count, 1), -1)], axis=1)
    features = np.concatenate(
        [features, np.full((count, 1, 2), 99, np.float32)], axis=1
    )
    users = np.arange(count)
    queries = QueryBatch(
        users,
        Ragged.of([[]] * count),
        ("",) * count,
        Ragged.of(list(target[:, None])),
        users,
    )
    return queries, (lambda some: (rows[some.users], features[some.users])), rows


def test_lambdarank_learns_each_asks_own_best(monkeypatch):
    pytest.importorskip("lightgbm", reason="needs the benchmark extra")
    monkeypatch.setattr("eval.baselines.boosted._BATCH", 50)
    queries, candidates, rows = ranked_world()
    model = LightGBMRanker(candidates, 40, negatives=8, trees=40).fit(
        queries, progress=False
    )
    assert (
        evaluate({"m": model}, queries, 40, ks=(1,), progress=False).means()["m"][
            "HR@1"
        ]
        > 0.8
    )
    for row, own in zip(model.score(queries), rows, strict=True):
        inside = np.isin(np.arange(40), own)
        assert row[inside].min() > row[~inside].max()
    again = LightGBMRanker(candidates, 40, negatives=8, trees=40).fit(
        queries, progress=False
    )
    np.testing.assert_array_equal(model.score(queries), again.score(queries))


def test_lambdarank_gets_one_group_an_ask():
    pytest.importorskip("lightgbm", reason="needs the benchmark extra")
    queries, candidates, rows = ranked_world()
    rows[3, :12] = np.where(rows[3, :12] == queries.targets[3][0], -1, rows[3, :12])
    taught: dict[str, Any] = {}

    class Seen(LightGBMRanker):
        def _learn(self, features, labels, sizes):
            taught.update(features=features, labels=np.concatenate(labels), sizes=sizes)

    Seen(candidates, 40, negatives=5).fit(queries, progress=False)
    assert taught["sizes"].tolist() == [6] * 119, (
        "the query whose target was not found teaches nothing"
    )
    starts = np.cumsum([0, *taught["sizes"]])[:-1]
    assert np.add.reduceat(taught["labels"].astype(int), starts).tolist() == [1] * 119


def test_without_the_extra_the_message_says_what_to_install(tiny, monkeypatch):
    real = builtins.__import__

    def missing(name, *rest, **named):
        if name.split(".")[0] in {"bm25s", "implicit", "lightgbm"}:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    for make in (
        lambda: BM25(tiny, TEXTS),
        lambda: ALS(tiny),
        lambda: BPR(tiny),
        lambda: LightGBMRanker(ranked_world()[1], 3),
    ):
        with pytest.raises(
            MissingExtraError,
            match=r"No module named .*pip install 'trousseau\[benchmark\]'",
        ):
            make()
    with pytest.raises(ValueError, match="another"), extra():
        raise ValueError("another")


def test_bpr_folds_the_training_users_onto_themselves():
    pytest.importorskip("implicit", reason="needs the benchmark extra")
    graph, queries = checkerboard_queries("user")
    model = BPR(graph, factors=4)
    folded = model.fold(model.counts.history[queries.users], queries.users)
    np.testing.assert_allclose(
        folded[:, -1], 1, atol=1e-4, err_msg="the items' bias counts once"
    )
    assert (
        np.abs(folded - model.users[queries.users]).mean()
        < 0.5 * np.abs(model.users[queries.users]).mean()
    )
