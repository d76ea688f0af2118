"""The text of an explanation."""

from dataclasses import replace

import pytest

from fusion.explain.explanation import (
    PathSupport,
)
from fusion.explain.render import to_text
from tests.fusion.explain.evil import EVIL


def test_text_tells_places_and_shares_and_no_scores(made):
    lines = to_text(made).splitlines()
    assert lines[0] == "lamp (i2): place 1"
    assert lines[1] == "carried by paths"  # words carry less than nothing
    assert lines[2] == "its words: lamp (item's)"
    assert lines[6:10] == [
        "   user u1",
        f"     -bought-> {EVIL} at 3",
        "       <-beside- lamp (gone)",
        "   without it the item falls 2 places",
    ]
    share = "it carries 20% of what path 1 does"
    assert lines[-3] == f"   without it the item keeps its place; {share}"


@pytest.mark.parametrize(
    ("lost", "rank", "words"),
    [
        (0.0, 0, "without it the item keeps its place, and its score"),
        (0.3, 1, "without it the item falls 1 place"),
        (-0.3, -1200, "without it the item rises 1,200 places"),
    ],
)
def test_what_a_path_carries_is_told_in_places(made, lost, rank, words):
    support = PathSupport(lost, rank, 0.0, 0.0, 0.0, 0.0)
    alone = replace(made, paths=(replace(made.paths[0], support=support),))
    assert f"   {words}" in to_text(alone).splitlines()


def test_text_with_numbers_tells_every_measured_score(made):
    lines = to_text(made, numbers=True).splitlines()
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
    assert lines[9] == "   without it the item falls 2 places"
    measured = "   score without it -0.50 (counted -0.40, vectors -0.10)"
    assert lines[10] == measured + "; without the one shown -0.05"
    assert lines[-3] == "   score without it -0.10 (counted -0.10, vectors +0.00)"
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
    assert "     -bought-> lamp on 2024-07-29" in to_text(dated).splitlines()
    assert "19933" not in to_text(dated)


def test_text_keeps_to_its_width(made):
    assert max(map(len, to_text(made, 40).splitlines()[5:9])) == 40
