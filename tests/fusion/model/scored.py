"""Every combination of the model's parts, and the scores of one."""

from typing import Any

import torch

from fusion.model.inputs import encode_words

PARTS: list[dict[str, Any]] = [
    {},
    {"paths": False},
    {"graph": False},
    {"text": False},
    {"graph": False, "paths": False},
    {"text": False, "paths": False},
    {"text": False, "graph": False},
    {"fuse": "concatenation"},
    {"fuse": "sum"},
]


def scored(small, queries=None):
    model, snapshot, usual, _, embeddings = small
    queries = usual if queries is None else queries
    with torch.no_grad():
        return model.eval().score(
            snapshot,
            queries,
            embeddings.items,
            embeddings.users,
            encode_words(model, queries, snapshot.device),
        )
