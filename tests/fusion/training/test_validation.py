"""The validation metric is the protocol's own, over the recipe's validation queries."""

from dataclasses import replace

import pytest

from eval.measure.protocol import evaluate
from fusion.pipeline import make_trainer
from fusion.preparation import held_out, validation_queries
from fusion.training.validation import ValidationMetric
from kg.errors import InputError


def metric_of(trained, name, queries):
    prepared = trained.prepared
    serving, tables = trained.trainer.state.serving, prepared.split.train
    return ValidationMetric(name, queries, serving, tables, prepared.counts)


def test_it_is_what_evaluation_measures(trained):
    prepared, recipe = trained.prepared, trained.recipe
    queries = validation_queries(prepared, recipe, 0)
    of_task = held_out(prepared, recipe, prepared.split.valid, 0)["baskets"]
    assert (queries.targets.rows == of_task.targets.rows).all()
    scores = evaluate(
        {"it": trained.recommender}, queries, 42, ks=(3, 10), progress=False
    ).means()["it"]
    for name in ("NDCG@10", "HR@3", "Recall@3", "MRR"):
        assert metric_of(trained, name, queries).of(trained.recommender) == scores[name]
    few = validation_queries(prepared, recipe, 5)
    assert len(few) == 5
    assert metric_of(trained, "MRR", few).of(trained.recommender) != scores["MRR"]


def test_every_stop_is_measured_on_queries_drawn_once(trainer_of, tmp_path):
    made = trainer_of(tmp_path, "training.epochs=1", "training.validations=2")
    validate, seen = made.trainer.joint.validate, []
    metric = validate.metric

    def watched(found, targets):
        seen.append((targets, metric(found, targets)))
        return seen[-1][1]

    validate.metric = watched
    history = made.trainer.fit(progress=False)
    assert len(seen) == len(history) == 2 and seen[0][0] is seen[1][0]
    assert [row["metric"] for row in history] == [value.mean() for _, value in seen]


def test_a_first_task_that_holds_nothing_out_is_named(trained, tmp_path):
    # All new items are in training.
    recipe = replace(trained.recipe, tasks={"next": trained.recipe.tasks["next"]})
    fabric = trained.trainer.state.fabric
    with pytest.raises(InputError, match="'next'") as error:
        make_trainer(trained.prepared, recipe, tmp_path, fabric, progress=False)
    assert error.value.field == "tasks"
