from functools import partial

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fusion.model.inputs import encode_words
from fusion.model.losses import losses as loss_of
from fusion.pipeline import finish
from fusion.query import Constraints
from fusion.query_batch import join
from fusion.training.config import HeadConfig, TrainingConfig
from fusion.training.schedule import schedule


def sample(monkeypatch, refresh=1):
    """Let every step sample neighbourhoods, and all of them."""
    monkeypatch.setattr("fusion.training.joint.WHOLE_EDGES", 0)
    monkeypatch.setattr("fusion.training.joint.REFRESH", refresh)
    return ("fusion.fanout=[-1, -1]",)


SHORT = ("training.epochs=1", "training.validations=2")


def weights(trainer):
    return {
        name: p.detach().clone() for name, p in trainer.state.model.named_parameters()
    }


def logged(folder, name):
    events = EventAccumulator(str(folder / "logs"))
    events.Reload()
    return [e.value for e in events.Scalars(name)]


def test_the_loss_falls_and_tensorboard_has_it(trained):
    loss, retrieved = (
        logged(trained.trainer.joint.folder, f"train/{name}")
        for name in ("loss", "retrieved")
    )
    assert len(loss) == len(trained.trainer.joint.plan)
    # What is left is chance: which item of its colour it was.
    assert np.mean(loss[-10:]) < np.mean(loss[:5]) - 0.5
    assert min(retrieved) > 0.8
    assert logged(trained.trainer.joint.folder, "valid/metric") == pytest.approx(
        [r["metric"] for r in trained.history]
    )


def test_the_withheld_item_comes_first(trained):
    graph, right = trained.prepared.graph, 0
    users, items = graph.vocabs["user"], graph.vocabs["item"]
    for user, item in trained.recipe.source.withheld.items():
        had = [
            items.key(int(row))
            for row in graph.events.item[graph.events.user == users.row(user)]
        ]
        assert len(set(had)) == trained.recipe.source.items / 2 - 1 and item not in had
        right += (
            trained.recommender.recommend(
                user, k=1, where=Constraints(exclude=tuple(had))
            )[0].id
            == item
        )
    assert right >= 0.95 * len(users)


def test_equal_seeds_give_equal_weights(trainer_of, tmp_path):
    ends = []
    for number, seed in enumerate((3, 3, 4)):
        trainer = trainer_of(tmp_path / str(number), *SHORT, f"seed={seed}").trainer
        history = trainer.fit(progress=False)
        ends.append((weights(trainer), history))
    assert ends[0][1] == ends[1][1] != ends[2][1]
    assert all(torch.equal(ends[0][0][name], ends[1][0][name]) for name in ends[0][0])
    assert not all(
        torch.equal(ends[0][0][name], ends[2][0][name]) for name in ends[0][0]
    )


def test_a_resumed_training_ends_as_one_that_was_not_stopped(
    trainer_of, tmp_path, monkeypatch
):
    """Stopped after every checkpoint, in both halves of a two-step recipe, refreshes between."""
    often = (
        "training.text_refreshes=5",
        "training.validations=3",
    )
    settings = (
        *sample(monkeypatch, refresh=3),
        *often,
        "training.text_epochs=1",
        "training.epochs=1",
    )
    whole = trainer_of(tmp_path / "whole", *settings).trainer
    history = whole.fit(progress=False)
    for done in (0, 8):
        trainer = trainer_of(tmp_path / "stopped", *settings).trainer
        assert trainer.resume() == (done > 0) and trainer.state.done == done
        step = trainer.joint.step

        def killed(number, stop=done + 10, step=step):
            if number == stop:
                raise KeyboardInterrupt
            return step(number)

        trainer.joint.step = killed
        with pytest.raises(KeyboardInterrupt):
            trainer.fit(progress=False)
    trainer = trainer_of(tmp_path / "stopped", *settings).trainer
    assert (
        trainer.resume() and trainer.state.done == 16 and len(trainer.joint.plan) == 24
    )
    assert trainer.fit(progress=False) == history
    assert all(
        torch.equal(value, weights(trainer)[name])
        for name, value in weights(whole).items()
    )


