"""An explanation made by hand."""

import pytest

from fusion.explain.explanation import (
    Explanation,
    GraphPath,
    PathEdge,
    PathSupport,
    Stop,
    Word,
)
from fusion.query import Query
from tests.fusion.explain.evil import EVIL


@pytest.fixture
def made():
    """Two paths to a lamp: half a point over an item with an evil title, and a tenth."""
    user, evil, lamp = (
        Stop("user", "u1", "user u1"),
        Stop("item", "i1", EVIL),
        Stop("item", "i2", "lamp"),
    )
    bought = PathEdge("bought", False, 3.0, 0.5)
    over = (bought, PathEdge("beside", True, None, -0.1, "gone"))
    best = GraphPath(
        (user, evil, lamp),
        over,
        4,
        1.0,
        "Said.",
        "",
        PathSupport(0.5, 2, 0.4, 0.1, 0.05, 0.3),
    )
    other = GraphPath(
        (user, lamp),
        (bought,),
        1,
        1.0,
        "Also.",
        "",
        PathSupport(0.1, 0, 0.1, 0.0, 0.1, 0.3),
    )
    words, parts = (Word("lamp", "item", 0.2),), {"words": -0.1, "paths": 0.5}
    return Explanation(
        Query("u1"), lamp, 1.5, 1, (best, other), 0.25, words, parts, ("A note.",)
    )
