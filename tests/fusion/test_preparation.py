"""Queries drawn for training and held out for evaluation."""

from dataclasses import replace

import numpy as np
import pytest

from fusion.preparation import held_out, prepare
from fusion.tasks.folds import FoldConfig, held_events
from fusion.tasks.next_item import NextItem
from kg.errors import DataError
from kg.schema import GraphSchema
from kg.split.last import LeaveLast
from kg.tables import Tables


def test_preparing_is_the_same_by_seed(checkerboard):
    one, again, other = (
        prepare(recipe.split(recipe.source.load()), recipe, progress=False)
        for recipe in (checkerboard(), checkerboard(), checkerboard("seed=1"))
    )
    assert one.split.fingerprint == again.split.fingerprint == other.split.fingerprint
    targets = [
        np.concatenate([queries.targets.rows for _, _, queries in p.folds])
        for p in (one, again, other)
    ]
    assert np.array_equal(targets[0], targets[1]) and not np.array_equal(
        targets[0], targets[2]
    )


def test_a_training_without_queries_is_refused(checkerboard):
    recipe = checkerboard(
        "tasks.baskets.min_items=99", "tasks.next.draws=0", "tasks.words.limit=0"
    )
    with pytest.raises(
        DataError,
        match="the tasks baskets, next, words find nothing to ask in the training events",
    ):
        prepare(recipe.split(recipe.source.load()), recipe, progress=False)


def test_a_training_without_context_items_is_warned_of(checkerboard, caplog):
    recipe = checkerboard("tasks.baskets.min_items=99", "folds.count=1")
    recipe = replace(
        recipe, tasks={n: task for n, task in recipe.tasks.items() if n != "baskets"}
    )
    split = recipe.split(recipe.source.load())
    prepare(split, recipe, progress=False)
    assert caplog.messages == [
        "warning: no training query has context items, so what is answered to some is a guess; "
        "BasketCompletion has such queries, and NextItem with history"
    ]
    caplog.clear()
    prepare(
        split,
        replace(recipe, tasks={"next": NextItem(exclude_seen=False, history=2)}),
        progress=False,
    )
    assert not caplog.text


def test_a_task_without_training_queries_is_named_with_what_it_needs(
    checkerboard, caplog
):
    recipe = checkerboard("folds.count=1")
    tables = recipe.source.load()
    schema = tables.schema.to_dict()
    (colour,) = (node for node in schema["nodes"] if node["name"] == "colour")
    assert prepare(recipe.split(tables), recipe, progress=False) and not caplog.text
    del colour["text"]
    prepare(
        recipe.split(Tables(GraphSchema.from_dict(schema), tables.nodes, tables.edges)),
        recipe,
        progress=False,
    )
    (said,) = caplog.messages
    assert said.startswith(
        "warning: the task words finds nothing to ask in training and is left out; "
        "AttributeSearch needs items"
    )
    assert "`text`" in said


def test_held_out_queries_are_drawn_by_seed(trained):
    prepared, recipe = trained.prepared, trained.recipe
    few, again = (
        held_out(prepared, recipe, prepared.split.test, 10)["baskets"] for _ in range(2)
    )
    other = held_out(prepared, replace(recipe, seed=1), prepared.split.test, 10)[
        "baskets"
    ]
    assert (
        len(few) == 10
        and np.array_equal(few.groups, again.groups)
        and not np.array_equal(few.groups, other.groups)
    )
    every = held_out(prepared, recipe, prepared.split.test, 0)["baskets"]
    assert set(few.groups) < set(every.groups)


def test_test_queries_know_the_validation_events(trained):
    tasks = {"next": NextItem(exclude_seen=False, history=4)}
    recipe = replace(
        trained.recipe,
        split=LeaveLast(),
        tasks=tasks,
        folds=FoldConfig(count=1, length=1.0),
    )
    prepared = prepare(recipe.split(recipe.source.load()), recipe, progress=False)
    later, graph = prepared.serving, prepared.graph
    late = held_events(graph, prepared.split.valid.events)

    def latest(user, *parts):
        taken = sorted(
            (t, i)
            for e in parts
            for u, i, t in zip(e.user, e.item, e.time, strict=True)
            if u == user
        )
        return list(dict.fromkeys(int(item) for _, item in reversed(taken)))[:4][::-1]

    differ = 0
    for known, held, parts in (
        (prepared, prepared.split.valid, [graph.events]),
        (later, later.split.test, [graph.events, late]),
    ):
        queries = held_out(known, recipe, held, 0)["next"]
        for b in range(len(queries)):
            own, target = latest(queries.users[b], *parts), queries.targets[b].item()
            assert queries.context[b].tolist() == own and target not in own
            differ += own != latest(queries.users[b], graph.events)
    assert differ
    assert len(graph.events) == prepared.counts.item["popularity"].sum()
    assert (
        len(graph.events) + len(late)
        == len(later.graph.events)
        == later.counts.item["popularity"].sum()
    )
    same = trained.prepared  # its split says nothing of the kind
    assert same.serving.graph is same.graph and same.serving.split is same.split
