"""The tables of docs/benchmarks.md and README.md, written from the files of results: no figure is typed by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.bench.datasets import BENCHMARKS
from eval.bench.explanation_tables import explained
from eval.contenders import RIVALS
from kg.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"
LEGEND = (
    "± is half of a 95 % bootstrap interval over groups; \\* says that the first row is ahead by a paired interval "
    "clear of zero, ! that it is behind."
)
RANKERS = ("boosted ranker", "LightGBM ranker")
_ABLATION = "-ablation"
_ALL_KEPT = "By `training.shrinkage` 0, which keeps all of what vectors add; that was the default when this was measured."
Result = Mapping[str, Any]


def read_results(folder: Path) -> tuple[list[Result], list[Result]]:
    """The benchmarks' and the ablations' results in the benchmarks' order; quick runs are passed over."""
    found = {
        f.stem: json.loads(f.read_text(encoding="utf-8"))
        for f in sorted(folder.glob("*.json"))
    }
    order = {name: place for place, name in enumerate(BENCHMARKS)}
    names = sorted(
        (n for n in found if not found[n].get("quick", True)),
        key=lambda n: order.get(found[n]["name"], len(order)),
    )
    results = [found[n] for n in names if not n.endswith(_ABLATION)]
    return results, [found[n] for n in names if n.endswith(_ABLATION)]


def documents(folder: Path) -> dict[str, str]:
    """What stands between the markers of each document, by its path."""
    results, ablations = read_results(folder)
    return {
        "README.md": summary(results),
        "docs/benchmarks.md": details(results, ablations),
        "docs/combinations.md": combined(folder),
        "docs/explanations.md": explained(folder),
    }


def update(folder: Path = RESULTS, root: Path = ROOT) -> list[Path]:
    """Write the tables between the markers of the documents.

    Returns:
        The documents that changed.

    Raises:
        ValueError: A document has no markers.
    """
    changed = []
    for name, text in documents(folder).items():
        file = root / name
        before = file.read_text(encoding="utf-8")
        after = between(before, text, name)
        if after != before:
            file.write_text(after, encoding="utf-8")
            changed.append(file)
    return changed


def between(document: str, text: str, name: str) -> str:
    """The document with the text between its markers.

    Raises:
        ValueError: It does not have each marker once, in order.
    """
    head, begin, rest = document.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end or BEGIN in tail or END in tail:
        raise InputError(f"{name}: wanted {BEGIN} and {END}, once each")
    return f"{head}{BEGIN}\n\n{text.strip()}\n\n{END}{tail}"


def summary(results: Sequence[Result]) -> str:
    """One row a data set and task, of its first metric."""
    if not results:
        return "No results yet."
    head = [
        "data, task",
        "metric",
        "hybrid",
        "best part alone",
        "best ranker over counts",
        "best other",
        "published",
    ]
    rows = []
    for result in results:
        for task, report in result["tasks"].items():
            metric, (first, *others) = report["metrics"][0], report["blocks"][0]["rows"]
            parts = [r for r in others if r["name"].endswith(" alone")]
            rankers = [r for r in others if r["name"] in RANKERS]
            rest = [r for r in others if r not in parts and r not in rankers]
            known = [
                f
                for f in result["published"]
                if f["task"] == task and f["metric"] == metric
            ]
            best = max(known, key=lambda f: f["value"], default=None)
            rows.append(
                [
                    f"[{result['title']}](docs/benchmarks.md#{result['name']}), {task}",
                    metric,
                    _value(first, metric),
                    *(_best(some, metric) for some in (parts, rankers, rest)),
                    f"{best['who']} {best['value']:.4f}" if best else "",
                ]
            )
    legend = (
        "± half of a 95 % bootstrap interval; \\* the hybrid is ahead of this one, ! behind it, by a paired interval "
        "clear of zero."
    )
    return "\n".join([*_table(head, rows), "", legend])


def details(results: Sequence[Result], ablations: Sequence[Result]) -> str:
    """Every figure, a section a data set, and the ablations."""
    lines: list[str] = []
    for result in results:
        lines += [*_head(result), *_about(result)]
        for task, report in result["tasks"].items():
            figures = [f for f in result["published"] if f["task"] == task]
            for block in report["blocks"]:
                lines += [
                    "",
                    f"**{task}, {block['name']}**: {block['asks']:,} asks in {block['groups']:,} groups",
                    "",
                ]
                lines += _block(
                    report, block, figures if block is report["blocks"][0] else []
                )
        sources = dict.fromkeys(
            f"{f['who']}: {f['source']}." for f in result["published"]
        )
        lines += ["", "Published: " + " ".join(sources)] if sources else []
    for result in ablations:
        lines += ["", f'<a id="{result["name"]}-ablation"></a>']
        lines += [
            "",
            f"## {result['title']}: what each piece is worth",
            "",
            *_ran(result),
        ]
        for task, report in result["tasks"].items():
            lines += [
                "",
                f"**{task}**: {report['blocks'][0]['asks']:,} asks",
                "",
                *_block(report, report["blocks"][0], []),
            ]
        equal = [f"{name} is {other}" for name, other in result["equal"].items()]
        lines += ["", f"Not trained again: {'; '.join(equal)}."] if equal else []
        spent = [f"{name} {seconds:.0f}" for name, seconds in result["seconds"].items()]
        lines += ["", f"Seconds of training: {', '.join(spent)}."]
    return "\n".join([LEGEND, *lines]) if lines else "No results yet."


