"""python -m fusion, on what a real run folder holds."""

import json

import networkx as nx
import pytest

from fusion.__main__ import main
from fusion.commands.common import table, within
from fusion.query import Constraints
from kg.stores.base import write_tables
from kg.stores.open import open_store
from kg.tables import Tables


def test_a_missing_run_is_one_line_and_exit_code_2(tmp_path, capsys):
    assert main(["answer", "--runs", str(tmp_path / "none"), "--user", "1"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "no runs there" in told


def test_within_is_read_or_refused():
    assert within(["colour=Red|Dark Blue", "kind=Sock"]) == (
        ("colour", ("Red", "Dark Blue")),
        ("kind", ("Sock",)),
    )
    assert within([" brand = Acme | Novelty, Costumes & More|"]) == (
        ("brand", ("Acme", "Novelty, Costumes & More")),
    )
    for wrong in ("colour", "=Red", "colour=", "colour= | ", " =Red"):
        with pytest.raises(ValueError, match="PROPERTY=VALUE"):
            within([wrong])


def test_a_table_lines_up_its_columns():
    assert (
        table(["id", "title"], [["1", "a"], ["22", "bb"]]) == "id  title\n1   a\n22  bb"
    )
    assert table(["id"], []) == "nothing found"


@pytest.fixture(scope="module")
def run_folder(trained, tmp_path_factory):
    """A run folder of the trained checkerboard."""
    from fusion.runs.artifacts import save
    from fusion.runs.folder import new_run

    out = tmp_path_factory.mktemp("runs")
    with new_run(out, "tiny") as folder:
        save(trained.recommender, trained.recipe, folder)
    return next(out.iterdir())


class TestCombinations:
    def test_build_prints_slots_a_weakest_item_and_the_score(self, run_folder, capsys):
        command = [
            "build",
            "--run",
            str(run_folder),
            "--text",
            "a lamp",
            "--slots",
            "2 black",
            "white",
            "--items",
            "i001",
        ]
        assert main(command) == 0
        told = capsys.readouterr().out
        assert "black: has_colour black" in told and told.count("weakest") == 3
        assert "1. 3 items, price not known, score -" in told and "context" in told

    def test_what_cannot_be_is_one_line_and_exit_code_2(self, run_folder, capsys):
        for flags, fault in (
            (["--slots", "purple"], "slot 'purple': there is no"),
            (["--budget", "-3"], "budget: -3.0 is no amount of money"),
            (["--budget", "3"], "no property or relation 'price'"),
            (["--size", "many"], "--size 'many' is no number or range"),
            (
                ["--size", "2", "--slots", "2 black", "white"],
                "the slots want at least 3 items",
            ),
            (["--items", *map(str, range(10_000))], "10000 items at hand are too many"),
            (
                ["--slots", "black", "black"],
                "two slots are called 'black'; give one a count",
            ),
            (["--within", "colour=red"], "no item has colour 'red'"),
            (
                ["--without", "colour=black", "--slots", "black"],
                "no combination meets no colour black and slot 'black'",
            ),
        ):
            assert main(["build", "--run", str(run_folder), *flags]) == 2, flags
            told = capsys.readouterr()
            assert told.err.count("\n") == 1 and fault in told.err, told.err
            assert not told.out

    def test_compatibility_names_the_swap_or_says_that_there_is_none(
        self, run_folder, capsys
    ):
        assert (
            main(
                [
                    "compatibility",
                    "--run",
                    str(run_folder),
                    "--items",
                    "i000",
                    "i007",
                    "i012",
                    "--any",
                ]
            )
            == 0
        )
        told = capsys.readouterr().out
        assert "weakest" in told and ("in place of" in told or "no single swap" in told)

    def test_bundles_of_a_file_are_ranked_or_refused(
        self, run_folder, capsys, tmp_path
    ):
        file = tmp_path / "bundles.json"
        file.write_text(
            '{"one": ["i000", "i002"], "other": ["i001", "i003", "i005", "i007"]}'
        )
        command = [
            "bundles",
            "--run",
            str(run_folder),
            "--text",
            "black",
            "--file",
            str(file),
        ]
        assert main(command) == 0
        told = capsys.readouterr().out
        assert "one" in told and "and 1 more" in told
        for wrong in ("[]", '{"one": "i000"}', "no"):
            file.write_text(wrong)
            assert main(command) == 2 and capsys.readouterr().err.count("\n") == 1

    def test_answers_can_be_one_of_each_category(self, run_folder, capsys):
        assert (
            main(
                [
                    "answer",
                    "--run",
                    str(run_folder),
                    "--items",
                    "i000",
                    "--one-per",
                    "colour",
                ]
            )
            == 0
        )
        told = capsys.readouterr().out
        assert len(told.splitlines()) == 2
        assert (
            told.split()[:3] == ["id", "title", "score"] and "%" not in told
        )  # its vector's share is no reason

    def test_what_is_not_known_is_told_above_the_answer(self, run_folder, capsys):
        assert (
            main(
                [
                    "answer",
                    "--run",
                    str(run_folder),
                    "--user",
                    "424242",
                    "--items",
                    "none",
                    "-k",
                    "2",
                ]
            )
            == 0
        )
        user, items, nobody, head, *rows = capsys.readouterr().out.splitlines()
        assert user.startswith(
            "There is no user 424242 in the graph"
        ) and items.endswith("passed over: none.")
        assert (
            "what is popular" in nobody
            and head.split() == ["id", "title", "score"]
            and len(rows) == 2
        )
        assert (
            main(["answer", "--run", str(run_folder), "--user", "u003", "-k", "2"]) == 0
        )
        assert len(capsys.readouterr().out.splitlines()) == 3
        assert (
            main(
                [
                    "build",
                    "--run",
                    str(run_folder),
                    "--user",
                    "424242",
                    "--slots",
                    "black",
                ]
            )
            == 0
        )
        told = capsys.readouterr().out
        assert (
            told.startswith("There is no user 424242 in the graph")
            and "popular" not in told
        )

    def test_answers_can_be_what_the_user_has_not_taken(
        self, run_folder, capsys, trained
    ):
        row = trained.recommender.snapshot.graph.vocabs["user"].row("u003")
        taken = {
            trained.recommender.items.key(item)
            for item in trained.recommender.counts.interacted(row).tolist()
        }
        assert (
            main(
                [
                    "answer",
                    "--run",
                    str(run_folder),
                    "--user",
                    "u003",
                    "-k",
                    "42",
                    "--exclude-seen",
                ]
            )
            == 0
        )
        shown = {line.split()[1] for line in capsys.readouterr().out.splitlines()[1:]}
        assert taken and not taken & shown and len(shown) == 42 - len(taken)
        assert (
            main(
                [
                    "build",
                    "--run",
                    str(run_folder),
                    "--user",
                    "u003",
                    "--size",
                    "3",
                    "--exclude-seen",
                ]
            )
            == 0
        )
        told = capsys.readouterr().out
        assert "i0" in told and not any(item in told for item in taken)


class TestExplain:
    def test_prints_the_paths_and_writes_what_is_asked_for(
        self, run_folder, capsys, tmp_path
    ):
        pytest.importorskip("neo4j_viz")
        files = {
            kind: tmp_path / f"made.{kind}" for kind in ("html", "graphml", "json")
        }
        flags = [
            part for kind, file in files.items() for part in (f"--{kind}", str(file))
        ]
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

    def test_an_item_of_a_narrowed_answer_is_explained_in_it(
        self, run_folder, capsys, trained
    ):
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
        self, run_folder, capsys, tmp_path, trained
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

    def test_what_cannot_be_is_one_line_and_exit_code_2(
        self, run_folder, capsys, tmp_path
    ):
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
                main(["explain", "--run", str(run_folder), "--user", "u003", *flags])
                == 2
            ), flags
            told = capsys.readouterr()
            assert told.err.count("\n") == 1 and fault in told.err and not told.out, (
                told.err
            )
