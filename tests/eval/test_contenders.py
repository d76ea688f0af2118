"""Which baselines stand beside a model, and why others are left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eval.baselines.text import (
    RankFusion,
    ScoreFusion,
)
from eval.contenders import all_baselines, further_baselines
from eval.suite import Chosen
from fusion.preparation import held_out

pytestmark = pytest.mark.usefixtures("no_trees")


def test_baselines_that_do_not_fit_are_left_out_with_the_reason(trained):
    prepared = trained.prepared
    found, left_out = further_baselines(
        prepared, trained.recipe, ["transitions", "BM25"], progress=False
    )
    assert list(found) == ["transitions", "BM25"] and left_out == {}
    events = replace(
        prepared.graph.events, time=np.full(len(prepared.graph.events), np.nan)
    )
    timeless = replace(prepared, graph=replace(prepared.graph, events=events))
    at_once = replace(
        prepared,
        graph=replace(
            prepared.graph, events=replace(events, time=np.zeros(len(events)))
        ),
    )
    for untold in (timeless, at_once):
        found, left_out = further_baselines(
            untold, trained.recipe, ["transitions", "SASRec"], progress=False
        )
        assert (
            found == {}
            and set(left_out.values()) == {"no user interacted at two times"}
            and len(left_out) == 2
        )
    nobody = replace(events, user=np.full(len(events), -1))
    alone = replace(prepared, graph=replace(prepared.graph, events=nobody))
    assert further_baselines(alone, trained.recipe, ["UserKNN", "BPR"], progress=False)[
        1
    ] == {
        "UserKNN": "no users",
        "BPR": "no users",
    }
    with pytest.raises(ValueError, match="no baseline 'nosuch'"):
        further_baselines(prepared, trained.recipe, ["nosuch"])


def test_words_and_vectors_are_joined_where_both_are_there(trained):
    prepared, recipe = trained.prepared, trained.recipe
    with_words, _ = all_baselines(prepared, recipe, ["BM25"], progress=False)
    joined = with_words["BM25 + untuned encoder"]
    assert isinstance(joined, RankFusion)
    assert [one.name for one in joined.rankers] == ["BM25", "untuned encoder"]
    weighted = with_words["BM25 + untuned encoder, weighted"]
    assert isinstance(weighted, Chosen) and isinstance(weighted.scorer, ScoreFusion)
    assert weighted.setting == f"share {weighted.scorer.share:g}"
    assert not any(
        name.startswith("BM25 +")
        for name in all_baselines(prepared, recipe, [], progress=False)[0]
    )


def test_a_baseline_is_chosen_on_validation(trained):
    prepared, recipe = trained.prepared, trained.recipe
    test = held_out(prepared, recipe, prepared.split.test, 0)["baskets"]
    blind = replace(prepared, split=replace(prepared.split, test=prepared.split.valid))
    one, two = (
        further_baselines(p, recipe, ["ItemKNN, decay"], progress=False)[0][
            "ItemKNN, decay"
        ]
        for p in (prepared, blind)
    )
    assert np.array_equal(one.score(test), two.score(test))
