import subprocess
import sys
import tomllib
from pathlib import Path

import pyarrow as pa
import pytest

from kg.__main__ import main
from kg.schema import GraphSchema, NodeType
from kg.sources.checkerboard import Checkerboard
from kg.sources.folder import Folder
from kg.stores.base import read_tables, write_tables
from kg.stores.open import open_store
from kg.tables import Tables

TABLES = Checkerboard(users=6, items=8).load()

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path):
    with open_store(str(tmp_path / "graph.kg"), create=True) as opened:
        write_tables(opened, TABLES)
    return str(tmp_path / "graph.kg")


def test_load_then_check(tmp_path, capsys):
    path = str(tmp_path / "new.kg")
    for source in ("checkerboard:Checkerboard", "kg.sources.checkerboard:Checkerboard"):
        assert main(["load", source, path, "--set", "users=6", "--set", "items=8"]) == 0
    assert "item: 10\n" in capsys.readouterr().out
    assert main(["check", path]) == 0
    out = capsys.readouterr().out
    assert "times of made: 0 to 5\n" in out and "times of contains" not in out
    assert "has_colour: 10\n" in out and f"fingerprint: {TABLES.fingerprint()}\n" in out
    assert (
        "isolated items: 0\n" in out
        and "items without text: 0\n" in out
        and "share their title: 0\n" in out
    )


def test_load_tells_what_the_store_held_before(tmp_path, capsys):
    path = str(tmp_path / "new.kg")
    assert (
        main(
            [
                "load",
                "checkerboard:Checkerboard",
                path,
                "--set",
                "users=6",
                "--set",
                "items=8",
            ]
        )
        == 0
    )
    assert "warning" not in capsys.readouterr().out
    assert (
        main(
            [
                "load",
                "checkerboard:Checkerboard",
                path,
                "--set",
                "users=4",
                "--set",
                "items=8",
            ]
        )
        == 0
    )
    out = capsys.readouterr().out
    assert "user: 6, of 4 written\n" in out and "item: 10\n" in out
    assert f"warning: {path} held more before, and still does" in out


def test_export_is_what_the_folder_source_reads(store, tmp_path):
    folder = tmp_path / "a" / "b"
    assert main(["export", store, str(folder)]) == 0
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.*")) == [
        "edges/contains.parquet",
        "edges/has_colour.parquet",
        "edges/made.parquet",
        "nodes/basket.parquet",
        "nodes/colour.parquet",
        "nodes/item.parquet",
        "nodes/user.parquet",
        "schema.toml",
    ]
    assert (
        main(
            [
                "load",
                "folder:Folder",
                str(tmp_path / "again.kg"),
                "--set",
                f"path={folder}",
            ]
        )
        == 0
    )
    with open_store(str(tmp_path / "again.kg")) as again:
        assert read_tables(again).fingerprint() == TABLES.fingerprint()


def test_export_under_another_schema(store, tmp_path):
    schema = tmp_path / "less.toml"
    schema.write_text("[[nodes]]\nname = 'thing'\nlabel = 'Item'\nrole = 'item'\n")
    assert main(["export", store, str(tmp_path / "out"), "--schema", str(schema)]) == 0
    assert [p.name for p in (tmp_path / "out" / "nodes").iterdir()] == ["thing.parquet"]


def test_check_counts_what_is_missing(tmp_path, capsys):
    schema = GraphSchema((NodeType("item", "item", title="t", text=("t",)),))
    path = str(tmp_path / "x.kg")
    with open_store(path, create=True) as store:
        write_tables(
            store,
            Tables(
                schema,
                {
                    "item": pa.table(
                        {"id": list("abcd"), "t": ["hat", "hat", "cap", None]}
                    )
                },
                {},
            ),
        )
    assert main(["check", path]) == 1
    out = capsys.readouterr().out
    assert (
        "isolated items: 4\n" in out
        and "items without text: 1\n" in out
        and "share their title: 2\n" in out
    )
    assert "FAILED: 1 items have neither edges nor text, such as 'd'" in out


