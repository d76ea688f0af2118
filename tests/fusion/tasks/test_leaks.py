"""Planted leaks: each must be refused, and honest folds must not be."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from fusion import preparation
from fusion.experiment import Recipe
from fusion.model.config import FusionConfig
from fusion.model.spectral import spectral_vectors
from fusion.pipeline import build_model
from fusion.tasks.basket_completion import BasketCompletion
from fusion.tasks.folds import Fold, FoldConfig, make_folds
from fusion.tasks.leaks import check_fold, check_held
from fusion.tasks.next_item import NextItem
from kg.errors import DataError
from kg.graph import build_graph
from kg.metapaths.count import PathConfig, count_paths
from kg.split.grouped import GroupedSplit
from kg.split.last import LeaveLast
from kg.split.time import TimeSplit

FOLDS = FoldConfig(2, 2.0)
RECIPE = Recipe(
    tasks={"baskets": BasketCompletion(min_items=2), "next": NextItem()},
    fusion=FusionConfig(embedding_dim=8),
    paths=PathConfig(2.0, 3.0),
    folds=FOLDS,
)


def refused(fold, because, counts=None):
    with pytest.raises(DataError, match=f"leak: .*{because}"):
        check_fold(fold, counts or count_paths(fold.graph))


@pytest.fixture(params=[True, False], ids=["timed", "untimed"])
def graph(request, shop):
    return build_graph(shop(timed=request.param))


def test_no_ask_finds_its_own_bundle_in_the_graph_it_is_asked_of(graph):
    """Said once more without the code under test: ask by ask, from the fold's edges and events."""
    bundles = 0
    for number, fold in enumerate(make_folds(graph, FOLDS, seed=0)):
        check_fold(fold, count_paths(fold.graph))
        holds, made = (
            fold.graph.edges[k]
            for k in (("bundle", "holds", "item"), ("user", "made", "bundle"))
        )
        for bundle in np.unique(fold.asked.bundle[fold.asked.bundle >= 0]):
            bundles += 1
            assert (
                bundle not in fold.graph.events.bundle
                and bundle not in holds.source
                and bundle not in made.target
            )
        queries = BasketCompletion(min_items=2).training(fold.graph, fold.asked, number)
        counted = count_paths(fold.graph).item_item["item-bundle-item"]
        for b in range(len(queries)):
            pair = {queries.targets[b][0], queries.context[b][0]}
            events = fold.graph.events
            left = [
                set(events.item[events.bundle == n])
                for n in set(events.bundle.tolist()) - {-1}
            ]
            assert counted[queries.context[b][0], queries.targets[b][0]] == sum(
                pair <= basket for basket in left
            )
    assert bundles > 5


def test_the_whole_graph_is_refused_as_a_folds_graph(graph):
    for fold in make_folds(graph, FOLDS, seed=0):
        refused(Fold(graph, fold.asked), "asked about")


def test_counts_of_the_whole_graph_are_refused(graph):
    for fold in make_folds(graph, FOLDS, seed=0):
        refused(fold, "events are counted", count_paths(graph))


@pytest.mark.parametrize(
    "key", [("bundle", "holds", "item"), ("user", "made", "bundle")]
)
def test_one_edge_of_an_asked_bundle_is_refused(graph, key):
    fold = make_folds(graph, FOLDS, seed=0)[0]
    here = dict(fold.graph.edges)
    whole = graph.edges[key]
    of_asked = np.isin(
        whole.source if key[0] == "bundle" else whole.target, fold.asked.bundle
    )
    here[key] = whole.take(np.flatnonzero(of_asked)[:1])
    refused(Fold(replace(fold.graph, edges=here), fold.asked), "1 bundles asked about")


@pytest.mark.parametrize("where", ["edges", "events"])
def test_one_taking_that_is_asked_about_is_refused(graph, where):
    fold = make_folds(graph, FOLDS, seed=0)[0]
    alone = fold.asked.take(fold.asked.bundle < 0).take(np.arange(1))
    if where == "events":
        leaky = replace(fold.graph, events=alone)
    else:
        bought, key = (
            graph.edges[("user", "bought", "item")],
            ("user", "bought", "item"),
        )
        same = (bought.source == alone.user) & (bought.target == alone.item)
        same &= (bought.time == alone.time) | np.isnan(bought.time)
        leaky = replace(fold.graph, edges={**fold.graph.edges, key: bought.take(same)})
    refused(Fold(leaky, fold.asked), "takes item")


