"""A language model that is quick to run, a small untrained hybrid, and queries in plain lists."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
import transformers

from encoders.text import pretrained
from encoders.text.encoder import TextConfig, TextEncoder
from encoders.text.source import TextSource
from fusion.model.config import FusionConfig
from fusion.model.hybrid import Hybrid
from fusion.model.nodes import EmbeddingCache
from fusion.model.snapshot import GraphSnapshot, NodeTexts, edge_keys
from fusion.query_batch import QueryBatch, Ragged
from fusion.tasks.basket_completion import BasketCompletion
from fusion.tasks.folds import FoldConfig, make_folds
from kg.graph import build_graph
from kg.metapaths.count import PathConfig, count_paths


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    """The folder of an untrained BERT of two small layers."""
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    with pretrained.quiet():
        config = transformers.BertConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=64,
        )
        transformers.BertModel(config).save_pretrained(folder)
        transformers.AutoTokenizer.from_pretrained(
            pretrained.model_folder("default")
        ).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def queries():
    """Makes queries of (user, items, target) rows: queries((0, [1, 2], 3), (-1, [], 4))."""

    def make(*rows, texts=None):
        users, items, targets = zip(*rows, strict=True)
        texts = tuple(texts or [""] * len(rows))
        return QueryBatch(
            np.array(users),
            Ragged.of(items),
            texts,
            Ragged.of([[t] for t in targets]),
            np.arange(len(rows)),
        )

    return make


class Small(NamedTuple):
    """An untrained model, the snapshot before the queries, the queries, texts and embeddings."""

    model: Hybrid
    snapshot: GraphSnapshot
    queries: QueryBatch
    source: TextSource | None
    embeddings: EmbeddingCache


@pytest.fixture
def small(shop, bert, monkeypatch):
    """Makes small untrained hybrids of a random graph: small(tune="top:1", paths=False, ...)."""

    monkeypatch.setattr("fusion.model.snapshot.NEIGHBOURS", 3)

    def make(tune="top:1", **settings):
        tables = shop()
        fold = make_folds(build_graph(tables), FoldConfig(1, 4.0, cold=0.0), 0)[0]
        counts, texts = (
            count_paths(fold.graph, PathConfig(2.0, 3.0)),
            NodeTexts.of(tables),
        )
        usual = {
            "embedding_dim": 16,
            "hidden": 8,
            "candidates_per_path": 4,
            "vector_candidates": 2,
            "cold_candidates": 1,
        }
        config = FusionConfig(**{**usual, **settings})
        snapshot = GraphSnapshot(
            fold.graph,
            counts,
            texts,
            config,
            torch.device("cpu"),
        )
        torch.manual_seed(0)
        text = (
            TextEncoder(TextConfig(bert, tune), config.embedding_dim)
            if config.text
            else None
        )
        keys, paths = edge_keys(fold.graph, counts), len(snapshot.features.names)
        model = Hybrid(
            config,
            text,
            None,
            snapshot.sizes,
            keys,
            (snapshot.user, snapshot.item),
            paths,
        )
        for parameter in (*model.gate.parameters(), *model.context.parameters()):
            torch.nn.init.normal_(
                parameter, std=0.5
            )  # as if trained: they start from 0, where much is equal
        source = TextSource(text, text.table(texts.texts)) if text is not None else None
        embeddings = model.encode(
            snapshot, source.encode_all() if source is not None else None
        )
        queries = BasketCompletion(min_items=2).training(fold.graph, fold.asked, 0)
        return Small(model, snapshot, queries, source, embeddings)

    return make


@pytest.fixture(scope="session")
def served(trained):
    """The recommender of the trained checkerboard; read only."""
    return trained.recommender
