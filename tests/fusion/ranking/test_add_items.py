"""Items added to a trained recommender."""

import numpy as np
import pyarrow as pa
import pytest

from fusion.recommender import Recommender
from fusion.runs import artifacts
from fusion.runs.folder import finished, new_run
from kg.errors import DataError
from tests.fusion.answers import EVERY_KIND, ITEMS, WHITE, ids

NEW = pa.table({"id": ["new"], "title": ["white sofa number 50"], "unused": [1]})


WHITE_EDGE = {"has_colour": pa.table({"source": ["new"], "target": ["white"]})}


def test_a_new_item_is_known_without_training(served):
    before = served.score(served.queries(EVERY_KIND))
    more = served.add_items(NEW, WHITE_EDGE)
    assert isinstance(more, Recommender) and len(more.items) == ITEMS + 1
    assert "new" in ids(more.search("white sofa number 50", k=10))
    assert set(ids(more.similar("i001", k=21))) == {*WHITE, "new"} - {"i001"}
    assert set(ids(more.similar("new", k=5))) <= set(WHITE)
    assert len(more.complete(["new", "i001"])) == 10
    # What was there scores nearly as before, and what was served before is as it was.
    after = more.score(more.queries(EVERY_KIND))[:, :ITEMS]
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.999
    assert np.abs(after - before).max() < 0.05 * np.ptp(before)
    assert np.array_equal(served.score(served.queries(EVERY_KIND)), before)
    assert len(served.items) == ITEMS and "new" not in ids(
        served.recommend("u003", k=100)
    )


def test_a_new_item_needs_no_edge_and_no_words(served):
    more = served.add_items(pa.table({"id": ["bare"], "title": [""]}))
    assert "bare" in ids(more.recommend("u003", k=100))
    assert {r.id: r.text_weight for r in more.recommend("u003", k=100)}["bare"] == 0
    assert len(more.similar("bare")) == 10


def test_new_items_are_saved_with_the_run(served, trained, tmp_path):
    more = served.add_items(NEW, WHITE_EDGE)
    with new_run(tmp_path, "more") as folder:
        artifacts.save(more, trained.recipe, folder)
    again = Recommender.load(finished(folder))
    assert np.array_equal(
        again.score(again.queries(EVERY_KIND)), more.score(more.queries(EVERY_KIND))
    )
    once_more = again.add_items(pa.table({"id": ["newer"], "title": ["black sofa"]}))
    assert len(once_more.items) == ITEMS + 2


@pytest.mark.parametrize(
    ("items", "edges", "error"),
    [
        (
            {"id": ["i003"], "title": ["x"]},
            {},
            "item 'i003' is in the catalogue already",
        ),
        ({"id": ["a", "a"], "title": ["x", "y"]}, {}, "id 'a' is used twice"),
        ({"id": ["a"]}, {}, "items of type 'item': no column title"),
        ({"title": ["x"]}, {}, "items of type 'item': no column id"),
        ({"id": ["a"], "title": [b"\xff"]}, {}, "items of type 'item'"),
        (
            {"id": ["a"], "title": ["x"]},
            {"colour": {"source": ["a"]}},
            "there are no edges 'colour'; there are made",
        ),
        (
            {"id": ["a"], "title": ["x"]},
            {"has_colour": {"source": ["a"]}},
            "edges 'has_colour': no column target",
        ),
        (
            {"id": ["a"], "title": ["x"]},
            {"has_colour": {"source": ["a"], "target": ["red"]}},
            "no colour: 'red'",
        ),
        (
            {"id": ["a"], "title": ["x"]},
            {"has_colour": {"source": ["b"], "target": ["black"]}},
            "no item: 'b'",
        ),
    ],
)
def test_new_items_that_do_not_fit_are_refused(served, items, edges, error):
    with pytest.raises(DataError, match=error):
        served.add_items(
            pa.table(items), {name: pa.table(table) for name, table in edges.items()}
        )
    assert len(served.items) == ITEMS
