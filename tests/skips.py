"""Skips that a run forbids."""

import os

import pytest


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Fail a skip whose marks or reason hold a word of TROUSSEAU_NO_SKIP.

    Words are separated by commas; "1" means every skip.
    """
    words = [
        word
        for word in os.environ.get("TROUSSEAU_NO_SKIP", "").lower().split(",")
        if word
    ]
    if not words or report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = str(
        report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    )
    about = f"{reason} {' '.join(getattr(report, 'keywords', {}))}".lower()
    if any(word == "1" or word in about for word in words):
        report.outcome = "failed"
        report.longrepr = (
            f"{report.nodeid}: {reason} (and TROUSSEAU_NO_SKIP forbids it)"
        )
