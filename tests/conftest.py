"""What every test runs under: seeds, one thread, no network, no server it did not ask for."""

import os
import random
import sys
from collections.abc import Generator

# Before anything imports torch or transformers, which read these once.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def surroundings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seed what draws at random; hide the address of a Neo4j from every test that is not marked neo4j."""
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
    if request.node.get_closest_marker("neo4j") is None:
        monkeypatch.delenv("NEO4J_URI", raising=False)


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Fail a skip whose marks or reason hold a word of TROUSSEAU_NO_SKIP (comma separated; "1" means every skip)."""
    words = [word for word in os.environ.get("TROUSSEAU_NO_SKIP", "").lower().split(",") if word]
    if not words or report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    about = f"{reason} {' '.join(getattr(report, 'keywords', {}))}".lower()
    if any(word == "1" or word in about for word in words):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: {reason} (and TROUSSEAU_NO_SKIP forbids it)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report
