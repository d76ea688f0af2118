"""Bundles without a user and a time, such as an editor's outfits: never held out nor a target."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from eval.leakage.audit import audit
from fusion.bundles.seasonality import seasonal
from fusion.preparation import prepare
from fusion.ranking.filters import Facts
from fusion.tasks.folds import FoldConfig, make_folds
from kg.errors import DataError
from kg.graph import build_graph
from kg.schema import GraphSchema
from kg.sources.checkerboard import Checkerboard
from kg.split.last import LeaveLast
from kg.split.time import TimeSplit
from kg.tables import Tables

PLAIN = Checkerboard(users=40, items=40).load()


def with_look(owner: str = "") -> Tables:
    """The checkerboard and a basket of six items at no time, owned through an edge without time."""
    schema, edges = PLAIN.schema.to_dict(), dict(PLAIN.edges)
    schema["edges"].append(
        {"name": "put", "source": "user", "target": "basket", "role": "interaction"}
    )
    ends = pa.schema([("source", pa.string()), ("target", pa.string())])
    edges["put"] = pa.table(
        [[owner] * bool(owner), ["look"] * bool(owner)], schema=ends
    )
    held = pa.table(
        [["look"] * 6, PLAIN.nodes["item"]["id"].to_pylist()[:6]], schema=ends
    )
    edges["contains"] = pa.concat_tables([edges["contains"], held])
    basket = pa.concat_tables([PLAIN.nodes["basket"], pa.table({"id": ["look"]})])
    return Tables(
        GraphSchema.from_dict(schema), {**PLAIN.nodes, "basket": basket}, edges
    )


def looks(graph):
    return graph.events.take(graph.events.lasting)


@pytest.mark.parametrize(
    "config",
    [TimeSplit(3, 4, cold_fraction=0.1), TimeSplit(3, 4, refit=True), LeaveLast()],
)
def test_they_stay_in_training_and_change_nothing_that_is_held_out(config):
    before, split = config(PLAIN), config(with_look())
    assert split.valid.events.equals(before.valid.events) and split.test.events.equals(
        before.test.events
    )
    for one in (split, split.later or split):
        found = looks(build_graph(one.train))
        assert (
            3 <= len(found) <= 6
            and (found.user == -1).all()
            and np.isnan(found.time).all()
        )


def test_a_users_bundle_without_a_time_is_refused_by_name():
    fault = (
        r"6 of \d+ events have no time, one of them of basket 'look'; "
        r"name the time of contains or put in the schema"
    )
    for config in (TimeSplit(3, 4), LeaveLast()):
        with pytest.raises(DataError, match=fault):
            config(with_look(owner="u000"))


def test_folds_are_cut_by_time_beside_them_and_each_graph_has_them():
    graph = build_graph(with_look())
    folds, plain = (
        make_folds(g, FoldConfig(2, 1.0, cold=0.0), 0)
        for g in (graph, build_graph(PLAIN))
    )
    for fold, before in zip(folds, plain, strict=True):
        assert len(looks(fold.graph)) == 6 and not fold.asked.lasting.any()
        assert np.array_equal(fold.asked.time, before.asked.time)
        assert len(fold.graph.events) == len(before.graph.events) + 6
    with pytest.raises(
        DataError,
        match=re.escape(
            "window 1 of 1 asks about -4..5, but training runs from 0 to 5"
        ),
    ):
        make_folds(graph, FoldConfig(1, 9.0), 0)
    with pytest.raises(DataError, match="some events have no time"):
        make_folds(graph.until(-1), FoldConfig(1, 9.0, by="time"), 0)


def test_counts_checks_and_the_audit_stand_them(checkerboard):
    recipe = checkerboard("split.refit=true")
    plain, made = (
        prepare(recipe.split(t), recipe, progress=False) for t in (PLAIN, with_look())
    )
    for counts, before in (
        (made.counts, plain.counts),
        (made.folds[0][1], plain.folds[0][1]),
    ):
        assert 0 < (counts.item["popularity"] - before.item["popularity"]).sum() <= 6
        assert np.array_equal(
            counts.item["recent popularity"], before.item["recent popularity"]
        )
        assert (
            counts.user_item["user-item recent"] != before.user_item["user-item recent"]
        ).nnz == 0
        together = (
            counts.item_item["item-bundle-item"] - before.item_item["item-bundle-item"]
        )
        assert (
            together[0, 1] == 1 or 0 in counts.item["popularity"][:2]
        )  # black and white, together here alone
    assert len(looks(made.serving.graph)) == 6
    assert not audit(made.split, made.graph, recipe.tasks, recipe.seed).leaks


def test_a_season_is_learned_without_them():
    found = []
    for tables in (PLAIN, with_look()):
        made = tables.edges["made"]
        day = pc.add(
            pc.multiply(made["time"], 31.0), 14_610.0
        )  # a basket a month, from January 2010 on
        tables = tables.with_tables(edges={"made": made.set_column(2, "time", day)})
        found.append(seasonal(build_graph(tables), Facts(tables), 2))
    assert np.array_equal(found[0], found[1]) and found[0].any()