def test_what_the_owner_of_an_asked_bundle_took_alone_may_stay_only_if_it_was_earlier(
    shop,
):
    """In bundle data sets, user-item edges are often the union of the user's bundles."""
    for timed in (True, False):
        tables = shop(timed=timed)
        whole = build_graph(tables)
        owned = whole.events.take((whole.events.user >= 0) & (whole.events.bundle >= 0))
        users, items = (
            whole.vocabs[name].ids.take(pa.array(rows))
            for name, rows in (("user", owned.user), ("item", owned.item))
        )
        twin = pa.table({"source": users, "target": items, "time": owned.time})
        graph = build_graph(tables.with_tables(edges={"bought": twin}))
        for fold in make_folds(graph, FOLDS, seed=0):
            check_fold(fold, count_paths(fold.graph))
            asked = set(
                zip(fold.asked.user.tolist(), fold.asked.item.tolist(), strict=True)
            )
            bought = fold.graph.edges[("user", "bought", "item")]
            again = asked & set(
                zip(bought.source.tolist(), bought.target.tolist(), strict=True)
            )
            assert bool(again) == timed
            leaky = {
                **fold.graph.edges,
                ("user", "bought", "item"): graph.edges[("user", "bought", "item")],
            }
            refused(Fold(replace(fold.graph, edges=leaky), fold.asked), "takes item")


@pytest.mark.parametrize(
    "split",
    [
        TimeSplit(4, 6),
        LeaveLast(),
        GroupedSplit(0.2, 0.2),
        GroupedSplit(0.2, 0.2, 0, "bundle"),
    ],
)
def test_honest_splits_pass(shop, split):
    made = split(shop())
    for held in (made.valid, made.test):
        check_held(build_graph(made.train), held.events)


def test_held_out_events_in_the_training_graph_are_refused(shop):
    tables = shop()
    split = TimeSplit(4, 6)(tables)
    whole = build_graph(tables)
    with pytest.raises(DataError, match=r"leak: .* bundles held out"):
        check_held(whole, split.test.events)
    alone = split.test.events.filter(pa.compute.is_null(split.test.events["bundle"]))
    with pytest.raises(DataError, match=r"leak: user 'u.' takes item 'i.*held out"):
        check_held(whole, alone)
    train = build_graph(split.train)
    check_held(train, alone)
    leaky = split.train.with_tables(edges={"bought": tables.edges["bought"]})
    with pytest.raises(DataError, match="leak: user"):
        check_held(build_graph(leaky), alone)


def test_a_node_of_a_held_out_bundle_without_edges_is_no_leak(shop):
    tables = shop()
    split = TimeSplit(4, 6)(tables)
    check_held(
        build_graph(split.train.with_tables(nodes={"bundle": tables.nodes["bundle"]})),
        split.test.events,
    )


def test_training_itself_refuses_leaks(shop, monkeypatch):
    split = TimeSplit(7, 8)(shop())
    assert (
        sum(
            len(queries)
            for _, _, queries in preparation.prepare(
                split, RECIPE, progress=False
            ).folds
        )
        > 5
    )

    held = replace(split, train=shop())
    with pytest.raises(DataError, match="held out"):
        preparation.prepare(held, RECIPE, progress=False)

    graph = build_graph(split.train)
    with monkeypatch.context() as patch:
        patch.setattr(
            preparation, "count_paths", lambda _, config: count_paths(graph, config)
        )
        with pytest.raises(DataError, match=r"leak: .* events are counted"):
            preparation.prepare(split, RECIPE, progress=False)
    with monkeypatch.context() as patch:
        whole = [Fold(graph, fold.asked) for fold in make_folds(graph, FOLDS, 0)]
        patch.setattr(preparation, "make_folds", lambda *_: whole)
        with pytest.raises(DataError, match=r"leak: .* asked about"):
            preparation.prepare(split, RECIPE, progress=False)


@pytest.mark.parametrize("timed", [True, False])
def test_learned_vectors_start_from_what_no_training_ask_is_about(shop, timed):
    """Without times every event is asked about in some fold, so there is nothing to start from."""
    split = (TimeSplit(7, 8) if timed else GroupedSplit(0.2, 0.2))(shop(timed=timed))
    prepared = preparation.prepare(split, RECIPE, progress=False)
    model, _ = build_model(
        prepared, replace(RECIPE, fusion=FusionConfig(embedding_dim=8, text=False))
    )
    assert model.inputs is not None
    start = model.inputs.nodes.get_parameter("of item.weight").detach()
    known = spectral_vectors(prepared.folds[-1][0], 8, RECIPE.seed)["item"]
    latest = [graph.events.time.max() for graph, _, _ in prepared.folds]
    assert not timed or min(latest) == latest[-1] < latest[0]
    assert torch.equal(start, known) == timed
    assert timed or start.norm(dim=1).max() < 0.2


def test_a_fold_without_a_kind_of_path_is_named(shop):
    tables = shop()
    late = pa.table(
        {"source": ["b0", "b0"], "target": ["i1", "i2"], "time": [7.0, 7.0]}
    )
    edges = {"holds": late, "made": tables.edges["made"].slice(0, 0)}
    split = TimeSplit(7, 8)(tables.with_tables(edges=edges))
    with pytest.raises(
        DataError, match=r"the graph of fold 1 has no item-bundle-item.* path"
    ):
        preparation.prepare(split, RECIPE, progress=False)
