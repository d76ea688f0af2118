"""Complements are told from substitutes."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fusion.bundles.complements import Complements
from kg.errors import DataError
from kg.events import Events


@pytest.fixture
def planted():
    """12 items of three kinds with like vectors; a basket holds one of kind a and one of kind b."""
    rng = np.random.default_rng(0)
    kind = np.repeat([0, 1, 2], 4)
    basket = np.repeat(np.arange(60), 2)
    item = np.stack([rng.integers(0, 4, 60), rng.integers(4, 8, 60)], 1).ravel()
    item = np.concatenate([item, rng.integers(8, 12, 20)])
    basket = np.concatenate([basket, np.arange(60, 80)])
    vectors = np.eye(3)[kind] + 0.1 * rng.normal(size=(12, 3))
    vectors = torch.as_tensor(
        (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    )
    values = SimpleNamespace(codes=lambda: kind, names=["a", "b", "c"])
    events = Events(np.zeros(len(item), np.int64), basket, item, np.zeros(len(item)))
    return SimpleNamespace(
        facts=SimpleNamespace(kind="kind", values=lambda _: values),
        snapshot=SimpleNamespace(
            graph=SimpleNamespace(events=events, edges={}, item="item")
        ),
        embeddings=SimpleNamespace(items=SimpleNamespace(text=vectors, graph=vectors)),
        items=range(12),
    )


def test_what_is_bought_together_is_likelier_a_complement_than_what_is_alike(planted):
    log = Complements(planted).log(np.arange(12), np.arange(12))
    assert log.shape == (12, 12) and (log <= 0).all()
    same, together, apart = log[0, 1], log[0, 5], log[0, 9]
    assert together > np.log(0.8) and same < np.log(0.2) and together > apart


def test_without_kinds_there_is_nothing_to_learn_from(planted):
    planted.facts.kind = ""
    with pytest.raises(DataError, match="no category, product_type, kind or type"):
        Complements(planted)


def test_items_viewed_together_are_substitutes_where_the_graph_has_them(planted):
    # Views say that a and c stand in for each other.
    views = SimpleNamespace(
        source=np.repeat(np.arange(4), 4), target=np.tile(np.arange(8, 12), 4)
    )
    before = Complements(planted).log(np.arange(1), np.arange(9, 10))[0, 0]
    planted.snapshot.graph.edges = {("item", "also_viewed", "item"): views}
    assert Complements(planted).log(np.arange(1), np.arange(9, 10))[0, 0] < before
