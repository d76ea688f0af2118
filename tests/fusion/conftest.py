"""A language model that is quick to run, and asks in plain lists."""

import numpy as np
import pytest
import torch
import transformers

from encoders import pretrained
from fusion.ask import Asks, Ragged


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    """The folder of an untrained BERT of two small layers."""
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    with pretrained.quiet():
        config = transformers.BertConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=64
        )
        transformers.BertModel(config).save_pretrained(folder)
        transformers.AutoTokenizer.from_pretrained(pretrained.model_folder("default")).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def asks():
    """Makes asks of (user, items, target) rows: asks((0, [1, 2], 3), (-1, [], 4))."""

    def make(*rows, texts=None):
        users, items, targets = zip(*rows, strict=True)
        texts = tuple(texts or [""] * len(rows))
        return Asks(np.array(users), Ragged.of(items), texts, Ragged.of([[t] for t in targets]), np.arange(len(rows)))

    return make
