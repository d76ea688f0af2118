"""A training in which nothing is drawn by chance but the order of the queries."""

import pytest

from tests.fusion.training.watch import CERTAIN


@pytest.fixture
def certain(monkeypatch):
    monkeypatch.setattr("fusion.model.hybrid.ID_DROP", 0.0)
    monkeypatch.setattr("fusion.training.joint.CONTEXT_TEXTS", -1)
    return CERTAIN
