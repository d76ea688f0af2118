from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric

from eval.measure.protocol import evaluate
from fusion.pipeline import build_model, finish, train
from fusion.preparation import held_out, prepare
from fusion.query import Query
from fusion.query_batch import Ragged, join
from fusion.tasks.folds import FoldConfig, held_events
from fusion.tasks.next_item import NextItem
from kg.errors import DataError
from kg.schema import GraphSchema
from kg.split.last import LeaveLast
from kg.tables import Tables


def as_asked(queries, number, graph, k):
    """The query as somebody outside would put it: in ids."""
    users, items = graph.vocabs["user"], graph.vocabs["item"]
    user = int(queries.users[number])
    hand = tuple(items.key(int(row)) for row in queries.context[number])
    return Query(
        users.key(user) if user >= 0 else None, hand, queries.texts[number] or None, k
    )


def test_what_is_measured_is_what_is_served(trained):
    """The lists of Recommender.answer have the very metrics that evaluate gives their scores."""
    prepared, served = trained.prepared, trained.recommender
    recipe = replace(
        trained.recipe,
        tasks={**trained.recipe.tasks, "next": NextItem(exclude_seen=False)},
    )
    found = held_out(prepared, recipe, prepared.split.test, 0)
    assert all(len(found[name]) == 40 for name in ("baskets", "next"))
    for queries in (*found.values(), prepared.folds[0][2]):
        target = [
            prepared.graph.vocabs["item"].key(int(queries.targets[n][0]))
            for n in range(len(queries))
        ]
        lists = [
            [r.id for r in served.answer(as_asked(queries, n, prepared.graph, 42))]
            for n in range(len(queries))
        ]
        rank = np.array(
            [ids.index(wanted) + 1 for ids, wanted in zip(lists, target, strict=True)]
        )
        values = evaluate(
            {"it": served}, queries, len(served.items), ks=(10,), progress=False
        ).values["it"]
        assert np.array_equal(values["HR@10"], rank <= 10)
        assert np.allclose(
            values["NDCG@10"], np.where(rank <= 10, 1 / np.log2(rank + 1), 0)
        )
        assert np.allclose(values["MRR"], 1 / rank)


def test_validation_sees_the_recommender_that_is_kept(trainer_of, tmp_path):
    made = trainer_of(tmp_path, "training.epochs=1")
    banks = []

    def validate(model, embeddings):
        banks.append(embeddings)
        return 0.0

    made.trainer.joint.validate = validate
    made.trainer.fit(progress=False)
    embeddings = finish(made.trainer, made.prepared).embeddings
    assert all(
        torch.equal(a, b)
        for a, b in zip(banks[-1].items, embeddings.items, strict=True)
    )
    assert all(
        torch.equal(a, b)
        for a, b in zip(banks[-1].users, embeddings.users, strict=True)
    )


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


def test_weights_start_the_same_by_seed(checkerboard, trained):
    one, again, other = (
        build_model(trained.prepared, checkerboard(*o))[0]
        for o in ((), (), ("seed=1",))
    )
    names = dict(one.named_parameters())
    assert all(torch.equal(p, names[name]) for name, p in again.named_parameters())
    assert not all(torch.equal(p, names[name]) for name, p in other.named_parameters())


def test_a_training_with_nothing_to_ask_is_refused(checkerboard):
    recipe = checkerboard(
        "tasks.baskets.min_items=99", "tasks.next.draws=0", "tasks.words.limit=0"
    )
    with pytest.raises(
        DataError,
        match="the tasks baskets, next, words find nothing to ask in the training events",
    ):
        prepare(recipe.split(recipe.source.load()), recipe, progress=False)


def test_a_training_without_items_at_hand_is_warned_of(checkerboard, caplog):
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


def test_a_task_that_asks_nothing_in_training_is_named_with_what_it_needs(
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


def test_held_out_asks_are_drawn_by_seed(trained):
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


def test_the_test_is_asked_of_a_graph_that_knows_what_validation_asked_about(trained):
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


def test_a_refitted_recommender_serves_the_later_graph_by_the_same_weights(
    trainer_of, tmp_path
):
    made = trainer_of(tmp_path, "training.epochs=1", "split.refit=true")
    made.trainer.fit(progress=False)
    later = made.prepared.serving
    before = finish(made.trainer, replace(made.prepared, serving=made.prepared))
    after = finish(made.trainer, made.prepared)
    assert (
        after.snapshot.graph is later.graph
        and before.snapshot.graph is made.prepared.graph
    )
    assert after.model is before.model and after.tables is later.split.train
    assert not torch.equal(before.embeddings.users.fused, after.embeddings.users.fused)
    user = later.graph.vocabs["user"].key(
        int(held_events(later.graph, made.prepared.split.valid.events).user[0])
    )
    assert [r.score for r in before.recommend(user)] != [
        r.score for r in after.recommend(user)
    ]


def test_a_refitted_recommender_uses_no_learned_vector_that_was_never_trained(
    trainer_of, tmp_path
):
    made = trainer_of(tmp_path, "split.refit=true")
    later = made.prepared.serving
    row = int(later.graph.events.item[0])
    made.trainer.state.serving.seen_items[row] = (
        False  # as if it were taken in the validation weeks for the first time
    )
    after = finish(made.trainer, made.prepared).snapshot
    assert (
        torch.equal(after.seen_items, made.trainer.state.serving.seen_items)
        and row not in after.cold_items
    )


def test_models_of_the_same_texts_share_what_lies_under_their_tuned_layers(trained):
    prepared = replace(trained.prepared, sources={})
    (_, first), (_, second) = (
        build_model(prepared, trained.recipe),
        build_model(prepared, trained.recipe),
    )
    assert first is not None
    first.encode_all()
    _, third = build_model(prepared, trained.recipe)
    assert second is not None and third is not None
    assert (
        first._kept is not None and second._kept is None and third._kept is first._kept
    )
    assert torch.equal(third.encode_all(), first.encode_all())


def test_joined_asks_stay_themselves(trained):
    queries = [queries for _, _, queries in trained.prepared.folds]
    joined = join(queries)
    assert len(joined) == sum(map(len, queries))
    for start, part in ((0, queries[0]), (len(queries[0]), queries[1])):
        for n in range(len(part)):
            assert (
                joined.users[start + n] == part.users[n]
                and joined.texts[start + n] == part.texts[n]
            )
            assert np.array_equal(joined.context[start + n], part.context[n])
            assert np.array_equal(joined.targets[start + n], part.targets[n])
    assert joined.exclude is None


def test_what_one_task_masks_stays_masked_beside_others(trained):
    one, other = (queries for _, _, queries in trained.prepared.folds)
    masked = Ragged.of([[n % 3, 5] for n in range(len(other))])
    joined = join([one, replace(other, exclude=masked)])
    assert joined.exclude is not None and not joined.exclude.lengths[: len(one)].any()
    assert all(
        joined.exclude[len(one) + n].tolist() == [n % 3, 5] for n in range(len(other))
    )


def test_a_part_alone_has_nothing_of_the_others(trained, tmp_path):
    fabric = Fabric(accelerator="cpu", devices=1)
    recipe = replace(
        trained.recipe, training=replace(trained.recipe.training, epochs=1)
    )
    counted = replace(recipe.fusion, text=False, graph=False, bm25=False)
    alone = replace(recipe, fusion=counted)
    found, _ = train(trained.prepared, alone, tmp_path, fabric, progress=False)
    assert (
        found.model.text is None
        and found.model.gnn is None
        and found.model.head is not None
    )
    assert not found.embeddings.items.fused.any()
    assert recipe.fusion.text and trained.recommender.model.text is not None
