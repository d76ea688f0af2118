"""What a run holds, and that it answers as before it was saved."""

import socket
from dataclasses import replace

import numpy as np
import pytest
import torch

from fusion.pipeline import finish
from fusion.query import Query
from fusion.recommender import Recommender
from fusion.runs import artifacts
from kg.metapaths.count import PathConfig
from tests.fusion.runs.saved import write

ASKS = [
    Query(user="u003"),
    Query(items=("i002", "i004")),
    Query(text="black chair"),
    Query(user="u003", items=("i002",), text="vase"),
    Query(user="nobody", items=("nothing",)),
    Query(),
]


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


def test_a_run_keeps_the_shares_of_its_models_vectors(run, tmp_path):
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
