"""What tests of several files here stand on."""

from __future__ import annotations

from functools import partial

import pytest

from eval.suite import baselines


@pytest.fixture(scope="module")
def no_trees():
    """The boosted ranker takes longest, and other tests measure it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eval.contenders.baselines", partial(baselines, trees=False))
        yield
