"""Pictures of an explanation: what stands in them, and that a title cannot become markup."""

import json
import sys
from dataclasses import replace

import pytest

from fusion.explain.explanation import (
    Explanation,
    GraphPath,
    PathEdge,
    PathSupport,
    Stop,
    Word,
)
from fusion.explain.render import to_html, to_text
from fusion.query import Query

EVIL = "</script><script>alert(1)</script> & <b>"


@pytest.fixture
def made():
    """Two paths from a user to a lamp: one that carries half a point, over an item with an evil title; one a tenth."""
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


def test_text_tells_places_scores_paths_and_notes(made):
    lines = to_text(made).splitlines()
    assert lines[0] == "lamp (i2): place 1, score 1.50"
    assert (
        lines[1] == "without paths -0.50, words +0.10"
    )  # what carries most comes first
    assert lines[2] == "without the word lamp (item's) -0.20"
    assert lines[3:5] == [
        "A note.",
        "",
    ]  # before the paths: it may say that words carry the score, and no path
    assert lines[5:9] == [
        "1. Said.",
        "   user u1",
        f"     -bought-> {EVIL} at 3 [-0.500]",
        "       <-beside- lamp [+0.100] (gone)",
    ]
    told = "   without it -0.50 (counted -0.40, vectors -0.10), +2 places"
    assert lines[9] == told + "; without the one shown -0.05"
    assert lines[-3] == "   without it -0.10 (counted -0.10, vectors +0.00)"
    assert lines[-2:] == ["", "Its vector: 25% from words, 75% from the graph."]


def test_a_time_is_drawn_as_sentences_say_it(made):
    path = made.paths[1]
    dated = replace(
        made,
        paths=(
            replace(
                path,
                edges=(replace(path.edges[0], time=19933.0, when="on 2024-07-29"),),
            ),
        ),
    )
    assert "     -bought-> lamp on 2024-07-29 [-0.500]" in to_text(dated).splitlines()
    assert "19933" not in to_text(dated)


def test_text_keeps_to_its_width(made):
    assert max(map(len, to_text(made, 40).splitlines()[5:9])) == 40


def test_a_page_holds_every_node_and_edge_as_wide_as_it_carries(made):
    pytest.importorskip("neo4j_viz")
    page = to_html(made)
    assert "<title>lamp</title>" in page and page.count("<pre") == 1
    assert 'src="http' not in page and 'import("http' not in page
    edges = json.JSONDecoder().raw_decode(
        page, page.index('"relationships": ') + len('"relationships": ')
    )[0]
    ends = [
        (edge["from"], edge["caption"], edge["to"], edge["width"]) for edge in edges
    ]
    # against its direction is how the second is walked, not how it is drawn
    wide, thin = 8.0, pytest.approx(1 + 7 * 0.2)
    assert ends == [
        ("user u1", "bought", "item i1", wide),
        ("user u1", "bought", "item i2", thin),
        ("item i2", "beside", "item i1", wide),
    ]


def test_a_title_is_no_markup(made):
    pytest.importorskip("neo4j_viz")
    page = to_html(made)
    assert (
        "alert(1)" in page
        and "<script>alert" not in page
        and "</script><script>" not in page.replace("\n", "")
    )


def test_without_the_extra_it_is_named(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "neo4j_viz", None)
    with pytest.raises(ImportError, match=r"pip install 'trousseau\[viz\]'"):
        to_html(made)
