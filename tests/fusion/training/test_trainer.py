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
from fusion.training.checkpoint import CHECKPOINT
from fusion.training.config import HeadConfig, TrainingConfig
from fusion.training.schedule import schedule

# Nothing drawn by chance but the order of the queries: the same loss and gradient however a batch
# is cut up.
CERTAIN = (
    "fusion.modality_drop=0",
    "fusion.head_dropout=0",
    "training.text_budget=-1",
)


@pytest.fixture
def certain(monkeypatch):
    monkeypatch.setattr("fusion.model.hybrid.ID_DROP", 0.0)
    monkeypatch.setattr("fusion.training.joint.CONTEXT_TEXTS", -1)
    return CERTAIN


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


def gradients(trainer):
    return {
        name: p.grad.clone()
        for name, p in trainer.state.model.named_parameters()
        if p.grad is not None
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


def test_in_two_steps_the_texts_stay_once_their_half_is_tuned(trainer_of, tmp_path):
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


def test_what_the_language_half_alone_reached_is_not_the_best_run(trainer_of, tmp_path):
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


def test_a_gradient_that_is_no_number_stops_the_training(trainer_of, tmp_path):
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


def test_a_part_that_is_switched_off_is_not_trained(trainer_of, tmp_path):
    for part, absent in (("text", "text."), ("graph", "gnn."), ("paths", "head.")):
        trainer = trainer_of(tmp_path, *SHORT, f"fusion.{part}=false").trainer
        assert trainer.fit(progress=False)[-1]["loss"] > 0
        assert not [name for name in weights(trainer) if name.startswith(absent)]


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
