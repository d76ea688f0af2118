"""Reads the documents: their pages, their blocks, and the commands in them."""

import contextlib
import importlib
import io
import re
import runpy
import shlex
import sys
import tomllib
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
RECIPE_PAGE = DOCS / "reference" / "recipe.md"
SHELL = ("sh", "bash", "shell", "console")


def documents() -> list[Path]:
    """README.md, CONTRIBUTING.md and every page under docs/."""
    pages = [README, ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
    return [page for page in pages if page.exists()]


def runnable() -> list[Path]:
    """The pages whose Python runs: all but those that tell of the past, or are generated."""
    told = (DOCS / "decisions", DOCS / "benchmarks")
    return [page for page in documents() if page.parent not in told]


def name_of(page: Path) -> str:
    """A page's path from the root, as the name of a test."""
    return page.relative_to(ROOT).as_posix()


def blocks(markdown: str, *languages: str) -> list[str]:
    """The fenced code blocks of a language, without the indentation of a list they stand in."""
    pattern = re.compile(r"^( *)```(\w+)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
    return [
        re.sub(f"^{indent}", "", text, flags=re.MULTILINE)
        for indent, language, text in pattern.findall(markdown)
        if language in languages
    ]


def prose(markdown: str) -> str:
    """A page without its fenced code."""
    return re.sub(r"```.*?```", "", markdown, flags=re.DOTALL)


def commands(shell: str) -> list[list[str]]:
    """The words of each command: no comments, continued lines joined, `&&` and pipes taken apart.

    Where some lines start with the prompt "$ ", the others are output.
    """
    parts: list[list[str]] = []
    lines = shell.replace("\\\n", " ").splitlines()
    prompted = [line[2:] for line in lines if line.startswith("$ ")]
    for line in prompted or lines:
        words: list[str] = []
        for word in [*shlex.split(line, comments=True), "&&"]:
            if word in {"&&", "&", ";", "|", "||"}:
                parts += [words] if words else []
                words = []
            else:
                words.append(word)
    return parts


@cache
def scripts() -> dict[str, str]:
    """The console commands that pyproject.toml installs: name to "module:function"."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found: dict[str, str] = tomllib.loads(text)["project"].get("scripts", {})
    return found


def program(words: list[str]) -> tuple[str, ...] | None:
    """What of ours a command starts, with its verbs; None for a program of somebody else.

    The first word is the name of a console command, "-m", or a file.
    """
    words = [word for word in words if not re.fullmatch(r"\w+=.*", word)]
    if not words:
        return None
    if words[0] == "trousseau" or words[0] in scripts():
        return ("script", words[0], *_verbs(words[1:], 2))
    if not re.fullmatch(r"(.*/)?python3?", words[0]):
        return None
    if words[1:2] == ["-m"] and (ROOT / words[2].replace(".", "/")).exists():
        return ("-m", words[2], *_verbs(words[3:], 1))
    if words[1:2] == ["-m"] and (ROOT / f"{words[2].replace('.', '/')}.py").exists():
        return ("-m", words[2])
    if words[1:] and words[1].endswith(".py"):
        return ("file", words[1])
    return None


def _verbs(words: list[str], most: int) -> list[str]:
    """The leading words that can be verbs."""
    verbs: list[str] = []
    for word in words[:most]:
        if not re.fullmatch(r"[a-z]+", word):
            break
        verbs.append(word)
    return verbs


@cache
def help_of(start: tuple[str, ...]) -> str:
    """What a program of ours prints for --help; in this process, since imports take seconds."""
    kind, name, *verbs = start
    out = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as changed,
        contextlib.redirect_stdout(out),
    ):
        changed.setenv("COLUMNS", "200")
        changed.setattr(sys, "argv", [name, *verbs, "--help"])
        changed.setattr(sys, "path", [*sys.path])
        try:
            code = _start(kind, name)
        except SystemExit as end:
            code = end.code
    assert not code, f"{' '.join(start)} --help: exit code {code}"
    return out.getvalue()


def _start(kind: str, name: str) -> int | str | None:
    """Run a program with the arguments in sys.argv; its exit code."""
    if kind == "script":
        assert name in scripts(), f"pyproject.toml installs no command {name}"
        module, _, function = scripts()[name].partition(":")
        code: int | None = getattr(importlib.import_module(module), function)()
        return code
    file = ROOT / name
    if kind == "-m":
        folder = ROOT / name.replace(".", "/")
        file = folder / "__main__.py" if folder.is_dir() else folder.with_suffix(".py")
    runpy.run_path(str(file), run_name="__main__")
    return 0


def unknown_flags(words: list[str], help_text: str) -> list[str]:
    """The --flags of a command that its help does not name."""
    flags = [w.partition("=")[0] for w in words if w.startswith("--") and w != "--"]
    return [
        flag
        for flag in flags
        if not re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", help_text)
    ]


def make_targets() -> set[str]:
    """The targets of the Makefile."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return {
        name
        for line in re.findall(r"^([\w./ -]+):(?!=)", text, re.MULTILINE)
        for name in line.split()
    }


def recipe_keys() -> set[str]:
    """Every key of a recipe as its page lists it: "training.epochs", "tasks.NAME.limit"."""
    keys: set[str] = set()
    table = ""
    for line in RECIPE_PAGE.read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"## \[([\w.]+)\]", line):
            table = f"{heading[1]}."
            keys.add(f"{table}class")
        elif (row := re.match(r"\| (\w+) \|", line)) and row[1] != "key":
            keys.add(table + row[1])
    return keys


def unknown_keys(words: list[str]) -> list[str]:
    """The keys after --set in a command that are no keys of a recipe."""
    given = [value for flag, value in pairwise(words) if flag == "--set"]
    names = [value.partition("=")[0] for value in given]
    plain = [re.sub(r"^tasks\.\w+\.", "tasks.NAME.", name) for name in names]
    return [name for name in plain if name not in recipe_keys()]
