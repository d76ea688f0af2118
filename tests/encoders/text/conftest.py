"""Tiny encoders of five families, untrained."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from encoders.text import pretrained

SMALL: dict[str, Any] = {
    "vocab_size": 30522,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
}
FAMILIES = {
    "bert": transformers.BertConfig(**SMALL, intermediate_size=64),
    "distilbert": transformers.DistilBertConfig(
        vocab_size=30522, dim=32, n_layers=3, n_heads=2, hidden_dim=64
    ),
    "mpnet": transformers.MPNetConfig(**SMALL, intermediate_size=64),
    "electra": transformers.ElectraConfig(
        **SMALL, intermediate_size=64, embedding_size=16
    ),
    "modernbert": transformers.ModernBertConfig(
        **SMALL, intermediate_size=64, pad_token_id=0
    ),
}


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny encoders by family: folders / "bert"."""
    root = tmp_path_factory.mktemp("models")
    tokenizer = transformers.AutoTokenizer.from_pretrained(
        pretrained.model_folder("default")
    )
    torch.manual_seed(0)
    with pretrained.quiet():
        for name, config in FAMILIES.items():
            transformers.AutoModel.from_config(config).save_pretrained(root / name)
            tokenizer.save_pretrained(root / name)
    return root
