"""The console command: one verb for each thing, and help that does not load a model."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import trousseau

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "transformers", "lightning", "sklearn", "duckdb")


def loaded_after(*arguments):
    """Which heavy packages a command imports; what it prints."""
    code = (
        "import sys, runpy\n"
        f"sys.argv = {list(arguments)!r}\n"
        "try:\n"
        "    import trousseau, train, fusion.__main__ as asked\n"
        "    main = {'trousseau': trousseau, 'train': train, 'fusion': asked}[sys.argv[0]].main\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit:\n"
        "    pass\n"
        f"print('loaded', [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("trousseau", "--help"),
        ("trousseau", "recommend", "--help"),
        ("trousseau", "explain", "--help"),
        ("trousseau", "train", "--help"),
        ("train", "--help"),
        ("fusion", "--help"),
        ("fusion", "build", "--help"),
    ],
    ids=" ".join,
)
def test_help_is_told_without_loading_a_model(arguments):
    printed = loaded_after(*arguments)
    assert "usage:" in printed and "loaded []" in printed


def test_every_verb_has_a_main():
    for name, verb in trousseau.VERBS.items():
        assert importlib.util.find_spec(verb.module), name


def test_help_names_every_verb(capsys):
    assert trousseau.main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n  {name} " in printed for name in trousseau.VERBS)


def test_an_unknown_verb_is_refused(capsys):
    assert trousseau.main(["recomend"]) == 2
    assert "there is no verb 'recomend'" in capsys.readouterr().err
    assert trousseau.main([]) == 2


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        (["recommend", "7", "-k", "3"], ["answer", "--user", "7", "-k", "3"]),
        (["complete", "a", "b"], ["answer", "--items", "a", "b"]),
        (["search", "red shoes"], ["answer", "--text", "red shoes"]),
        (["search", "--text", "red"], ["answer", "--text", "red"]),
        (["explain", "--user", "7"], ["explain", "--user", "7"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_what_is_asked_needs_no_flag(given, passed, monkeypatch):
    calls = []

    class Module:
        @staticmethod
        def main(arguments):
            calls.append(arguments)
            return 0

    monkeypatch.setattr("importlib.import_module", lambda name: Module)
    assert trousseau.main(given) == 0
    assert calls == [passed]
