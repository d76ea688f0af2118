"""The tables of explanations, written from benchmarks/results/explanations.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Result = Mapping[str, Any]
PROTOCOL = (
    "Held-out queries are drawn by the seed; the first ten items of each answer are "
    "explained without support, one of them, drawn at random, with it. Deletion "
    "takes a path out of the graph, with all that differ from it in bundles and "
    "other people alone, and scores the item again. The blind path is chosen by hubs "
    "and hops, before anything is measured, with those from what words are taken to "
    "mean after all others: it is the fair test. The best path is chosen by this "
    "very measure among ten, so that it loses more than a random one even where "
    "paths mean nothing; it says how much the path that is shown carries, and is no "
    "evidence that choosing works. Each is held against one other path at random, of "
    "the same node and edge types or, where there is none, of the same length from "
    "the same type of node; the two are told apart, and each difference is paired, "
    "with a 95 % bootstrap interval over groups of queries. Sufficiency is what is "
    "left where the graph has the paths alone, of what the whole graph adds to the "
    "score. LIR, SEP and ETD: Balloccu et al., SIGIR 2022."
)
SLICES = ("of its kind", "of its length and source")


def explained(folder: Path) -> str:
    """A section a run, from the results in a folder."""
    file = folder / "explanations.json"
    if not file.is_file():
        return "No results yet."
    lines = [PROTOCOL]
    for name, run in json.loads(file.read_text(encoding="utf-8")).items():
        machine = run["machine"]
        lines += ["", f"## {name}", "", f"```sh\n{run['command']}\n```", ""]
        lines += [
            f"{machine['platform']}, {machine['cpus']} CPUs, Python {machine['python']}, "
            f"{machine['threads']} threads; ready after {run['seconds until ready']:.1f} s."
        ]
        for task, report in run["tasks"].items():
            lines += [
                "",
                f"**{task}**: {report['queries']:,} queries, {report['paths']:,} paths",
                "",
                *_facts(report),
            ]
            lines += ["", *_deletion(report), "", *_seconds(report)]
    return "\n".join(lines)


def _facts(report: Result) -> list[str]:
    rows = [("validity", _share(report["validity"]), report["paths"])]
    rows += [
        (f"coverage, {name}", _share(v["share"]), v["of"])
        for name, v in report["coverage"].items()
    ]
    rows += [
        (title, _mean(report[name]), report[name]["of"])
        for name, title in (
            ("carried", "share that a path carries"),
            ("text_weight", "text weight"),
            ("LIR", "LIR"),
            ("SEP", "SEP"),
            ("ETD", "ETD"),
            ("unlike", "diversity of inner nodes"),
        )
        if name in report
    ]
    rows += [
        (f"score lost without {part}", _mean(lost), lost["of"])
        for part, lost in report.get("parts", {}).items()
    ]
    if "sufficiency" in report:
        rows.append(
            (
                "sufficiency",
                _share(report["sufficiency"]["left"]),
                report["sufficiency"]["of"],
            )
        )
    if "estimate" in report:
        rows.append(
            (
                "the gradient's estimate, rank correlation",
                f"{report['estimate']['rank correlation']:.3f}",
                report["estimate"]["of"],
            )
        )
    return [
        "| | value | of |",
        "| --- | --- | --- |",
        *(f"| {what} | {value} | {of:,} |" for what, value, of in rows),
    ]


def _deletion(report: Result) -> list[str]:
    lines = [
        "| taken out | against | pairs | score lost | random's | difference | "
        "places lost | difference |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, title in (
        ("blind", "the blind path"),
        ("best", "the best path, chosen by this measure"),
    ):
        figures = report.get(f"deletion, {name} path")
        if figures is None:
            continue
        lines.append(
            f"| {title} | all | {figures['score lost']['of']:,} | "
            f"{_mean(figures['score lost'])} | | | "
            f"{_mean(figures['places lost'], 1)} | |"
        )
        for part in SLICES:
            found = figures[part]
            cells = [
                _mean(found[w])
                for w in ("score lost", "random, score lost", "difference, score")
            ]
            cells += [_mean(found[w], 1) for w in ("places lost", "difference, places")]
            lines.append(
                f"| {title} | random {part} | {found['difference, score']['of']:,} | "
                f"{' | '.join(cells)} |"
            )
    return lines


def _seconds(report: Result) -> list[str]:
    lines = [
        "| milliseconds | p50 | p95 | p50, processor | p95, processor | of |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, s in report["seconds"].items():
        keys = [
            f"p{p}{clock}" for clock in ("", " of processor time") for p in (50, 95)
        ]
        lines.append(
            f"| {name} | {' | '.join(f'{1000 * s[key]:.0f}' for key in keys)} | {s['of']:,} |"
        )
    return lines


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _mean(found: Result, digits: int = 3) -> str:
    if found["mean"] is None:
        return ""
    half = (
        ""
        if found["low"] is None
        else f" ±{(found['high'] - found['low']) / 2:.{digits}f}"
    )
    return f"{found['mean']:.{digits}f}{half}"
