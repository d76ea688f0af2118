"""Tables of what was measured: for terminals, for Markdown and as plain values for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.measure.bootstrap import Interval, intervals
from eval.measure.protocol import Scores
from kg.errors import InputError


@dataclass(frozen=True)
class Row:
    """One scorer's numbers.

    Attributes:
        name: The scorer.
        values: By metric, the mean over queries.
        behind: By metric, the first scorer minus this one, paired by query; empty for the first.
        seconds: Spent scoring all queries.
    """

    name: str
    values: Mapping[str, Interval]
    behind: Mapping[str, Interval]
    seconds: float


@dataclass(frozen=True)
class Block:
    """Rows over the same queries: all of them, or a named slice."""

    name: str
    queries: int
    groups: int
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Report:
    """What make_report found; the first row of each block is what the others are held against."""

    title: str
    metrics: tuple[str, ...]
    level: float
    blocks: tuple[Block, ...]

    def to_text(self) -> str:
        """Aligned columns, under 100 characters wide with two metrics and names of up to 24."""
        lines = [self.title, ""]
        for block in self.blocks:
            table = self._cells(block)
            widths = [max(map(len, column)) for column in zip(*table, strict=True)]
            lines.append(_caption(block))
            for number, cells in enumerate(table):
                aligned = [c.ljust(w) for c, w in zip(cells, widths, strict=True)]
                lines.append("  ".join(aligned).rstrip())
                lines += (
                    ["-" * (sum(widths) + 2 * len(widths) - 2)] if number == 0 else []
                )
            lines.append("")
        return "\n".join([*lines, self._legend()])

    def to_markdown(self) -> str:
        """One table a block."""
        lines = [f"### {self.title}", ""]
        for block in self.blocks:
            head, *rows = (
                [c.replace("|", r"\|") for c in cells] for cells in self._cells(block)
            )
            rule = ["---"] * len(head)
            lines += [
                f"**{_caption(block)}**",
                "",
                *(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)),
                "",
            ]
        return "\n".join([*lines, self._legend().replace("*", r"\*")])

    def to_dict(self) -> dict[str, Any]:
        """Plain values; an end of an interval is None where there is one group alone."""
        return {
            "title": self.title,
            "level": self.level,
            "blocks": [
                {
                    "name": block.name,
                    "queries": block.queries,
                    "groups": block.groups,
                    "rows": [
                        {
                            "name": row.name,
                            "seconds": row.seconds,
                            "values": {
                                metric: _plain(value)
                                for metric, value in row.values.items()
                            },
                            "behind": {
                                metric: _plain(value)
                                for metric, value in row.behind.items()
                            },
                        }
                        for row in block.rows
                    ],
                }
                for block in self.blocks
            ],
        }

    def _cells(self, block: Block) -> list[list[str]]:
        first = block.rows[0].name
        table = [
            [
                "",
                *(
                    head
                    for metric in self.metrics
                    for head in (metric, f"{first} ahead by")
                ),
            ]
        ]
        for row in block.rows:
            cells = [row.name]
            for metric in self.metrics:
                gap = row.behind.get(metric)
                cells += [_mean(row.values[metric]), _gap(gap) if gap else ""]
            table.append(cells)
        return table

    def _legend(self) -> str:
        return (
            f"± half of the {self.level:.0%} bootstrap interval over groups;\n"
            "* ahead, ! behind: the paired interval is clear of zero."
        )


def make_report(
    title: str,
    scores: Scores,
    slices: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    metrics: Sequence[str] = ("HR@10", "NDCG@10"),
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Report:
    """The means with their intervals, and how far the first scorer is ahead, paired by query.

    Args:
        title: What was measured on.
        scores: From evaluate; its first scorer is the one held against the others.
        slices: By name, (B,) bool; each has a block of its own after that of all queries, but
            where it is all or none.
        metrics: Which of the metrics to show.
        draws: How many bootstrap samples.
        seed: Of the bootstrap.
        level: Of the intervals.

    Raises:
        ValueError: There is no scorer, a metric was not measured, or a slice does not have one
            value a query.
    """
    if not scores.values:
        raise InputError(f"{title}: no scorer to report on")
    for name, measured in scores.values.items():
        missing = set(metrics) - set(measured)
        if missing:
            raise InputError(
                f"{title}: {name} has no {', '.join(sorted(missing))}; there are "
                f"{', '.join(measured)}"
            )
    chosen = {"all": np.ones(len(scores), bool)}
    for name, some in (slices or {}).items():
        if some.shape != (len(scores),):
            raise InputError(
                f"{title}: slice {name!r} has shape {some.shape} for {len(scores)} queries"
            )
        chosen |= {name: some} if some.any() and not some.all() else {}
    blocks = (
        _block(name, scores.take(some), metrics, (draws, seed, level))
        for name, some in chosen.items()
    )
    return Report(title, tuple(metrics), level, tuple(blocks))


def _block(
    name: str, scores: Scores, metrics: Sequence[str], options: tuple[int, int, float]
) -> Block:
    draws, seed, level = options
    first, *others = scores.values
    columns = {
        (scorer, metric, ""): scores.values[scorer][metric]
        for scorer in scores.values
        for metric in metrics
    }
    for other in others:
        for metric in metrics:
            columns[other, metric, "behind"] = (
                scores.values[first][metric] - scores.values[other][metric]
            )
    found = dict(
        zip(
            columns,
            intervals(
                np.stack([*columns.values()], 1), scores.groups, draws, seed, level
            ),
            strict=True,
        )
    )
    rows = []
    for scorer in scores.values:
        values = {metric: found[scorer, metric, ""] for metric in metrics}
        behind = {
            metric: found[scorer, metric, "behind"]
            for metric in metrics
            if scorer != first
        }
        rows.append(Row(scorer, values, behind, scores.seconds[scorer]))
    return Block(name, len(scores), len(np.unique(scores.groups)), tuple(rows))


def _caption(block: Block) -> str:
    return f"{block.name}: {block.queries:,} queries in {block.groups:,} groups"


def _mean(value: Interval) -> str:
    return f"{value.mean:.4f}" + _half(value)


def _gap(value: Interval) -> str:
    mark = (" *" if value.low > 0 else " !") if value.clear else ""
    return f"{value.mean:+.4f}" + _half(value) + mark


def _half(value: Interval) -> str:
    return "" if np.isnan(value.half) else f" ±{value.half:.4f}"


def _plain(value: Interval) -> dict[str, float | None]:
    return {k: None if np.isnan(v) else v for k, v in value._asdict().items()}
