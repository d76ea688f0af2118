"""Steps and stops of the joint training."""

import numpy as np
import pytest
import torch

from fusion.training.checkpoint import CHECKPOINT
from tests.fusion.training.watch import SHORT, gradients, logged, sample, weights


def test_early_stopping_keeps_the_best_weights(trainer_of, tmp_path):
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


@pytest.mark.parametrize("sampled", [False, True], ids=["whole", "sampled"])
def test_a_batch_in_parts_gives_the_same_loss_and_gradient(
    trainer_of, tmp_path, certain, monkeypatch, sampled
):
    """The loss alone where sampled: a part carries no gradient to other parts' items there."""
    monkeypatch.setattr("fusion.training.joint.CLIP", 1e9)
    mode = sample(monkeypatch) if sampled else ()
    found = []
    for parts in (1, 3):
        trainer = trainer_of(
            tmp_path,
            *certain,
            *mode,
            f"training.accumulate={parts}",
        ).trainer
        assert trainer.joint.step_module.whole == (not sampled)
        trainer.stages[0].run(trainer.state, False)
        trainer.joint.refresh(texts=True)
        found.append((trainer.joint.step(0), gradients(trainer)))
    (loss, one), (again, three) = found
    assert again == pytest.approx(loss, rel=1e-5)
    assert one.keys() == three.keys()
    for name, gradient in one.items() if not sampled else ():
        assert torch.allclose(gradient, three[name], rtol=1e-3, atol=1e-6), name


def test_sampling_all_neighbours_is_the_whole_graph(
    trainer_of, tmp_path, certain, monkeypatch
):
    """The loss is the same; of the gradient, sampling carries the queries' items and users only."""
    found = []
    for sampled in (False, True):
        mode = sample(monkeypatch) if sampled else ()
        trainer = trainer_of(tmp_path, *certain, *mode).trainer
        trainer.stages[0].run(trainer.state, False)
        trainer.joint.refresh(texts=True)
        found.append(trainer.joint.step(0)["loss"])
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_a_step_starts_from_no_gradient(trainer_of, tmp_path, certain):
    """The second step's gradient is that of a trainer which starts with the first one's weights."""
    options = (
        *certain,
        "training.lr=1e-30",
        "training.lr_text=1e-30",
        "training.weight_decay=0",
    )
    trainer = trainer_of(tmp_path, *options).trainer
    trainer.joint.step(0)
    trainer.joint.step(1)
    other = trainer_of(tmp_path, *options).trainer
    other.joint.step(1)
    for name, gradient in gradients(other).items():
        assert torch.allclose(gradient, gradients(trainer)[name], atol=1e-6), name


def test_texts_stay_once_the_text_epochs_are_over(trainer_of, tmp_path):
    trainer = trainer_of(
        tmp_path,
        "training.text_epochs=1",
        "training.epochs=1",
        "training.validations=4",
    ).trainer
    texts, rest = [], []

    def validate(model, embeddings):
        texts.append(trainer.state.source.encode_all())
        rest.append(weights(trainer)["gate.linear.weight"])
        return float(len(texts))

    start = trainer.state.source.encode_all()
    trainer.joint.validate = validate
    trainer.fit(progress=False)
    assert trainer.joint.text_steps == len(trainer.joint.plan) // 2
    assert not torch.equal(start, texts[0]) and not torch.equal(texts[0], texts[1])
    assert torch.equal(texts[1], texts[2]) and torch.equal(texts[2], texts[3])
    assert torch.equal(rest[0], rest[1]) and not torch.equal(rest[1], rest[2])
    for fold in trainer.state.folds:
        assert torch.allclose(fold.embeddings.text, texts[3], atol=1e-6)


def test_validations_of_the_text_epochs_are_not_the_best(trainer_of, tmp_path):
    """Falling validations: those of the first step are neither kept nor stop the second."""
    settings = (
        "training.text_epochs=2",
        "training.epochs=1",
        "training.validations=6",
        "training.patience=1",
    )
    trainer = trainer_of(tmp_path, *settings).trainer
    values = iter(range(100, 0, -1))
    trainer.joint.validate = lambda model, embeddings: float(next(values))
    history = trainer.fit(progress=False)
    assert trainer.state.done > trainer.joint.text_steps
    kept = next(
        row["metric"] for row in history if row["step"] > trainer.joint.text_steps
    )
    assert trainer.joint.best == kept < history[0]["metric"]


def test_mixed_precision_trains_and_keeps_the_texts_up_to_date(trainer_of, tmp_path):
    trainer = trainer_of(
        tmp_path, "training.epochs=2", "training.precision=bf16-mixed"
    ).trainer
    before = [fold.embeddings.text.clone() for fold in trainer.state.folds]
    trainer.stages[0].run(trainer.state, False)
    assert trainer.joint.step(0)["loss"] > 0
    changed = [
        not torch.equal(old, fold.embeddings.text)
        for old, fold in zip(before, trainer.state.folds, strict=True)
    ]
    assert sum(changed) == 1  # that of the step's fold
    trainer.fit(progress=False)
    loss = logged(tmp_path, "train/loss")
    assert np.mean(loss[-5:]) < np.mean(loss[:5])
    assert all(p.dtype == torch.float32 for p in trainer.state.model.parameters())


def test_a_gradient_that_is_not_finite_stops_the_training(trainer_of, tmp_path):
    trainer = trainer_of(tmp_path, *SHORT).trainer
    trainer.state.model.gate.linear.bias.register_hook(
        lambda gradient: gradient * torch.nan
    )
    before = weights(trainer)
    with pytest.raises(
        FloatingPointError,
        match=r"the gradient is not finite at step 0; lower training.lr",
    ):
        trainer.fit(progress=False)
    after = weights(trainer)
    assert {n for n, value in before.items() if not torch.equal(value, after[n])} == {
        n
        for n in before
        if n.startswith("head.net.")  # which learnt the counts before the first step
    }
    assert not (tmp_path / CHECKPOINT).exists()