def test_check_prints_days_as_dates_too(tmp_path, capsys):
    path = str(tmp_path / "x.kg")
    with open_store(path, create=True) as store:
        write_tables(store, Folder.example())
    assert main(["check", path]) == 0
    assert (
        "times of bought: 19737 to 19797 (2024-01-15 to 2024-03-15)\n"
        in capsys.readouterr().out
    )


def test_check_warns_of_prices_that_are_none(tmp_path, capsys):
    schema = GraphSchema(
        (NodeType("item", "item", text=("id",), properties=("price",)),)
    )
    for prices, says in (
        (
            ["1.5", None, "abc", "-1", "88,9", "nan"],
            "warning: 4 prices are no numbers or below 0, such as 'c' at 'abc'\n",
        ),
        (
            [1.5, None, 0.0, -1.0, 2.0, 3.0],
            "warning: 1 prices are no numbers or below 0, such as 'd' at -1.0\n",
        ),
        (["1.5", None, "0", "1", "2", "3"], ""),
    ):
        path = str(tmp_path / f"{prices[2]}.kg")
        with open_store(path, create=True) as store:
            write_tables(
                store,
                Tables(
                    schema,
                    {"item": pa.table({"id": list("abcdef"), "price": prices})},
                    {},
                ),
            )
        assert main(["check", path]) == 0
        out = capsys.readouterr().out
        assert says in out and ("warning" in out) == bool(says)


def test_check_fails_on_data_that_break_the_schema(store, tmp_path, capsys):
    lines = TABLES.schema.to_toml().replace(
        'name = "has_colour"', 'name = "has_colour"\nweight = "share"\ntime = "t"'
    )
    schema = tmp_path / "s.toml"
    schema.write_text(lines)
    assert main(["check", store, "--schema", str(schema)]) == 1
    assert "FAILED: edge type 'has_colour': each time" in capsys.readouterr().out


def test_inspect_prints_the_saved_schema(store, capsys):
    assert main(["inspect", store]) == 0
    assert (
        GraphSchema.from_dict(tomllib.loads(capsys.readouterr().out)) == TABLES.schema
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check", "nope.kg"], "nope.kg"),
        (
            ["check", "."],
            ".: a folder, and no graph file; load its tables into one with `python -m kg "
            "load folder",
        ),
        (["inspect", "ftp://x"], "ftp://"),
        (["check", "STORE", "--schema", "nope.toml"], "no schema file at nope.toml"),
        (["load", "Folder", "x.kg"], "is no source"),
        (["load", "os.path:join", "x.kg"], "is no source"),
        (["load", "nope:Nope", "x.kg"], "no source 'nope:Nope'"),
        (["load", "folder:Nope", "x.kg"], "has no Nope"),
        (["load", "folder:Path", "x.kg"], "is no source"),
        (["load", "folder:Folder", "x.kg"], "path"),
        (["load", "folder:Folder", "x.kg", "--set", "path"], "key=value"),
        (["load", "folder:Folder", "x.kg", "--set", "colour=1"], "its keys are path"),
        (["load", "folder:Folder", "x.kg", "--set", "path=nowhere"], "nowhere"),
        (
            ["load", "checkerboard:Checkerboard", "x.kg", "--set", "users=many"],
            "users must be int",
        ),
        (
            ["load", "checkerboard:Checkerboard", "x.kg", "--set", "users=1.5"],
            "users must be int",
        ),
        (["load", "checkerboard:Checkerboard", "x.kg", "--set", "users=1"], "users"),
    ],
)
def test_bad_input_is_one_line_and_two(
    arguments, says, store, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main([store if a == "STORE" else a for a in arguments]) == 2
    out, err = capsys.readouterr()
    assert (
        says in err
        and err.count("\n") == 1
        and err.startswith(f"kg {arguments[0]}: ")
        and not out
    )
    assert not (tmp_path / "x.kg").exists()


def test_a_bad_command_line_exits_with_two():
    for arguments in ([], ["nope"], ["load"], ["check"]):
        with pytest.raises(SystemExit, match="2"):
            main(arguments)


def test_the_module_runs_and_explains_itself():
    done = subprocess.run(
        [sys.executable, "-m", "kg", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(word in done.stdout for word in ("load", "export", "check", "inspect"))
    done = subprocess.run(
        [sys.executable, "-m", "kg", "check", "nope.kg"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "nope.kg" in done.stderr
