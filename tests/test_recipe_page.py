"""Holds docs/reference/recipe.md to the classes that recipes fill, from which it is written.

`python tests/test_recipe_page.py` writes it anew.
"""

import importlib
import inspect
import json
import pkgutil
import re
import sys
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)] if __name__ == "__main__" else []
RECIPE_PAGE = ROOT / "docs" / "reference" / "recipe.md"


def reference() -> str:
    """The page of every key of a recipe, from the docstrings and defaults of the classes."""
    import encoders.graph.layers
    import fusion.tasks
    import kg.sources
    import kg.split.catalogue
    import kg.split.grouped
    import kg.split.last
    import kg.split.time
    from fusion.experiment import Recipe

    kinds = {
        "source": [c for m in _modules(kg.sources) for c in _components(m, "load")],
        "split": [
            c
            for m in (
                kg.split.time,
                kg.split.last,
                kg.split.grouped,
                kg.split.catalogue,
            )
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
        "Written from the code by `python tests/test_recipe_page.py`. Each key stands in the",
        "recipe's file, under the table that its heading names, or after `--set table.key=`.",
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
    for module in pkgutil.iter_modules(package.__path__):
        yield importlib.import_module(f"{package.__name__}.{module.name}")


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
    meaning = {
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
            f"| {row.name} | {shown} | {meaning[row.name].replace('|', chr(92) + '|')} |"
        )
    return lines if rows else []


def test_every_key_of_a_recipe_is_listed() -> None:
    assert RECIPE_PAGE.read_text(encoding="utf-8") == reference(), (
        "write it anew: python tests/test_recipe_page.py"
    )


if __name__ == "__main__":
    RECIPE_PAGE.write_text(reference(), encoding="utf-8")