def combined(folder: Path) -> str:
    """Every figure of whole combinations (`python -m eval combinations`), a section a run."""
    file = folder / "combinations.json"
    runs = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    lines: list[str] = []
    for name, found in runs.items():
        lines += [
            "",
            f"## {name}",
            "",
            f"Protocol: {found['protocol']}",
            "",
            f"```sh\n{found['command']}\n```",
            "",
        ]
        lines.append(
            f"{found['bundles']:,} bundles of {found['items']:g} items on average ({found['split']})."
        )
        for title, report in found["tables"].items():
            for block in report["blocks"]:
                some = "" if block["name"] == "all" else f", {block['name']}"
                lines += [
                    "",
                    f"**{title}{some}**: {block['asks']:,} bundles in {block['groups']:,} groups",
                    "",
                ]
                lines += _block(report, block, [])
            if title == "judge":
                areas = ", ".join(
                    f"{who} {area:.4f}" for who, area in found["AUC"].items()
                )
                lines += ["", f"AUC of all real against all false ones: {areas}."]
    return "\n".join([LEGEND, *lines]) if lines else "No results yet."


def _head(result: Result) -> list[str]:
    return ["", f'<a id="{result["name"]}"></a>', "", f"## {result['title']}", ""]


def _about(result: Result) -> list[str]:
    lines = [
        f"Protocol: {result['protocol']}",
        "",
        f"Traps: {result['traps']}",
        "",
        *_ran(result),
    ]
    spent = ", ".join(
        f"{what} {seconds:.0f} s" for what, seconds in result["seconds"].items()
    )
    peak = ", ".join(
        f"{what} {size / 2**30:.1f} GiB" for what, size in result["memory"].items()
    )
    lines += ["", f"Time: {spent}. Peak memory: {peak}."]
    if not result["recipe"]["training"].get("temper"):
        lines += ["", _ALL_KEPT]
    if chosen := result.get("chosen"):
        told = "; ".join(
            f"{name}: {', '.join(dict.fromkeys(settings))}"
            for name, settings in chosen.items()
        )
        lines += ["", f"Chosen on validation: {told}."]
    if left_out := _left_out(result):
        lines += [
            "",
            "Left out: "
            + "; ".join(f"{name} ({why})" for name, why in left_out.items())
            + ".",
        ]
    if result["bar"]:
        task, metric, value = result["bar"]
        lines += ["", f"The bar that was set before: {metric} {value:.4f} ({task})."]
    return lines + [f"\n**Leak:** {leak}" for leak in result["audit"]]


def _left_out(result: Result) -> dict[str, str]:
    """The rivals without a row, and why."""
    shown = {
        row["name"]
        for task in result["tasks"].values()
        for row in task["blocks"][0]["rows"]
    }
    reasons = (
        dict.fromkeys(RIVALS, "the command does not ask for it") | result["left out"]
    )
    return {name: why for name, why in reasons.items() if name not in shown}


def _ran(result: Result) -> list[str]:
    machine = result["machine"]
    packages = ", ".join(
        f"{name} {version}" for name, version in result["packages"].items()
    )
    return [
        f"```sh\n{result['command']}\n```",
        "",
        f"Seed {result['seed']}, split {', '.join(s[:12] for s in result['splits'])}, commit {_commit(machine)}; "
        f"{result['device']}, "
        f"{machine['cpus']} CPUs, Python {machine['python']}, {packages}.",
    ]


def _commit(machine: Result) -> str:
    commit, _, changed = str(machine["commit"]).partition("-")
    return commit[:7] + (", with changes not committed" if changed else "")


def _block(report: Result, block: Result, figures: Iterable[Result]) -> list[str]:
    metrics, (first, *_) = report["metrics"], block["rows"]
    head = ["", *(h for m in metrics for h in (m, f"{first['name']} ahead by"))]
    rows = []
    for row in block["rows"]:
        cells = (c for m in metrics for c in (_value(row, m), _gap(row, m)))
        rows.append([row["name"], *cells])
    for who in dict.fromkeys(f["who"] for f in figures):
        own = {f["metric"]: f["value"] for f in figures if f["who"] == who}
        cells = (c for m in metrics for c in (f"{own[m]:.4f}" if m in own else "", ""))
        rows.append([f"{who}, published", *cells])
    return _table(head, rows)


def _best(rows: Sequence[Result], metric: str) -> str:
    if not rows:
        return ""
    best = max(rows, key=lambda r: r["values"][metric]["mean"])
    return f"{_value(best, metric)}{_mark(best, metric)} {best['name'].removesuffix(' alone')}"


def _value(row: Result, metric: str) -> str:
    return f"{row['values'][metric]['mean']:.4f}{_half(row['values'][metric])}"


def _gap(row: Result, metric: str) -> str:
    if metric not in row["behind"]:
        return ""
    return f"{row['behind'][metric]['mean']:+.4f}{_half(row['behind'][metric])}{_mark(row, metric)}"


def _mark(row: Result, metric: str) -> str:
    low, high = (row["behind"][metric][end] for end in ("low", "high"))
    if low is None:
        return ""
    return " \\*" if low > 0 else " !" if high < 0 else ""


def _half(interval: Result) -> str:
    return (
        ""
        if interval["low"] is None
        else f" ±{(interval['high'] - interval['low']) / 2:.4f}"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |"
        for line in lines
    ]
