"""train.py: one recipe in, one run folder out, and one line for every mistake."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eval.measure.protocol import evaluate
from fusion.preparation import held_out, prepare
from fusion.query import Query
from fusion.recommender import Recommender
from fusion.runs.artifacts import load_parts
from fusion.training.shrinkage import shares_kept
from fusion.training.trainer import Trainer
from kg.errors import StoreError
from kg.sources.checkerboard import Checkerboard
from kg.stores.base import write_tables
from kg.stores.open import open_store
from kg.tables import Tables
from train import main

ROOT = Path(__file__).parents[1]
PARTS = [
    "text alone",
    "graph alone",
    "metapath counts alone",
    "counts and BM25 alone",
]


def names(run):
    return [row["name"] for row in run.metrics["test"]["baskets"]["blocks"][0]["rows"]]


def test_a_run_from_recipe_to_folder(command, one_run, capsys):
    everything = ("evaluation.baselines=true", "training.epochs=2")
    assert main(command("--graph", "--compare", *everything)) == 0
    printed, run = capsys.readouterr().out, one_run()
    assert "warning: 24 steps are too few" in printed
    folder = run.folder
    assert folder.name.endswith("-checkerboard") and f"saved    {folder}" in printed
    assert (
        names(run)[:5] == ["hybrid", *PARTS]
        and names(run)[-1] == "boosted ranker"
        and len(names(run)) == 12
    )
    for name in names(run):
        assert (
            f"\n{name}  " in printed
            and f"| {name} |" in (folder / "README.md").read_text()
        )
    for verb in ("complete", "search", "recommend"):
        assert f"  trousseau {verb} " in printed
    assert [row["step"] for row in run.metrics["validation"]] == [24] and len(
        run.losses
    ) == 24

    loaded, recipe = Recommender.load(folder), load_parts(folder).recipe
    kept = shares_kept(loaded.model)
    assert (
        f"\nkept     {kept}\n" in printed
        and f"Kept {kept} (" in (folder / "README.md").read_text()
    )
    prepared = prepare(recipe.split(recipe.source.load()), recipe, progress=False)
    queries = held_out(prepared, recipe, prepared.split.test, 0)["baskets"]
    means = evaluate(
        {"it": loaded}, queries, len(loaded.items), progress=False
    ).means()["it"]
    for metric, value in run.metrics["test"]["baskets"]["blocks"][0]["rows"][0][
        "values"
    ].items():
        assert value["mean"] == pytest.approx(means[metric], abs=1e-6)

    assert run.data == {
        "split": prepared.split.fingerprint,
        "train": loaded.tables.fingerprint(),
    }
    assert "python" in json.loads((folder / "environment.json").read_text())
    assert {p.name for p in (folder / "held_out").iterdir()} == {
        "valid.parquet",
        "test.parquet",
    }
    assert not [
        p
        for p in folder.rglob("*")
        if p.suffix in (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt")
    ]


def test_explanations_are_checked_in_the_store_that_was_trained_on(
    command, one_run, data
):
    assert main(command("--graph")) == 0
    loaded = Recommender.load(one_run().folder)
    assert loaded.store == str(next(data.glob("*.duckdb")).resolve())
    query = Query(user=loaded.snapshot.graph.vocabs["user"].key(0))
    made = loaded.explain(query, loaded.answer(query)[0].id, support=False, verify=True)
    assert made.paths and all(
        edge.now == "there" for path in made.paths for edge in path.edges
    )
    loaded.store = ""
    with pytest.raises(StoreError, match="does not say which graph"):
        loaded.explain(query, loaded.answer(query)[0].id, support=False, verify=True)


def test_the_store_is_built_once(command, data, monkeypatch):
    assert main(command("--graph", "--dry-run", "source.seed=5")) == 0
    with monkeypatch.context() as changed:
        changed.setattr(
            Checkerboard, "load", lambda _: pytest.fail("the source was read again")
        )
        assert main(command("--graph", "--dry-run", "source.seed=5")) == 0
    before = set(data.iterdir())
    assert main(command("--graph", "--dry-run", "source.seed=6")) == 0
    assert len(set(data.iterdir()) - before) == 1
    assert {p.suffix for p in data.iterdir()} == {".duckdb"}


def test_a_dry_run_trains_nothing_and_leaves_no_run(
    command, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(Trainer, "fit", lambda *_: pytest.fail("it trained"))
    assert main(command("--graph", "--dry-run")) == 0
    printed = capsys.readouterr().out
    assert not (tmp_path / "runs").exists()
    for line in (
        "40 user, 240 basket, 42 item",
        "training 12 steps of 40 ",
        "GiB",
        "dry run: nothing was trained",
    ):
        assert line in printed
    few = (
        "warning: 12 steps are too few for vectors to learn from (below 30); "
        "raise folds.count, folds.length or"
    )
    assert few in printed and "training.epochs" in printed.partition(few)[2]
    assert main(command("--graph", "--dry-run", "training.epochs=5")) == 0
    assert "too few" not in capsys.readouterr().out


def test_without_a_graph_the_language_half_trains_alone(command, one_run):
    assert main(command("--compare")) == 0
    run = one_run()
    assert run.folder.name.endswith("-checkerboard-language") and names(run) == [
        "model"
    ]
    loaded = Recommender.load(run.folder)
    assert (
        loaded.model.gnn is None
        and loaded.model.head is None
        and loaded.model.text is not None
    )
    assert all(r.text_weight == 1 for r in loaded.recommend("u003"))


def test_a_recipe_without_a_source_needs_the_address_of_a_graph(
    command, data, tmp_path, capsys
):
    shipped = (ROOT / "fusion" / "recipes" / "checkerboard.toml").read_text()
    start, end = shipped.index("[source]"), shipped.index("[split]")
    own = tmp_path / "own.toml"
    own.write_text(shipped[:start] + shipped[end:])
    before = set(data.iterdir())
    for flags in ((), ("--graph",)):
        assert main([str(own), *command(*flags, "--dry-run")[1:]]) == 2
        assert (
            "names no [source]; name one, or give the graph's address with --graph"
            in capsys.readouterr().err
        )
    assert set(data.iterdir()) == before
    path = str(tmp_path / "graph.duckdb")
    with open_store(path, create=True) as store:
        write_tables(store, Checkerboard(users=40, items=40).load())
    assert main([str(own), *command("--graph", path, "--dry-run")[1:]]) == 0


def test_the_seed_is_kept_with_the_run(command, one_run):
    runs = []
    for seed in ((), ("--seed", "7"), ("--seed", "7")):
        assert main(command("--graph", *seed)) == 0
        runs.append(one_run())
        if len(runs) < 3:
            shutil.rmtree(runs[-1].folder)
    assert json.loads((runs[2].folder / "recipe.json").read_text())["seed"] == 7
    assert (
        runs[0].losses != runs[1].losses == runs[2].losses
        and runs[1].metrics == runs[2].metrics
    )


def test_neo4j_uri_counts_only_where_a_graph_is_asked_for_without_an_address(
    command, data, monkeypatch, capsys
):
    monkeypatch.setenv("NEO4J_URI", "bolt://127.0.0.1:1")
    assert main(command("--dry-run")) == 0
    (store,) = (p for p in data.glob("*.duckdb") if str(p) in capsys.readouterr().out)
    assert main(command("--graph", str(store), "--dry-run")) == 0
    assert str(store) in capsys.readouterr().out
    assert main(command("--graph", "--dry-run")) == 2
    assert "bolt://127.0.0.1:1" in capsys.readouterr().err


@pytest.mark.neo4j
def test_neo4j_and_the_embedded_store_give_the_same_run(
    command, one_run, neo4j_store, neo4j_uri, prefix, tmp_path
):
    plain = Checkerboard(users=40, items=40).load()
    nodes = tuple(
        replace(node, label=prefix + node.label) for node in plain.schema.nodes
    )
    tables = Tables(replace(plain.schema, nodes=nodes), plain.nodes, plain.edges)
    path = tmp_path / "graph.duckdb"
    write_tables(neo4j_store, tables)
    with open_store(str(path), create=True) as store:
        write_tables(store, tables)
    runs = []
    for uri in (neo4j_uri, str(path)):
        assert main(command("--graph", uri)) == 0
        runs.append(one_run())
        shutil.rmtree(runs[-1].folder)
    assert (
        runs[0].data == runs[1].data
        and runs[0].metrics == runs[1].metrics
        and runs[0].losses == runs[1].losses
    )
    assert np.isfinite(runs[0].losses).all()
