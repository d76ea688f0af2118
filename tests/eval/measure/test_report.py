"""The tables say what was measured, and are wide enough to read and narrow enough to print."""

from __future__ import annotations

import json

import numpy as np
import pytest

from eval.measure.bootstrap import mean_interval, paired_interval
from eval.measure.protocol import Scores
from eval.measure.report import make_report


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    base, groups = rng.random(400), np.arange(400) // 2
    each = {
        "hybrid": base,
        "popularity": base - 0.2,
        "same": base + rng.normal(0, 0.05, 400),
        "user frequency, recent": base + 0.1,
    }
    values = {
        name: {"HR@10": v, "NDCG@10": v / 2, "MRR": v / 3} for name, v in each.items()
    }
    return Scores(groups, values, {name: 1.5 for name in each})


def test_rows_hold_the_means_and_paired_differences(scores):
    (block,) = make_report("baskets", scores).blocks
    assert (block.name, block.queries, block.groups) == ("all", 400, 200)
    assert [row.name for row in block.rows] == list(scores.values)
    ours, theirs = scores.values["hybrid"], scores.values["same"]
    for metric in ("HR@10", "NDCG@10"):
        assert block.rows[2].values[metric] == pytest.approx(
            mean_interval(theirs[metric], scores.groups)
        )
        assert block.rows[2].behind[metric] == pytest.approx(
            paired_interval(ours[metric], theirs[metric], scores.groups)
        )
    assert block.rows[0].behind == {}


def test_slices_stand_apart(scores):
    cold = np.arange(400) % 4 == 0
    blocks = make_report("baskets", scores, {"warm": ~cold, "cold": cold}).blocks
    assert [(b.name, b.queries) for b in blocks] == [
        ("all", 400),
        ("warm", 300),
        ("cold", 100),
    ]
    hr = scores.values["hybrid"]["HR@10"]
    assert blocks[1].rows[0].values["HR@10"].mean == pytest.approx(hr[~cold].mean())
    assert blocks[2].rows[0].values["HR@10"].mean == pytest.approx(hr[cold].mean())
    assert (
        len(
            make_report(
                "baskets",
                scores,
                {"none": np.zeros(400, bool), "every": np.ones(400, bool)},
            ).blocks
        )
        == 1
    )


def test_the_text_is_aligned_narrow_and_marked(scores):
    text = make_report("baskets, test", scores, {"cold": np.arange(400) < 40}).to_text()
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    header = next(line for line in lines if "NDCG@10" in line)
    rows = {
        name: next(line for line in lines if line.startswith(name))
        for name in scores.values
    }
    for row in rows.values():
        assert row[header.index("HR@10")] + row[header.index("NDCG@10")] == "00", (
            "a number is not under its metric"
        )
    assert "+0.2000 ±0.0000 *" in rows["popularity"]
    assert "-0.1000 ±0.0000 !" in rows["user frequency, recent"]
    assert "*" not in rows["same"] + rows["hybrid"]
    assert "cold: 40 queries in 20 groups" in text


def test_the_markdown_is_a_table_of_equal_rows(scores):
    lines = make_report("a|b", scores).to_markdown().splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + len(scores.values)
    assert {line.count("|") for line in table} == {6}
    assert table[0].split("|")[2:4] == [" HR@10 ", " hybrid ahead by "]


def test_the_dict_survives_json(scores):
    one = Scores(np.zeros(400, int), scores.values, scores.seconds)
    for given in (scores, one):
        report = make_report("baskets", given)
        plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
        assert plain == report.to_dict()
    assert plain["blocks"][0]["rows"][1]["values"]["HR@10"]["low"] is None
    assert "±0" not in report.to_text(), "one group has no interval to print"


def test_bad_input_is_named(scores):
    with pytest.raises(
        ValueError, match="hybrid has no HR@50; there are HR@10, NDCG@10, MRR"
    ):
        make_report("x", scores, metrics=("HR@50",))
    with pytest.raises(ValueError, match=r"slice 'cold' has shape \(3,\) for 400"):
        make_report("x", scores, {"cold": np.zeros(3, bool)})
    with pytest.raises(ValueError, match="no scorer"):
        make_report("x", Scores(scores.groups, {}, {}))
