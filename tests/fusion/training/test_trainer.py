"""Whole trainings of the checkerboard."""

import numpy as np
import pytest
import torch

from fusion.query import Constraints
from tests.fusion.training.watch import SHORT, logged, sample, weights


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


def test_a_resumed_training_ends_as_an_uninterrupted_one(
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


def test_every_part_that_is_tuned_learns(trainer_of, tmp_path):
    trainer = trainer_of(tmp_path, *SHORT).trainer
    before = weights(trainer)
    trainer.fit(progress=False)
    after = weights(trainer)
    for part in (
        "text.model.encoder.layer.1.",
        "text.projection",
        "inputs",
        "gnn",
        "gate",
        "context",
        "head",
    ):
        moved = [
            not torch.equal(before[name], after[name])
            for name in before
            if name.startswith(part)
        ]
        assert moved and any(moved), part
    for name in before:
        if name.startswith(("text.model.embeddings", "text.model.encoder.layer.0.")):
            assert torch.equal(before[name], after[name]), name


def test_a_part_that_is_switched_off_is_not_trained(trainer_of, tmp_path):
    for part, absent in (("text", "text."), ("graph", "gnn."), ("paths", "head.")):
        trainer = trainer_of(tmp_path, *SHORT, f"fusion.{part}=false").trainer
        assert trainer.fit(progress=False)[-1]["loss"] > 0
        assert not [name for name in weights(trainer) if name.startswith(absent)]
