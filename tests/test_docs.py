"""Holds the documents to the code: the Python in them imports, the commands and flags in them exist."""

import ast
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
SHELL = ("sh", "bash", "shell", "console")
PROGRAMS = {"train.py": ("train.py",), "trousseau-train": ("train.py",)}


def blocks(markdown: str, *languages: str) -> list[str]:
    """The fenced code blocks of a language, without the indentation of a list they stand in."""
    pattern = re.compile(r"^( *)```(\w+)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
    found = pattern.findall(markdown)
    return [re.sub(f"^{indent}", "", text, flags=re.MULTILINE) for indent, name, text in found if name in languages]


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
    """What a program of ours prints for --help; fails where it does not start."""
    environment = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, *start, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120, env=environment
    )
    assert done.returncode == 0, f"{' '.join(start)} --help: {done.stderr}"
    return done.stdout


def unknown_flags(words: list[str], help_text: str) -> list[str]:
    """The --flags of a command that its help does not name."""
    flags = [w.partition("=")[0] for w in words if w.startswith("--") and w != "--"]
    return [f for f in flags if not re.search(rf"(?<![\w-]){re.escape(f)}(?![\w-])", help_text)]


def make_targets() -> set[str]:
    """The targets of the Makefile."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return {name for line in re.findall(r"^([\w./ -]+):(?!=)", text, re.MULTILINE) for name in line.split()}


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
                targets = {w for w in words[1:] if "=" not in w and not w.startswith("-")}
                assert targets <= make_targets(), " ".join(words)


@pytest.mark.parametrize("page", documents(), ids=lambda p: p.name)
def test_every_python_block_parses_and_its_imports_are_there(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8"), "python"):
        imports: list[ast.stmt] = [
            node for node in ast.parse(block).body if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        exec(compile(ast.Module(imports, []), page.name, "exec"), {})


@pytest.mark.parametrize("page", documents(), ids=lambda p: p.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


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
    assert [program(words) for words in commands(text)] == [None, ("train.py",), ("-m", "kg", "load"), None]
    assert program(["python", "-m", "venv", ".venv"]) is None
    assert commands("$ make test\n12 passed, don't worry\n") == [["make", "test"]]


def test_an_unknown_flag_is_told_from_a_known_one() -> None:
    text = "usage: train.py [--graph [URI]] [--set-seed N]"
    assert unknown_flags(["--graph=x", "--set-seed", "--set", "--grap", "-v", "--"], text) == ["--set", "--grap"]


def test_the_make_targets_are_read() -> None:
    assert {"train", "test", "lint", "ci", ".venv/dev"} <= make_targets()
    assert "BIN" not in make_targets()
