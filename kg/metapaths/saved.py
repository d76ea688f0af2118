"""Counts as named arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from kg.metapaths.attributes import AttributePaths
from kg.metapaths.count import PathConfig, PathCounts
from kg.metapaths.sparse import Matrix
from kg.tables import FloatArray


def save_counts(counts: PathCounts) -> dict[str, npt.NDArray[np.generic]]:
    """As named arrays; the inverse of load_counts."""
    arrays: dict[str, npt.NDArray[np.generic]] = {}

    def put(name: str, matrix: Matrix) -> None:
        matrix = matrix.tocsr()
        arrays[f"{name}/data"] = matrix.data.astype(np.float32)
        arrays[f"{name}/indices"] = matrix.indices.astype(np.int32)
        arrays[f"{name}/indptr"] = matrix.indptr.astype(np.int64)
        arrays[f"{name}/shape"] = np.array(matrix.shape)

    for kind, matrices in (
        ("user_item", counts.user_item),
        ("item_item", counts.item_item),
    ):
        for name, matrix in matrices.items():
            put(f"{kind}/{name}", matrix)
    for kind, vectors in (("item", counts.item), ("user", counts.user)):
        for name, vector in vectors.items():
            arrays[f"{kind}/{name}"] = np.asarray(vector, np.float64)
    for path in counts.attributes:
        for part in ("items", "users", "together"):
            put(f"attributes/{path.name}/{part}", getattr(path, part))
    return arrays


def load_counts(
    arrays: Mapping[str, npt.NDArray[np.generic]], config: PathConfig
) -> PathCounts:
    """The counts that save_counts gave as named arrays, in any order of the names.

    The paths come back in the order in which they were counted.
    """
    matrices: dict[str, dict[str, npt.NDArray[np.generic]]] = {}
    facts: dict[str, dict[str, FloatArray]] = {"item": {}, "user": {}}
    for name, array in arrays.items():
        kind, _, rest = name.partition("/")
        if kind in facts:
            facts[kind][rest] = np.asarray(array, np.float64)
        else:
            path, _, part = name.rpartition("/")
            matrices.setdefault(path, {})[part] = array
    whole = {
        path: sp.csr_matrix(
            (p["data"], p["indices"], p["indptr"]),
            shape=tuple(int(n) for n in p["shape"]),
        )
        for path, p in matrices.items()
    }
    chosen = {
        kind: {
            path.removeprefix(f"{kind}/"): m
            for path, m in whole.items()
            if path.startswith(f"{kind}/")
        }
        for kind in ("user_item", "item_item")
    }
    names = dict.fromkeys(
        path.split("/")[1] for path in whole if path.startswith("attributes/")
    )
    attributes = [
        AttributePaths(
            name,
            *(
                whole[f"attributes/{name}/{part}"]
                for part in ("items", "users", "together")
            ),
        )
        for name in names
    ]
    found = (chosen["user_item"], chosen["item_item"], facts["item"], facts["user"])
    return PathCounts(*found, attributes, config)
