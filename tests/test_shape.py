"""Holds the shape of the rooms: no import circle, no upward import in a layer, no dense code."""

import ast
import io
import tokenize
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("kg", "encoders", "fusion", "eval", "serve")
NODES_A_LINE = 6.0  # LensKit has 4.8
# The rooms of a layer, the lowest first: a room imports from itself and from those before it.
# Rooms in one line do not know each other. A file that is not named stands above all rooms.
ROOMS = {
    "kg": (
        ("errors", "ragged", "progress", "times"),
        ("scalars", "phrases"),
        ("schema", "config"),
        ("columns",),
        ("tables",),
        ("events", "prices"),
        ("graph",),
        ("split", "metapaths", "pathfinding"),
        ("counterfactual",),
        ("stores", "sources"),
    ),
    "fusion": (
        ("query", "query_batch"),
        ("tasks", "model"),
        ("ranking",),
        ("training",),
        ("experiment", "bundles", "explain"),
        ("runs", "preparation"),
        ("recommender",),
        ("pipeline",),
        ("dry_run", "commands"),
    ),
    "eval": (
        ("measure",),
        ("baselines",),
        ("slices", "leakage", "parts", "example_choice", "recipe_store"),
        ("suite", "examples"),
        ("contenders", "comparison"),
        ("bench",),
        ("studies",),
        ("training_run",),
        ("compare", "commands"),
    ),
    "serve": (
        ("problems", "settings", "metrics"),
        ("feedback",),
        ("access",),
        ("runtime",),
        ("api",),
        ("app",),
    ),
}


def modules(sources: Mapping[str, str]) -> dict[str, str]:
    """Module name to file, of files by path."""
    return {
        path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path
        for path in sources
    }


def imports(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """The modules among the sources that each imports, inside functions and for types too."""
    known = modules(sources)
    found: dict[str, set[str]] = {}
    for module, path in known.items():
        names: set[str] = set()
        for node in ast.walk(ast.parse(sources[path])):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
                names.add(node.module)
        found[module] = {name for name in names & known.keys() if name != module}
    return found


def circle(sources: Mapping[str, str]) -> list[str]:
    """Modules that import each other in a ring; empty where there is none."""
    packages = {
        name for name, path in modules(sources).items() if path.endswith("__init__.py")
    }
    graph = {name: used - packages for name, used in imports(sources).items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def room_of(module: str) -> tuple[str, int]:
    """A module's layer, and the height of its room in it."""
    layer, _, rest = module.partition(".")
    rooms = ROOMS.get(layer, ())
    heights = {room: height for height, line in enumerate(rooms) for room in line}
    return layer, heights.get(rest.partition(".")[0], len(rooms))


def upward(sources: Mapping[str, str]) -> list[str]:
    """Imports inside a layer that do not go down."""
    found = []
    for module, used in imports(sources).items():
        layer, height = room_of(module)
        room = module.split(".")[1:2]
        for name in sorted(used):
            other_layer, other_height = room_of(name)
            if other_layer != layer or layer not in ROOMS or "." not in name:
                continue
            same_room = room == name.split(".")[1:2] or height == len(ROOMS[layer])
            if not same_room and other_height >= height:
                found.append(f"{module} imports {name}")
    return found


def density(source: str) -> tuple[int, int]:
    """Syntax-tree nodes, and the lines that hold code: no comment, no docstring, no blank."""
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    prose: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            docstring = node.body[0]
            prose |= set(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT}
    silent |= {tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in silent:
            lines |= set(range(token.start[0], token.end[0] + 1))
    nodes = sum(not isinstance(node, ast.expr_context) for node in ast.walk(tree))
    return nodes, len(lines - prose)


def read(*folders: str) -> dict[str, str]:
    """The Python files of some folders, by path."""
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return {
        PurePosixPath(path.relative_to(ROOT)).as_posix(): path.read_text(
            encoding="utf-8"
        )
        for path in files
        if "__pycache__" not in path.parts
    }


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circle(read(*LAYERS)) == []


@pytest.mark.parametrize("layer", list(ROOMS))
def test_imports_inside_a_layer_go_down(layer: str) -> None:
    assert upward(read(layer)) == []


@pytest.mark.parametrize("layer", LAYERS)
def test_code_is_not_dense(layer: str) -> None:
    counted = [density(source) for source in read(layer).values()]
    nodes, lines = (sum(column) for column in zip(*counted, strict=True))
    assert nodes / lines <= NODES_A_LINE


def test_the_formatter_is_nowhere_switched_off() -> None:
    switch = "# fmt" + ":"
    sources = read(*LAYERS, "tests", "benchmarks")
    assert [path for path, source in sources.items() if switch in source] == []


def test_a_planted_circle_is_found() -> None:
    sources = {
        "kg/a.py": "from kg.b import x",
        "kg/b.py": "def f():\n    import kg.c",
        "kg/c.py": "if TYPE_CHECKING:\n    from kg.a import y",
    }
    assert set(circle(sources)) == {"kg.a", "kg.b", "kg.c"}
    assert circle({**sources, "kg/c.py": "import numpy"}) == []


def test_a_planted_upward_import_is_found() -> None:
    sources = {
        "fusion/model/a.py": "def f():\n    from fusion.ranking.b import Ranker",
        "fusion/ranking/b.py": "from fusion.query import Query",
        "fusion/query.py": "",
    }
    assert upward(sources) == ["fusion.model.a imports fusion.ranking.b"]


def test_density_counts_nodes_over_lines_of_code() -> None:
    plain = '"""Text."""\n\n# why\nx = 1\n'
    assert density(plain)[1] == 1
    dense = density("y = [a[i] + b[i] * c for i in range(n) if i % 2]\n")
    assert dense[0] / dense[1] > 2 * NODES_A_LINE
