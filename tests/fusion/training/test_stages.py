"""What each stage changes."""

from functools import partial

import torch

from fusion.model.inputs import encode_words
from fusion.model.losses import losses as loss_of
from fusion.pipeline import finish
from fusion.training.config import HeadConfig
from tests.fusion.training.watch import SHORT, weights


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