def test_a_checkpoint_of_another_training_is_refused(trainer_of, tmp_path):
    trainer_of(tmp_path, *SHORT).trainer.fit(progress=False)
    with pytest.raises(
        ValueError,
        match=r"checkpoint.pt is of 12 steps, this training of 24: the data changed",
    ):
        trainer_of(tmp_path, *SHORT, "training.epochs=2").trainer.resume()


def test_it_stops_when_validation_no_longer_improves_and_keeps_the_best(
    trainer_of, tmp_path
):
    settings = (
        "training.epochs=4",
        "training.validations=8",
        "training.patience=2",
        "training.finetune_epochs=0",
    )
    trainer = trainer_of(tmp_path, *settings).trainer
    values, states = iter([0.1, 0.5, 0.4, 0.3, 0.9]), []

    def validate(model, embeddings):
        states.append(weights(trainer))
        return next(values)

    trainer.joint.validate = validate
    history = trainer.fit(progress=False)
    assert [row["metric"] for row in history] == [0.1, 0.5, 0.4, 0.3]
    assert trainer.state.done == len(trainer.joint.plan) // 2
    kept = weights(trainer)
    assert all(torch.equal(kept[name], states[1][name]) for name in kept)
    assert not all(torch.equal(kept[name], states[3][name]) for name in kept)
    assert torch.equal(
        trainer.state.texts(), trainer.state.source.encode_all()
    )  # of the best weights, not of the last


def test_fine_tuning_changes_only_what_vectors_add(trainer_of, tmp_path, monkeypatch):
    """At next to no rate and at a usual one: better on the queries set aside, all else equal."""
    kept, losses = [], []
    for rate in (1e-9, 3e-3):
        settings = (*SHORT, "training.finetune_share=0.25")
        made = trainer_of(tmp_path / str(rate), *settings)
        *before, finetune, shrinkage = made.trainer.stages
        state = made.trainer.state
        for stage in before:
            stage.run(state, progress=False)
        rated = partial(HeadConfig, lr=rate)
        with monkeypatch.context() as changed:
            changed.setattr("fusion.training.stages.HeadConfig", rated)
            for stage in (finetune, shrinkage):
                stage.run(state, progress=False)
        kept.append(weights(made.trainer))
        scored = finish(made.trainer, made.prepared).model
        fold = made.trainer.state.folds[0]
        assert fold.finetune is not None and len(fold.finetune) == round(
            0.25 * (len(fold.queries) + len(fold.finetune))
        )
        embeddings = scored.encode(fold.snapshot, made.trainer.state.texts())
        with torch.no_grad():
            words = encode_words(scored, fold.finetune, torch.device("cpu"))
            found = scored.score(
                fold.snapshot, fold.finetune, embeddings.items, embeddings.users, words
            )
            losses.append(
                float(
                    loss_of(
                        found, torch.as_tensor(fold.finetune.targets.rows), True
                    ).candidates
                )
            )
    assert losses[1] < losses[0]
    changed = {
        name
        for name in kept[0]
        if not torch.allclose(kept[0][name], kept[1][name], atol=1e-6)
    }
    assert changed and all(
        name == "log_weight" or name.startswith("head.mix.") for name in changed
    )


def test_the_schedule_asks_everything_once_an_epoch():
    steps = list(schedule([10, 7], 3, 2, seed=0))
    assert len(steps) == 2 * (3 + 2)
    for epoch in (steps[:5], steps[5:]):
        for fold, count in ((0, 9), (1, 6)):
            asked = np.concatenate(
                [chosen for number, chosen in epoch if number == fold]
            )
            assert (
                len(asked) == len(set(asked)) == count
            )  # a short last batch is left out
    again = list(schedule([10, 7], 3, 2, seed=0))
    assert all(
        a[0] == b[0] and (a[1] == b[1]).all() for a, b in zip(steps, again, strict=True)
    )
    assert [len(chosen) for _, chosen in schedule([2, 0], 3, 1, seed=0)] == [2]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", -1),
        ("batch", 0),
        ("accumulate", 0),
        ("lr", 0.0),
        ("text_budget", -2),
        ("head_limit", -1),
    ],
)
def test_settings_that_make_no_sense_are_refused(key, value):
    with pytest.raises(ValueError, match=f"training.{key} must be"):
        TrainingConfig(**{key: value})


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_what_is_set_aside_for_settling_is_not_in_the_joint_training(
    trainer_of, tmp_path, share
):
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
