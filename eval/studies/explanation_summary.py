"""What was measured of explanations, and its means with their intervals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eval.bench.explanation_tables import SLICES
from eval.measure.bootstrap import mean_interval
from kg.tables import FloatArray


@dataclass
class Measurements:
    """What was measured, a value an explanation."""

    groups: list[int] = field(default_factory=list)
    covered: list[tuple[bool, bool]] = field(
        default_factory=list
    )  # (the item was taken in training, has a path)
    valid: list[bool] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)
    seconds: dict[str, list[tuple[float, float]]] = field(
        default_factory=lambda: {"paths": [], "support": []}
    )
    pairs: list[tuple[float, float]] = field(
        default_factory=list
    )  # (gradient's guess, by occlusion)

    def add(self, **values: float) -> None:
        """One explanation's values by name."""
        for name, value in values.items():
            self.values.setdefault(name, []).append(value)


def summary(found: Measurements, queries: int) -> dict[str, Any]:
    """Plain values for JSON: shares, means with intervals, and seconds."""
    groups = np.array(found.groups, np.int64)
    values = {name: np.array(v) for name, v in found.values.items()}
    covered = np.array(found.covered, bool).reshape(-1, 2)

    def told(v: FloatArray) -> dict[str, float | None]:
        there = ~np.isnan(v)
        if not there.any():
            return {"mean": None, "of": 0}
        interval = mean_interval(v[there], groups[: len(v)][there])
        alone = np.isnan(interval.low)
        ends = (None, None) if alone else (interval.low, interval.high)
        return {
            "mean": interval.mean,
            "low": ends[0],
            "high": ends[1],
            "of": int(there.sum()),
        }

    report: dict[str, Any] = {
        "queries": queries,
        "validity": float(np.mean(found.valid)) if found.valid else None,
        "paths": len(found.valid),
        "coverage": {
            name: {
                "share": float(covered[which, 1].mean()) if which.any() else None,
                "of": int(which.sum()),
            }
            for name, which in (
                ("all", np.ones(len(covered), bool)),
                ("interacted before", covered[:, 0]),
                ("new", ~covered[:, 0]),
            )
        },
        "seconds": {
            name: {
                f"p{p}{clock}": float(np.percentile(np.array(s)[:, at], p))
                for at, clock in enumerate(("", " of processor time"))
                for p in (50, 95)
            }
            | {"of": len(s)}
            for name, s in found.seconds.items()
        },
    }
    if not len(groups):
        return report
    for name in ("best", "blind"):
        lost, fell = values[f"lost_{name}"], values[f"fell_{name}"]
        report[f"deletion, {name} path"] = {
            "score lost": told(lost),
            "places lost": told(fell),
        }
        for part, alike in zip(SLICES, (1, 0), strict=True):
            mine = np.where(values[f"alike_{name}"] == alike, 0.0, np.nan)
            random, places = (
                values[f"lost_like_{name}"] + mine,
                values[f"fell_like_{name}"] + mine,
            )
            report[f"deletion, {name} path"][part] = {
                "score lost": told(lost + mine),
                "places lost": told(fell + mine),
                "random, score lost": told(random),
                "random, places lost": told(places),
                "difference, score": told(lost - random),
                "difference, places": told(fell - places),
            }
    report |= {
        name: told(values[name])
        for name in ("carried", "text_weight", "LIR", "SEP", "ETD", "unlike")
    }
    report["parts"] = {
        n.removeprefix("without "): told(v)
        for n, v in values.items()
        if n.startswith("without ")
    }
    if "whole" in values and values["whole"].sum():
        report["sufficiency"] = {
            "left": float(values["left"].sum() / values["whole"].sum()),
            "of": len(values["whole"]),
            "score the graph adds": float(values["whole"].mean()),
            "score the paths add": float(values["left"].mean()),
        }
    guess, lost = np.array(found.pairs).T
    order = np.argsort(np.argsort([guess, lost], axis=1), axis=1)
    report["estimate"] = {
        "rank correlation": float(np.corrcoef(order[0], order[1])[0, 1]),
        "of": len(guess),
    }
    return report
