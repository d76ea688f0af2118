"""Holds the shape of the code: which folder may import which, and what no file may do."""

import ast
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINES = 300
BELOW = {
    "kg": {"kg"},
    "encoders": {"kg", "encoders"},
    "fusion": {"kg", "encoders", "fusion"},
    "eval": {"kg", "encoders", "fusion", "eval"},
    "serve": {"kg", "encoders", "fusion", "serve"},
    "train": {"kg", "encoders", "fusion", "eval"},
}
# trousseau.py imports each verb by its name; nothing below may import it.
OURS = set(BELOW) | {"tests", "benchmarks", "examples", "trousseau"}
# Who alone may import a driver; the folders end in "/".
DRIVERS = {
    "neo4j": ("kg/stores/neo4j_connection.py",),
    "duckdb": (
        "kg/stores/embedded.py",
        "kg/stores/embedded_merge.py",
        "kg/sources/",
    ),
}
UNPICKLERS = {
    "pickle",
    "cPickle",
    "_pickle",
    "cloudpickle",
    "dill",
    "joblib",
    "shelve",
    "marshal",
}
NAMES_CLASSES = "kg/config.py"  # imports what a recipe names, in our own folders only


def imported(node: ast.AST, package: tuple[str, ...]) -> Iterator[str | None]:
    """The modules that a node imports, None for one known only when it runs."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        stem = [*package[: len(package) - node.level + 1]] if node.level else []
        names = [node.module] if node.module else [alias.name for alias in node.names]
        yield from (".".join([*stem, name]) for name in names)
    elif isinstance(node, ast.Call) and _called(node).rpartition(".")[2] in {
        "import_module",
        "__import__",
    }:
        yield _named(node.args[0]) if node.args else None


def _named(argument: ast.expr) -> str | None:
    """The module that a constant names; of f"kg.sources.{name}" the folder it stays in."""
    if isinstance(argument, ast.JoinedStr):
        folder = _named(argument.values[0])
        return folder.rstrip(".") if folder and "." in folder else None
    return str(argument.value) if isinstance(argument, ast.Constant) else None


def faults(path: PurePosixPath, source: str) -> list[str]:
    """What a file does that it may not, each with its line.

    Args:
        path: The file's path from the root of the project.
        source: Its text.
    """
    layer = path.parts[0].removesuffix(".py")
    found = []
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        for module in imported(node, path.parts[:-1]):
            found += [
                f"{path}:{line}: {fault}"
                for fault in _import_faults(path, layer, module)
            ]
        if isinstance(node, ast.Import) and any(
            a.name.split(".")[0] == "eval" and not a.asname for a in node.names
        ):
            found.append(
                f"{path}:{line}: `import eval` shadows the builtin; write `from eval.x import y`"
            )
        if isinstance(node, ast.Call | ast.ImportFrom):
            found += [f"{path}:{line}: {fault}" for fault in _load_faults(node)]
    lines = source.count("\n")
    return found + (
        [f"{path}: {lines} lines; a file has at most {LINES}"] if lines > LINES else []
    )


def _import_faults(
    path: PurePosixPath, layer: str, module: str | None
) -> Iterator[str]:
    if module is None:
        if layer in BELOW and str(path) != NAMES_CLASSES:
            yield "imports a module by a computed name"
        return
    top = module.split(".")[0]
    if top in OURS and layer in BELOW and top not in BELOW[layer]:
        yield f"{layer} may not import {module}"
    if top in DRIVERS and layer in BELOW and not str(path).startswith(DRIVERS[top]):
        yield f"only {', '.join(DRIVERS[top])} may import {top}"
    if top in UNPICKLERS:
        yield f"{top} runs whatever a file says; use safetensors, JSON or Arrow"


def _load_faults(node: ast.Call | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom):
        if node.module == "torch" and any(alias.name == "load" for alias in node.names):
            yield "write torch.load(..., weights_only=True)"
        return
    given = {
        k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)
    }
    if _called(node) == "torch.load" and given.get("weights_only") is not True:
        yield "torch.load without weights_only=True runs whatever the file says"
    if (
        given.get("allow_pickle") is True
        or given.get("weights_only") is False
        or "read_pickle" in _called(node)
    ):
        yield "unpickling runs whatever the file says"


def _called(node: ast.Call) -> str:
    return (
        ast.unparse(node.func)
        if isinstance(node.func, ast.Name | ast.Attribute)
        else ""
    )


def _files() -> list[PurePosixPath]:
    named = [
        p for folder in sorted(OURS) for p in (ROOT / folder).rglob("*.py")
    ] + list(ROOT.glob("*.py"))
    return [
        PurePosixPath(p.relative_to(ROOT).as_posix())
        for p in named
        if "__pycache__" not in p.parts
    ]


@pytest.mark.parametrize("path", _files(), ids=str)
def test_every_file_keeps_to_the_rules(path: PurePosixPath) -> None:
    assert faults(path, (ROOT / path).read_text(encoding="utf-8")) == []


def test_the_files_are_found() -> None:
    files = {str(path) for path in _files()}
    assert {
        "kg/stores/base.py",
        "kg/config.py",
        "eval/__init__.py",
        "tests/test_architecture.py",
    } <= files


@pytest.mark.parametrize(
    ("path", "source", "fault"),
    [
        (
            "kg/a.py",
            "def f():\n    from fusion.model.gate import Gate",
            "kg/a.py:2: kg may not import fusion.model.gate",
        ),
        (
            "kg/a.py",
            "def f():\n    import encoders.text.encoder as t",
            "kg may not import encoders.text.encoder",
        ),
        ("kg/sources/a.py", "from ...fusion import ask", "kg may not import fusion"),
        ("kg/a.py", "from .. import kg, fusion", "kg may not import fusion"),
        (
            "encoders/a.py",
            "importlib.import_module('fusion.query')",
            "encoders may not import fusion.query",
        ),
        ("encoders/a.py", "x = __import__('eval')", "encoders may not import eval"),
        (
            "fusion/a.py",
            "from eval.measure.metrics import ndcg",
            "fusion may not import eval.measure.metrics",
        ),
        ("fusion/a.py", "import train", "fusion may not import train"),
        (
            "fusion/a.py",
            "if TYPE_CHECKING:\n    from serve.app import App",
            "fusion may not import serve.app",
        ),
        ("eval/a.py", "from serve import app", "eval may not import serve"),
        (
            "serve/a.py",
            "from eval.measure.metrics import ndcg",
            "serve may not import eval.measure.metrics",
        ),
        ("train.py", "from serve import app", "train may not import serve"),
        ("kg/a.py", "from tests.conftest import x", "kg may not import tests.conftest"),
        (
            "fusion/a.py",
            "from importlib import import_module\nimport_module(name)",
            "computed name",
        ),
        ("kg/a.py", "import_module(f'{name}.x')", "computed name"),
        ("kg/a.py", "import_module(f'fus{name}.x')", "computed name"),
        ("kg/a.py", "import_module(f'fusion.{name}')", "kg may not import fusion"),
        ("tests/a.py", "import eval", "shadows the builtin"),
        ("train.py", "import eval.measure.metrics", "shadows the builtin"),
        (
            "kg/stores/base.py",
            "def f():\n    import neo4j",
            "only kg/stores/neo4j_connection.py may import neo4j",
        ),
        ("kg/a.py", "from duckdb import connect", "may import duckdb"),
        ("fusion/a.py", "import pickle", "pickle runs whatever"),
        ("fusion/a.py", "torch.load(path)", "without weights_only=True"),
        (
            "fusion/a.py",
            "torch.load(path, weights_only=safe)",
            "without weights_only=True",
        ),
        ("fusion/a.py", "from torch import load", "torch.load(..., weights_only=True)"),
        (
            "fusion/a.py",
            "Model.load_from_checkpoint(p, weights_only=False)",
            "unpickling",
        ),
        ("fusion/a.py", "numpy.load(path, allow_pickle=True)", "unpickling"),
        ("kg/a.py", "\n" * (LINES + 1), "at most 300"),
    ],
)
def test_a_planted_fault_is_caught(path: str, source: str, fault: str) -> None:
    found = faults(PurePosixPath(path), source)
    assert len(found) == 1
    assert fault in found[0]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "kg/a.py",
            "from kg.schema import GraphSchema\nfrom . import tables\nfrom .tables import Vocab",
        ),
        ("kg/sources/a.py", "import duckdb\nfrom ..tables import Vocab"),
        (
            "kg/stores/neo4j_connection.py",
            "import neo4j\nfrom neo4j.exceptions import AuthError",
        ),
        ("kg/stores/base.py", "def f():\n    from kg.stores.neo4j import Neo4jStore"),
        (
            "fusion/a.py",
            "from encoders.text.encoder import Text\nfrom kg.graph import Graph\n"
            "torch.load(p, weights_only=True)",
        ),
        ("kg/config.py", "importlib.import_module(name)"),
        ("kg/a.py", "importlib.import_module(f'kg.sources.{name}')"),
        ("tests/a.py", "importlib.import_module(name)"),
        (
            "eval/a.py",
            "from eval.measure.metrics import ndcg\nfrom fusion.query import Ask",
        ),
        (
            "train.py",
            "from eval.measure.report import report\nfrom fusion.runs import folder as runs",
        ),
        (
            "tests/a.py",
            "import neo4j\nfrom serve.app import App\nfrom eval.measure.metrics import ndcg",
        ),
        ("kg/a.py", "\n" * LINES),
    ],
)
def test_what_is_allowed_passes(path: str, source: str) -> None:
    assert faults(PurePosixPath(path), source) == []
