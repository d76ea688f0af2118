"""What a run folder holds: written from a recommender, read back into one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file
from torch import Tensor

from encoders.text.encoder import TextEncoder
from fusion.experiment import Recipe
from fusion.model.build import make_model
from fusion.model.hybrid import Hybrid
from fusion.model.nodes import EmbeddingCache, Nodes
from fusion.ranking.ranker import Ranker
from fusion.runs.folder import open_run
from kg import config as recipes
from kg.errors import DataError, InputError, RunError
from kg.graph import build_graph
from kg.metapaths.count import PathCounts
from kg.metapaths.relations import counted_as_one
from kg.metapaths.saved import load_counts, save_counts
from kg.schema import GraphSchema
from kg.stores.parquet import save_tables
from kg.tables import Tables


@dataclass(frozen=True)
class Parts:
    """What Recommender.assemble takes, and the recipe."""

    model: Hybrid
    tables: Tables
    counts: PathCounts
    embeddings: EmbeddingCache
    recipe: Recipe
    store: str
    seen_items: Tensor  # (I,) which items the training saw interacted with


def load_tables(folder: Path) -> Tables:
    """The inverse of save_tables, rows in the order they were written."""
    schema = GraphSchema.from_toml(folder / "schema.toml")
    return Tables(
        schema,
        {
            n.name: pq.read_table(folder / "nodes" / f"{n.name}.parquet")
            for n in schema.nodes
        },
        {
            e.name: pq.read_table(folder / "edges" / f"{e.name}.parquet")
            for e in schema.edges
        },
    )


def save(recommender: Ranker, recipe: Recipe, folder: Path) -> None:
    """Write all that load needs into a new folder."""
    model, snapshot = recommender.model, recommender.snapshot
    (folder / "recipe.json").write_text(
        json.dumps(recipes.to_dict(recipe), indent=2) + "\n", encoding="utf-8"
    )
    save_tables(recommender.tables, folder / "graph")
    if model.text is not None:
        model.text.save_pretrained(folder / "text")
    state = {
        k: v.detach().cpu().contiguous()
        for k, v in model.state_dict().items()
        if not k.startswith("text.")
    }
    save_file(state, folder / "model.safetensors")
    vectors = {
        f"{side}.{part}": value.detach()
        .cpu()
        .contiguous()
        .clone()  # without a graph, the parts are one tensor
        for side, nodes in (
            ("items", recommender.embeddings.items),
            ("users", recommender.embeddings.users),
        )
        for part, value in nodes._asdict().items()
    }
    if len(
        recommender.embeddings.text
    ):  # what the nodes' texts are, for messages that are computed anew
        vectors["text"] = (
            recommender.embeddings.text.detach().cpu().contiguous().clone()
        )
    vectors["seen_items"] = snapshot.seen_items.cpu()
    save_file(vectors, folder / "vectors.safetensors")
    arrays = save_counts(recommender.counts)
    save_arrays(
        {str(n): array for n, array in enumerate(arrays.values())},
        folder / "counts.safetensors",
    )
    learned = {k: int(m.weight.shape[0]) for k, m in _learned(model).items()}
    shape = {
        "learned": learned,
        "paths": list(snapshot.features.names),
        "counts": list(arrays),
    }
    shape["store"] = recommender.store
    (folder / "model.json").write_text(
        json.dumps(shape, indent=2) + "\n", encoding="utf-8"
    )


def _learned(model: Hybrid) -> Mapping[str, Any]:
    if model.inputs is None:
        return {}
    return {
        name.removeprefix("of "): table for name, table in model.inputs.nodes.items()
    }


def load_parts(folder: str | Path) -> Parts:
    """Read a run back.

    Raises:
        RunError: The folder is no run, is damaged, or was written by a version that does not fit.
    """
    path = open_run(folder)
    try:
        recipe = recipes.build(
            Recipe,
            json.loads((path / "recipe.json").read_text(encoding="utf-8")),
            "recipe.json",
        )
        shape = json.loads((path / "model.json").read_text(encoding="utf-8"))
        tables = load_tables(path / "graph")
        arrays = load_arrays(path / "counts.safetensors")
        counts = load_counts(
            {name: arrays[str(n)] for n, name in enumerate(shape["counts"])},
            recipe.paths,
        )
        mixed = counted_as_one(tables.schema) & {*counts.user_item, *counts.item_item}
        if mixed:
            raise RunError(
                f"{path}: {min(mixed)} holds the counts of one relation of several; "
                "train the run again"
            )
        text = (
            TextEncoder.from_pretrained(path / "text") if recipe.fusion.text else None
        )
        model = make_model(
            recipe.fusion,
            recipe.gnn,
            text,
            build_graph(tables),
            counts,
            len(shape["paths"]),
            shape["learned"],
        )
        missing, unknown = model.load_state_dict(
            load_file(path / "model.safetensors"), strict=False
        )
        missing = [name for name in missing if not name.startswith("text.")]
        if missing or unknown:
            raise RunError(
                f"{path}: the weights do not fit the recipe: {', '.join([*missing, *unknown][:3])}"
            )
        # A file's tensors lie at any address, and sums hang on that: copied, they score as
        # they did in training.
        vectors = {
            name: vector.clone()
            for name, vector in load_file(path / "vectors.safetensors").items()
        }
        items, users = (
            Nodes(*(vectors[f"{side}.{part}"] for part in Nodes._fields))
            for side in ("items", "users")
        )
        if len(items.fused) != len(tables.nodes[tables.schema.item.name]):
            raise RunError(
                f"{path}: {len(items.fused)} vectors do not fit the items of its graph"
            )
    except (
        OSError,
        ValueError,
        KeyError,
        RuntimeError,
        SafetensorError,
        DataError,
        InputError,
    ) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(
            f"{path} cannot be opened by this version: {' '.join(str(error).split())}"
        ) from error
    texts = vectors.get("text", torch.zeros(0, recipe.fusion.embedding_dim))
    return Parts(
        model,
        tables,
        counts,
        EmbeddingCache(texts, items, users),
        recipe,
        shape.get("store", ""),
        vectors["seen_items"],
    )
