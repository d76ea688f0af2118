import json
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file, save_file

from fusion.pipeline import finish
from fusion.query import Query
from fusion.recommender import Recommender
from fusion.runs import artifacts
from fusion.runs import folder as runs
from fusion.runs.folder import finished, new_run
from kg.errors import RunError
from kg.metapaths.count import PathConfig
from kg.schema import EdgeType, GraphSchema

ASKS = [
    Query(user="u003"),
    Query(items=("i002", "i004")),
    Query(text="black chair"),
    Query(user="u003", items=("i002",), text="vase"),
    Query(user="nobody", items=("nothing",)),
    Query(),
]


def write(recommender, recipe, out):
    with new_run(out, "test") as folder:
        artifacts.save(recommender, recipe, folder)
    return finished(folder)


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    # The text model that the recipe names is gone when the run is opened.
    recipe = replace(
        trained.recipe, text=replace(trained.recipe.text, model="/no/such/model")
    )
    return write(trained.recommender, recipe, tmp_path_factory.mktemp("runs"))


@pytest.fixture
def copy(run, tmp_path):
    return Path(shutil.copytree(run, tmp_path / "copy"))


def resealed(folder):
    """The folder with a manifest of what it holds now, as if it had been written so."""
    (folder / runs.MANIFEST).unlink()
    runs._seal(folder)
    return folder


def same(one, other, exact=True):
    # A text's vector hangs by its last bits on what is encoded beside it, and vectors are kept:
    # both must meet these texts for the first time.
    for recommender in (one, other):
        recommender._words.clear()
    left, right = one.score(one.queries(ASKS)), other.score(other.queries(ASKS))
    assert np.array_equal(left, right) if exact else np.allclose(left, right, atol=1e-4)
    for query in ASKS:
        found, again = one.answer(query), other.answer(query)
        if exact:
            assert found == again
        assert [r.id for r in found] == [r.id for r in again]
    return True


def test_a_run_answers_as_before_it_was_saved(trained, run, monkeypatch):
    def unreachable(*_):
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", unreachable)
    loaded = Recommender.load(run)
    assert same(trained.recommender, loaded)
    for item in ("i000", "i041"):
        assert trained.recommender.similar(item) == loaded.similar(item)
    assert not loaded.model.training


def test_a_run_says_how_its_paths_were_counted(trained, tmp_path):
    recipe = replace(
        trained.recipe, paths=PathConfig(half_life=9.0, recent=2.0, keep=7)
    )
    assert (
        Recommender.load(write(trained.recommender, recipe, tmp_path)).counts.config
        == recipe.paths
    )


def test_a_run_keeps_as_much_of_what_vectors_say_as_its_model(run, tmp_path):
    loaded = Recommender.load(run)
    loaded.model.kept.copy_(torch.tensor([0.25, 0.75]))
    again = Recommender.load(write(loaded, artifacts.load_parts(run).recipe, tmp_path))
    assert again.model.kept.tolist() == [0.25, 0.75] and same(loaded, again)


def test_a_run_is_saved_again_as_it_was_loaded(run, tmp_path):
    loaded = Recommender.load(run)
    again = write(loaded, artifacts.load_parts(run).recipe, tmp_path)
    assert same(loaded, Recommender.load(again))
    for name in (
        "model.safetensors",
        "vectors.safetensors",
        "counts.safetensors",
        "recipe.json",
        "model.json",
    ):
        assert (again / name).read_bytes() == (run / name).read_bytes(), name


@pytest.mark.parametrize(
    "change",
    [
        ("fusion.text=false",),
        ("fusion.graph=false",),
        ("fusion.paths=false",),
        ("fusion.text=false", "fusion.graph=false"),
        ("fusion.graph=false", "fusion.paths=false"),
        ("fusion.fuse=concatenation",),
        ("text.tune=full",),
        ("text.tune=frozen",),
        ("gnn.class=encoders.graph.layers:Attention",),
        ("gnn.class=encoders.graph.layers:LightGCN",),
    ],
    ids=" ".join,
)
def test_every_shape_of_model_comes_back(trainer_of, tmp_path, change):
    made = trainer_of(tmp_path, *change)
    made.trainer.joint.step(0)
    recommender = finish(made.trainer, made.prepared)
    assert same(
        recommender,
        Recommender.load(write(recommender, made.recipe, tmp_path / "runs")),
    )


def test_low_rank_updates_are_kept(trainer_of, tmp_path):
    made = trainer_of(tmp_path, "text.tune=lora", "training.lr_text=0.1")
    for number in range(3):
        made.trainer.joint.step(number)
    recommender = finish(made.trainer, made.prepared)
    untrained = trainer_of(tmp_path, "text.tune=lora")
    words = [Query(text="black chair")]
    assert not np.allclose(
        recommender.score(recommender.queries(words)),
        (plain := finish(untrained.trainer, untrained.prepared)).score(
            plain.queries(words)
        ),
    )
    assert same(
        recommender,
        Recommender.load(write(recommender, made.recipe, tmp_path / "runs")),
        exact=False,
    )


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


def test_a_moved_run_opens(run, copy, tmp_path):
    moved = copy.rename(tmp_path / "elsewhere")
    assert same(Recommender.load(run), Recommender.load(moved))


def test_a_run_holds_no_code_and_no_pickle(run):
    files = [p for p in run.rglob("*") if p.is_file()]
    assert {p.suffix for p in files} <= {
        ".json",
        ".safetensors",
        ".parquet",
        ".toml",
        ".txt",
        ".md",
    }
    assert not [
        p
        for p in files
        if p.read_bytes()[:2] in (b"PK", b"\x80\x02", b"\x80\x04", b"\x80\x05")
    ]


def test_any_change_is_noticed(run, copy):
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


def test_what_is_no_run_is_refused(run, copy, tmp_path):
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
def test_a_run_that_was_written_wrong_is_one_clear_line(copy, fault):
    fault(copy)
    resealed(copy)
    with pytest.raises(RunError) as caught:
        Recommender.load(copy)
    assert str(copy) in str(caught.value) and "\n" not in str(caught.value)
