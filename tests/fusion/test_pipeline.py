"""From prepared data to a trained recommender."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric

from eval.measure.protocol import evaluate
from fusion.pipeline import build_model, finish, train
from fusion.preparation import held_out
from fusion.query import Query
from fusion.query_batch import join
from fusion.tasks.folds import held_events
from fusion.tasks.next_item import NextItem


def as_asked(queries, number, graph, k):
    """The query as somebody outside would put it: in ids."""
    users, items = graph.vocabs["user"], graph.vocabs["item"]
    user = int(queries.users[number])
    hand = tuple(items.key(int(row)) for row in queries.context[number])
    return Query(
        users.key(user) if user >= 0 else None, hand, queries.texts[number] or None, k
    )


def test_evaluation_measures_the_served_answers(trained):
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


def test_weights_start_the_same_by_seed(checkerboard, trained):
    one, again, other = (
        build_model(trained.prepared, checkerboard(*o))[0]
        for o in ((), (), ("seed=1",))
    )
    names = dict(one.named_parameters())
    assert all(torch.equal(p, names[name]) for name, p in again.named_parameters())
    assert not all(torch.equal(p, names[name]) for name, p in other.named_parameters())


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


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_finetuning_queries_are_not_in_the_joint_training(trainer_of, tmp_path, share):
    made = trainer_of(tmp_path, f"training.finetune_share={share}")
    for fold, (_, _, queries) in zip(
        made.trainer.state.folds, made.prepared.folds, strict=True
    ):
        kept = 0 if fold.finetune is None else len(fold.finetune)
        assert kept == round(share * len(queries)) and len(fold.queries) + kept == len(
            queries
        )
        both = (
            fold.queries
            if fold.finetune is None
            else join([fold.queries, fold.finetune])
        )
        assert sorted(both.targets.rows) == sorted(queries.targets.rows)
    assert sum(len(chosen) for _, chosen in made.trainer.joint.plan) <= 6 * sum(
        len(f.queries) for f in made.trainer.state.folds
    )
