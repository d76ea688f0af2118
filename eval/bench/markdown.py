"""Markdown of reports: tables, and figures with their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Result = Mapping[str, Any]

LEGEND = (
    "± is half of a 95 % bootstrap interval over groups; \\* says that the first row is "
    "ahead by a paired interval clear of zero, ! that it is behind."
)
EMPTY = "No results yet."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; a bar inside a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return [_line(cells) for cells in lines]


def _line(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def block_table(
    report: Result, block: Result, published: Iterable[Result] = ()
) -> list[str]:
    """A row a model: each metric and how far the first row is ahead; then published figures."""
    metrics, first = report["metrics"], block["rows"][0]["name"]
    head = [""]
    for metric in metrics:
        head += [metric, f"{first} ahead by"]
    rows = []
    for row in block["rows"]:
        cells = [row["name"]]
        for metric in metrics:
            cells += [value(row, metric), gap(row, metric)]
        rows.append(cells)
    figures = list(published)
    for who in dict.fromkeys(figure["who"] for figure in figures):
        own = {f["metric"]: f["value"] for f in figures if f["who"] == who}
        cells = [f"{who}, published"]
        for metric in metrics:
            cells += [f"{own[metric]:.4f}" if metric in own else "", ""]
        rows.append(cells)
    return table(head, rows)


def value(row: Result, metric: str) -> str:
    """The mean, with half of its interval."""
    figure = row["values"][metric]
    return f"{figure['mean']:.4f}{half(figure)}"


def gap(row: Result, metric: str) -> str:
    """How far the first row is ahead of this one; "" for the first row."""
    if metric not in row["behind"]:
        return ""
    figure = row["behind"][metric]
    return f"{figure['mean']:+.4f}{half(figure)}{mark(row, metric)}"


def mark(row: Result, metric: str) -> str:
    r"""``\*`` where the first row is ahead, ``!`` where it is behind, clear of zero."""
    if metric not in row["behind"]:
        return ""
    low, high = (row["behind"][metric][end] for end in ("low", "high"))
    if low is None:
        return ""
    if low > 0:
        return " \\*"
    return " !" if high < 0 else ""


def half(interval: Result, digits: int = 4) -> str:
    """Half of an interval; "" where there is none."""
    if interval["low"] is None:
        return ""
    return f" ±{(interval['high'] - interval['low']) / 2:.{digits}f}"
