"""Run folders: written whole or not at all, verified when opened; and a run's model card."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

from kg.errors import InputError, RunError

FORMAT = 1
MANIFEST = "manifest.json"
_UNFINISHED = ".unfinished-"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@contextmanager
def new_run(out_dir: str | Path, name: str) -> Iterator[Path]:
    """A folder to fill: `out_dir/YYYYMMDD-HHMMSS-name` (UTC) when the block ends, gone if it fails.

    The manifest is written last and every byte is on the disk before the folder gets its name,
    so that a folder that has its name is complete. `finished` tells that name while the block
    still runs.

    Raises:
        RunError: The name is not letters, digits, ".", "_" and "-", or out_dir cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise RunError(
            f"a run's name is letters, digits, '.', '_' and '-', not {name!r}"
        )
    folder = _reserve(Path(out_dir), f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{name}")
    try:
        yield folder
        _seal(folder)
        folder.rename(finished(folder))
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def finished(folder: Path) -> Path:
    """Where a folder that `new_run` gave will lie once it is complete."""
    return folder.with_name(folder.name.removeprefix(_UNFINISHED))


def list_runs(out_dir: str | Path) -> list[Path]:
    """The finished runs in a folder, oldest first; whatever else lies there is passed over."""
    return sorted(
        p.parent
        for p in Path(out_dir).glob(f"*/{MANIFEST}")
        if not p.parent.name.startswith(_UNFINISHED)
    )


def open_run(path: str | Path) -> Path:
    """The folder of a run, after its files were found to be what was written.

    Raises:
        RunError: It is no folder or no run, is of another format, or a file is missing or has
            changed.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise RunError(f"{folder}: there is no such folder")
    if not (folder / MANIFEST).is_file():
        raise RunError(f"{folder} is no run, or was not finished: it has no {MANIFEST}")
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        version = manifest["format"]
        if version == FORMAT:
            files = {
                _inside(name): (int(e["bytes"]), str(e["sha256"]))
                for name, e in manifest["files"].items()
            }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _damaged(folder, f"{MANIFEST} cannot be read") from None
    if version != FORMAT:
        raise RunError(
            f"{folder} has format {version!r} and this version reads format {FORMAT}; "
            "retrain, or change versions"
        )
    for name, (size, digest) in files.items():
        file = folder / name
        if not file.is_file():
            raise _damaged(folder, f"{name} is missing")
        if file.stat().st_size != size or _sha256(file) != digest:
            raise _damaged(folder, f"{name} has changed")
    return folder


def environment() -> dict[str, Any]:
    """What a run was made with: Python, platform, CPUs, packages, and the git commit."""
    packages = {
        d.metadata["Name"]: d.version
        for d in metadata.distributions()
        if d.metadata["Name"]
    }
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "git_commit": _commit(Path(__file__).resolve().parents[2]),
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }


def model_card(
    name: str,
    recipe: Mapping[str, Any],
    data: Mapping[str, int],
    metrics: str,
    environment: Mapping[str, Any],
) -> str:
    """A model card in Markdown with YAML front matter, as the Hugging Face hub reads it.

    Args:
        name: The run's name.
        recipe: The whole recipe, as `kg.config.to_dict` writes it; `text.model`, if there, is
            the base model.
        data: How many rows the training graph has, by node or edge type.
        metrics: A Markdown table of results.
        environment: As `environment` gives it.
    """
    text = recipe.get("text")
    base = text.get("model") if isinstance(text, Mapping) else None
    front = {
        "library_name": "trousseau",
        "pipeline_tag": "text-ranking",
        "tags": ["recommender", "knowledge-graph", "gnn"],
    }
    if isinstance(base, str) and not Path(base).is_absolute():
        front["base_model"] = base
    rows = "\n".join(f"| {kind} | {count:,} |" for kind, count in data.items())
    packages = environment.get("packages", {})
    versions = [
        f"{p} {packages[p]}"
        for p in ("trousseau", "torch", "torch-geometric", "transformers")
        if p in packages
    ]
    made = [
        f"Python {environment.get('python')}",
        *versions,
        f"commit {environment.get('git_commit') or 'unknown'}",
    ]
    # A JSON value is a YAML value, and quoting is then somebody else's care.
    yaml = "\n".join(f"{key}: {json.dumps(value)}" for key, value in front.items())
    return f"""---
{yaml}
---

# {name}

A graph-and-language hybrid recommender: a graph neural network over a product knowledge graph
and a BERT encoder of words, fused by a gate and scored together with metapath features.

```python
from fusion.recommender import Recommender

recommender = Recommender.load("{name}")
```

## Training data

| what | rows |
|---|---:|
{rows}

## Results

{metrics.strip()}

## Limits

It has learned from what people did under the offers and placements of their time, and repeats
those. The results hold for the data above; measure again on your own before you rely on them.

## Recipe

```json
{json.dumps(recipe, indent=2)}
```

Made with {", ".join(made)}.
"""


def _reserve(out_dir: Path, stem: str) -> Path:
    """Make the unfinished folder of the first free id; two in one second get different ones."""
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        for number in range(1, 1000):
            folder = out_dir / (_UNFINISHED + stem + f"-{number}" * (number > 1))
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            if not finished(folder).exists():
                return folder
            folder.rmdir()
    except OSError as error:
        raise RunError(f"cannot write a run to {out_dir}: {error.strerror}") from error
    raise RunError(f"{out_dir} has no free name for {stem}")


def _seal(folder: Path) -> None:
    files = {}
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        files[file.relative_to(folder).as_posix()] = {
            "bytes": file.stat().st_size,
            "sha256": _sha256(file),
        }
        _sync(file)
    manifest = {
        "format": FORMAT,
        "id": finished(folder).name,
        "created": datetime.now(UTC).isoformat(),
        "files": files,
    }
    (folder / MANIFEST).write_text(
        json.dumps(manifest, indent=2) + "\n", encoding="utf-8"
    )
    _sync(folder / MANIFEST)
    for inner in [*(p for p in folder.rglob("*") if p.is_dir()), folder]:
        _sync(inner)


def _sync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open a folder
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _inside(name: str) -> str:
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise InputError(f"{name} leaves the folder")
    return name


def _damaged(folder: Path, fault: str) -> RunError:
    return RunError(f"{folder} is damaged: {fault}; copy the run again or retrain")


def _commit(root: Path) -> str | None:
    """The checked out commit, "-dirty" where files differ from it; None outside a git checkout."""
    if not (root / ".git").exists():
        return None  # an installed copy may lie inside somebody else's checkout
    describe = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        command = ["git", "--no-optional-locks", "-C", str(root), *describe]
        return (
            subprocess.run(
                command, capture_output=True, text=True, check=True, timeout=30
            ).stdout.strip()
            or None
        )
    except (OSError, subprocess.SubprocessError):
        return None
