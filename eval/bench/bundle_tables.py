"""The tables of whole bundles, written from benchmarks/results/combinations.json."""

from __future__ import annotations

import json
from pathlib import Path

from eval.bench.markdown import EMPTY, LEGEND, Result, block_table


def bundles(folder: Path) -> str:
    """Every figure of `python -m eval combinations`, a section a run."""
    file = folder / "combinations.json"
    runs = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if not runs:
        return EMPTY
    lines = [LEGEND]
    for name, run in runs.items():
        lines += _section(name, run)
    return "\n".join(lines)


def _section(name: str, run: Result) -> list[str]:
    lines = ["", f"## {name}", "", f"Protocol: {run['protocol']}", ""]
    lines += [f"```sh\n{run['command']}\n```", ""]
    size = f"{run['bundles']:,} bundles of {run['items']:g} items on average"
    lines.append(f"{size} ({run['split']}).")
    for title, report in run["tables"].items():
        for block in report["blocks"]:
            part = "" if block["name"] == "all" else f", {block['name']}"
            counts = f"{block['queries']:,} bundles in {block['groups']:,} groups"
            lines += ["", f"**{title}{part}**: {counts}", ""]
            lines += block_table(report, block)
        if title == "judge":
            areas = (f"{who} {area:.4f}" for who, area in run["AUC"].items())
            pairs = "AUC of all real against all false ones"
            lines += ["", f"{pairs}: {', '.join(areas)}."]
    return lines
