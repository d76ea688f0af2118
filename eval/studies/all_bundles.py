"""Everything there is to measure about whole bundles, for a trained run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eval.measure.protocol import Scores
from eval.measure.report import make_report
from eval.studies.bundles import LARGEST, Bench, held_bundles
from eval.studies.compatibility import blanks, complements, diversity, outfits, ranked
from fusion.ranking.values import BoolArray
from fusion.recommender import Recommender
from fusion.runs.folder import environment

PROTOCOL = (
    f"Held-out bundles of 2 to {LARGEST} items that the run has not seen. build: all "
    f"items of one, from its intent or "
    "from one item at random and its owner; the number of items is given, and with "
    "slots the category of each, too; greedy is the model's own ranking, read off "
    "from the top. judge: real ones against three each whose every item is exchanged "
    "for another of its category, sold in training if it was. blanks: one item among "
    "four of its category, likewise. rank: each among all, for its intent or its "
    "owner. diversity and complements: one item of each is left out and looked for "
    "among ten; every strength is shown, none was chosen here."
)


def measure(
    run: Path, split: str, limit: int, draws: int, bars: bool
) -> dict[str, Any]:
    """Everything of one run; plain values for JSON.

    Raises:
        RunError: It is no run, or is damaged.
        DataError: It holds no bundles out.
    """
    bench = Bench(Recommender.load(run), bars=bars)
    recipe = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    bundles = held_bundles(
        bench.recommender, run / "held_out" / f"{split}.parquet", limit, bench.seed
    )
    tables: dict[str, Any] = {}

    def keep(
        name: str, scores: Scores, slices: dict[str, BoolArray] | None = None
    ) -> None:
        metrics = tuple(next(iter(scores.values.values()), ()))
        if metrics:
            report = make_report(name, scores, slices, metrics, draws, bench.seed)
            tables[name] = {"metrics": list(metrics), **report.to_dict()}

    for start in ("intent", "seed"):
        some = [one for one in bundles if one.words or start == "seed"]
        coded = [one for one in some if (bench.codes[one.items] >= 0).all()]
        for slots, asked in ((False, some), (True, coded if bench.kind else [])):
            if asked:
                keep(
                    f"build from {start}" + ", slots given" * slots,
                    bench.build(asked, start, slots),
                )
    scores, auc = outfits(bench, bundles)
    keep("judge", scores)
    keep("blanks", blanks(bench, bundles))
    keep("rank", ranked(bench, bundles))
    keep("diversity", diversity(bench, bundles))
    if bench.kind and len(bench.recommender.snapshot.graph.events):
        scores, cross = complements(bench, bundles)
        keep(
            "complements",
            scores,
            {"the item is of another category": cross, "of a context item's": ~cross},
        )
    made = environment()
    return {
        "recipe": recipe["name"],
        "split": split,
        "bundles": len(bundles),
        "items": round(float(np.mean([len(one.items) for one in bundles])), 2),
        "protocol": PROTOCOL,
        "tables": tables,
        "AUC": auc,
        "command": f"python -m eval combinations runs/{run.name} --split {split} "
        f"--limit {limit} --draws {draws}",
        "machine": {
            "cpus": made["cpu_count"],
            "python": made["python"],
            "commit": made["git_commit"],
        },
    }


def text(name: str, found: Mapping[str, Any]) -> str:
    """The figures for a terminal."""
    lines = [f"{name}: {found['bundles']} bundles of {found['items']} items"]
    for title, report in found["tables"].items():
        for block in report["blocks"]:
            lines.append(f"\n{title}, {block['name']}, {block['queries']} bundles")
            for row in block["rows"]:
                cells = "  ".join(
                    f"{m} {v['mean']:.4f}" for m, v in row["values"].items()
                )
                extra = (
                    f"  AUC {found['AUC'][row['name']]:.4f}" if title == "judge" else ""
                )
                lines.append(f"  {row['name']:16} {cells}{extra}")
    return "\n".join(lines)
