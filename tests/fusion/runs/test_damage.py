"""Damaged and inconsistent runs are refused."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from fusion.recommender import Recommender
from fusion.runs import folder as runs
from kg.errors import RunError
from kg.schema import EdgeType, GraphSchema
from tests.fusion.runs.saved import resealed


def test_a_run_that_counted_two_relations_as_one_is_not_opened(copy):
    schema = copy / "graph" / "schema.toml"
    more = [EdgeType(name, "user", "colour", "relation") for name in ("likes", "shuns")]
    read = GraphSchema.from_toml(schema)
    schema.write_text(
        GraphSchema(read.nodes, (*read.edges, *more)).to_toml(), encoding="utf-8"
    )
    for edge in more:
        pq.write_table(
            pa.table({end: pa.array([], pa.string()) for end in ("source", "target")}),
            copy / "graph" / "edges" / f"{edge.name}.parquet",
        )
    counts = json.loads((copy / "model.json").read_text())
    counts["counts"] = [
        name.replace("user-item-item", "user-colour-item") for name in counts["counts"]
    ]
    (copy / "model.json").write_text(json.dumps(counts))
    with pytest.raises(
        RunError, match="user-colour-item holds the counts of one relation of several"
    ):
        Recommender.load(resealed(copy))


def test_any_damaged_file_is_noticed(run, copy):
    files = [
        p.relative_to(run)
        for p in run.rglob("*")
        if p.is_file() and p.name != runs.MANIFEST
    ]
    assert len(files) > 10
    for name in files:
        whole = (copy / name).read_bytes()
        for damaged in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1])):
            (copy / name).write_bytes(damaged)
            with pytest.raises(
                RunError, match=f"{copy} is damaged: {name} has changed"
            ):
                Recommender.load(copy)
        (copy / name).unlink()
        with pytest.raises(RunError, match=f"{copy} is damaged: {name} is missing"):
            Recommender.load(copy)
        (copy / name).write_bytes(whole)
    assert Recommender.load(copy)


def test_a_folder_that_is_no_run_is_refused(run, copy, tmp_path):
    with pytest.raises(RunError, match="there is no such folder"):
        Recommender.load(tmp_path / "nowhere")
    with pytest.raises(RunError, match="it has no manifest"):
        Recommender.load(tmp_path)
    with pytest.raises(RunError, match="it has no manifest"):
        Recommender.load(run / "text")
    (copy / runs.MANIFEST).unlink()  # what a killed writer leaves
    with pytest.raises(RunError, match="was not finished"):
        Recommender.load(copy)


def drop_a_tensor(folder):
    tensors = load_file(folder / "model.safetensors")
    del tensors["context.query"]
    save_file(tensors, folder / "model.safetensors")


def narrow_a_tensor(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["context.query"] = tensors["context.query"][:-1]
    save_file(tensors, folder / "model.safetensors")


def lose_the_vectors(folder):
    save_file({"a": np.zeros(1)}, folder / "vectors.safetensors")


def lose_items(folder):
    vectors = load_file(folder / "vectors.safetensors")
    save_file(
        {name: value[:-1].copy() for name, value in vectors.items()},
        folder / "vectors.safetensors",
    )


def edit_the_recipe(folder):
    recipe = json.loads((folder / "recipe.json").read_text())
    (folder / "recipe.json").write_text(json.dumps(recipe | {"future": 1}))


def name_other_paths(folder):
    shape = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(
        json.dumps(shape | {"paths": shape["paths"][:-1]})
    )


def empty_a_file(name):
    return lambda folder: (folder / name).write_bytes(b"")


@pytest.mark.parametrize(
    "fault",
    [
        drop_a_tensor,
        narrow_a_tensor,
        lose_the_vectors,
        lose_items,
        edit_the_recipe,
        name_other_paths,
        *(
            pytest.param(empty_a_file(name), id=name)
            for name in (
                "recipe.json",
                "model.json",
                "model.safetensors",
                "vectors.safetensors",
                "counts.safetensors",
                "graph/schema.toml",
                "graph/nodes/item.parquet",
                "graph/edges/made.parquet",
                "text/config.json",
                "text/text_config.json",
                "text/model.safetensors",
                "text/projection.safetensors",
            )
        ),
    ],
)
def test_inconsistent_files_are_refused_in_one_line(copy, fault):
    fault(copy)
    resealed(copy)
    with pytest.raises(RunError) as caught:
        Recommender.load(copy)
    assert str(copy) in str(caught.value) and "\n" not in str(caught.value)
