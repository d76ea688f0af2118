"""The overview: one row a data set and task, of its first metric, the best of a row bold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from eval.bench.markdown import EMPTY, Result, half, mark, table

RANKERS = ("boosted ranker", "LightGBM ranker")
README_ROWS = (
    ("bundlerec_clothing", "completion"),
    ("bundlerec_clothing", "intent"),
    ("completejourney", "baskets"),
    ("completejourney", "search"),
    ("beauty", "next"),
    ("icecat", "judged queries"),
)  # one a kind of question; with draws and losses
_HEAD = (
    "data, task",
    "metric",
    "hybrid",
    "best part alone",
    "best ranker over counts",
    "best other",
    "published",
)
_LEGEND = (
    "Bold: the highest of a row. ± half of a 95 % bootstrap interval; \\* the hybrid is ahead of "
    "this one, ! behind it, by a paired interval clear of zero."
)


def representative(results: Sequence[Result], folder: str) -> str:
    """The README's few rows, with a link to all of them."""
    rows = [_row(results, name, task, folder) for name, task in README_ROWS]
    found = [row for row in rows if row]
    if not found:
        return EMPTY
    link = f"All sets, protocols, traps and commands: [benchmarks]({folder}index.md)."
    return "\n".join([*table(_HEAD, found), "", _LEGEND, "", link])


def overview(results: Sequence[Result], folder: str = "") -> str:
    """Every data set and task; `folder` is where its page lies, seen from the document."""
    if not results:
        return EMPTY
    rows = [
        _cells(result, task, folder) for result in results for task in result["tasks"]
    ]
    return "\n".join([*table(_HEAD, rows), "", _LEGEND])


def _row(
    results: Sequence[Result], name: str, task: str, folder: str
) -> list[str] | None:
    for result in results:
        if result["name"] == name and task in result["tasks"]:
            return _cells(result, task, folder)
    return None


def _cells(result: Result, task: str, folder: str) -> list[str]:
    report = result["tasks"][task]
    metric, (hybrid, *others) = report["metrics"][0], report["blocks"][0]["rows"]
    parts = [row for row in others if row["name"].endswith(" alone")]
    rankers = [row for row in others if row["name"] in RANKERS]
    rest = [row for row in others if row not in parts and row not in rankers]
    published = _published(result, task, metric)
    means = [row["values"][metric]["mean"] for row in (hybrid, *others)]
    top = max([*means, *(figure["value"] for figure in published)])
    link = f"[{result['title']}]({folder}{result['name']}.md), {task}"
    cells = [link, metric, _figure(hybrid, metric, top)]
    cells += [_best(rows, metric, top) for rows in (parts, rankers, rest)]
    return [*cells, _known(published, top)]


def _published(result: Result, task: str, metric: str) -> list[Result]:
    figures: Iterable[Result] = result["published"]
    return [f for f in figures if f["task"] == task and f["metric"] == metric]


def _known(figures: Sequence[Result], top: float) -> str:
    if not figures:
        return ""
    best = max(figures, key=lambda figure: figure["value"])
    return f"{best['who']} {_bold(best['value'], top)}"


def _best(rows: Sequence[Result], metric: str, top: float) -> str:
    if not rows:
        return ""
    best = max(rows, key=lambda row: row["values"][metric]["mean"])
    name = best["name"].removesuffix(" alone")
    return f"{_figure(best, metric, top)}{mark(best, metric)} {name}"


def _figure(row: Result, metric: str, top: float) -> str:
    figure = row["values"][metric]
    return f"{_bold(figure['mean'], top)}{half(figure)}"


def _bold(mean: float, top: float) -> str:
    """By the figures as they are printed, so that equal ones are both bold."""
    text = f"{mean:.4f}"
    return f"**{text}**" if text == f"{top:.4f}" else text
