"""python -m fusion explain."""

import json

import networkx as nx
import pytest

from fusion.__main__ import main
from fusion.query import Constraints
from kg.stores.base import write_tables
from kg.stores.open import open_store
from kg.tables import Tables


def test_explain_prints_the_paths_and_writes_the_files(run_folder, capsys, tmp_path):
    pytest.importorskip("neo4j_viz")
    files = {kind: tmp_path / f"made.{kind}" for kind in ("html", "graphml", "json")}
    flags = [part for kind, file in files.items() for part in (f"--{kind}", str(file))]
    command = ["explain", "--run", str(run_folder), "--user", "u003", "-k", "2"]
    assert main([*command, "--cypher", *flags]) == 0
    told, made = capsys.readouterr().out, json.loads(files["json"].read_text())
    assert (
        made["rank"] == 1
        and 1 <= len(made["paths"]) <= 2
        and f"({made['item']['id']}): place 1" in told
    )
    for path in made["paths"]:
        assert path["cypher"] + ";" in told and path["support"]
    assert nx.read_graphml(files["graphml"]).has_node(f"item {made['item']['id']}")
    assert "<html" in files["html"].read_text()


def test_an_item_of_a_narrowed_answer_is_explained_in_it(run_folder, capsys, trained):
    white, kept = (
        ["--within", "colour=white"],
        Constraints(within=(("colour", ("white",)),), exclude_seen=True),
    )
    best = trained.recommender.recommend("u003", 1, kept)[0]
    command = [
        "explain",
        "--run",
        str(run_folder),
        "--user",
        "u003",
        *white,
        "--exclude-seen",
        "--fast",
    ]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert (
        f"({best.id}): place 1" in told
        and best.title in told
        and "leave this item out" not in told
    )


def test_a_store_is_asked_whether_the_edges_are_still_there(
    run_folder, capsys, tmp_path, trained
):
    store = tmp_path / "graph.duckdb"
    tables = trained.recommender.tables
    edges = {
        name: table.slice(0, 0) if name == "has_colour" else table
        for name, table in tables.edges.items()
    }
    with open_store(str(store), create=True) as opened:
        write_tables(opened, Tables(tables.schema, tables.nodes, edges))
    command = [
        "explain",
        "--run",
        str(run_folder),
        "--user",
        "u003",
        "-k",
        "10",
        "--fast",
        "--language",
        "zh",
    ]
    assert main([*command, "--verify", str(store)]) == 0
    told = capsys.readouterr().out
    assert (
        "(there)" in told
        and "has_colour- " in told
        and "。" in told
        and "without" not in told
    )
    for line in told.splitlines():
        if "has_colour-" in line:
            assert "(gone)" in line
    assert main([*command, "--verify", str(tmp_path / "none.duckdb")]) == 2


def test_bad_input_is_one_line_and_exit_code_2(run_folder, capsys, tmp_path):
    own = tmp_path / "own.toml"
    own.write_text("quote = 3")
    for flags, fault in (
        (["--item", "nothing"], "there is no item 'nothing'"),
        (["--items", "i001", "--item", "i001"], "at hand"),
        (["-k", "0"], "k = 0"),
        (["--language", "fr"], "there are no phrases in 'fr'"),
        (["--phrases", str(own)], "quote is no text"),
    ):
        assert (
            main(["explain", "--run", str(run_folder), "--user", "u003", *flags]) == 2
        ), flags
        told = capsys.readouterr()
        assert told.err.count("\n") == 1 and fault in told.err and not told.out, (
            told.err
        )
