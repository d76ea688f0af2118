"""The page of a data set: protocol, traps, every figure, and what each piece is worth."""

from __future__ import annotations

from collections.abc import Sequence

from eval.bench.markdown import LEGEND, Result, block_table
from eval.contenders import BASELINES

_WRITTEN = (
    "Written from `benchmarks/results` by `python -m eval tables`; nobody types these figures. "
    "How all sets are measured: [benchmarks](index.md)."
)
_ALL_KEPT = (
    "By `training.shrinkage` 0, which keeps all of what vectors add; "
    "that was the default when this was measured."
)


def dataset_page(title: str, result: Result | None, ablation: Result | None) -> str:
    """A whole page, from the results of a benchmark and of its ablation."""
    lines = [f"# {title}", "", _WRITTEN, "", LEGEND]
    if result:
        lines += _measured(result)
    if ablation:
        lines += _ablated(ablation)
    return "\n".join(lines) + "\n"


def _measured(result: Result) -> list[str]:
    lines = ["", *_about(result), "", "## Results"]
    for task, report in result["tasks"].items():
        figures = [f for f in result["published"] if f["task"] == task]
        for number, block in enumerate(report["blocks"]):
            counts = f"{block['queries']:,} queries in {block['groups']:,} groups"
            lines += ["", f"**{task}, {block['name']}**: {counts}", ""]
            lines += block_table(report, block, () if number else figures)
    sources = dict.fromkeys(f"{f['who']}: {f['source']}." for f in result["published"])
    if sources:
        lines += ["", "Published: " + " ".join(sources)]
    return lines


def _ablated(result: Result) -> list[str]:
    lines = ["", "## What each piece is worth", "", *_provenance(result)]
    for task, report in result["tasks"].items():
        block = report["blocks"][0]
        lines += ["", f"**{task}**: {block['queries']:,} queries", ""]
        lines += block_table(report, block)
    equal = [f"{name} is {other}" for name, other in result["equal"].items()]
    if equal:
        lines += ["", f"Not trained again: {'; '.join(equal)}."]
    spent = [f"{name} {seconds:.0f}" for name, seconds in result["seconds"].items()]
    return [*lines, "", f"Seconds of training: {', '.join(spent)}."]


def _about(result: Result) -> list[str]:
    lines = [f"Protocol: {result['protocol']}", "", f"Traps: {result['traps']}", ""]
    lines += [*_provenance(result), "", _cost(result)]
    training = result["recipe"]["training"]
    # What was measured before the key had its name says temper.
    if not training.get("shrinkage", training.get("temper")):
        lines += ["", _ALL_KEPT]
    if chosen := result.get("chosen"):
        lines += ["", f"Chosen on validation: {_settings(chosen)}."]
    if left_out := _left_out(result):
        reasons = (f"{name} ({why})" for name, why in left_out.items())
        lines += ["", f"Left out: {'; '.join(reasons)}."]
    if result["bar"]:
        task, metric, value = result["bar"]
        lines += ["", f"The bar that was set before: {metric} {value:.4f} ({task})."]
    for leak in result["audit"]:
        lines += ["", f"**Leak:** {leak}"]
    return lines


def _cost(result: Result) -> str:
    seconds, memory = result["seconds"].items(), result["memory"].items()
    spent = ", ".join(f"{name} {value:.0f} s" for name, value in seconds)
    peak = ", ".join(f"{name} {size / 2**30:.1f} GiB" for name, size in memory)
    return f"Time: {spent}. Peak memory: {peak}."


def _settings(chosen: dict[str, Sequence[str]]) -> str:
    choices = (
        f"{name}: {', '.join(dict.fromkeys(settings))}"
        for name, settings in chosen.items()
    )
    return "; ".join(choices)


def _left_out(result: Result) -> dict[str, str]:
    """The baselines without a row, and why."""
    shown = set()
    for task in result["tasks"].values():
        shown |= {row["name"] for row in task["blocks"][0]["rows"]}
    reasons = dict.fromkeys(BASELINES, "the command does not ask for it")
    reasons |= result["left out"]
    return {name: why for name, why in reasons.items() if name not in shown}


def _provenance(result: Result) -> list[str]:
    machine, versions = result["machine"], result["packages"].items()
    packages = ", ".join(f"{name} {version}" for name, version in versions)
    splits = ", ".join(split[:12] for split in result["splits"])
    run = f"Seed {result['seed']}, split {splits}, commit {_commit(machine)}"
    where = f"{result['device']}, {machine['cpus']} CPUs, Python {machine['python']}"
    return [f"```sh\n{result['command']}\n```", "", f"{run}; {where}, {packages}."]


def _commit(machine: Result) -> str:
    commit, _, changed = str(machine["commit"]).partition("-")
    return commit[:7] + (", with changes not committed" if changed else "")
