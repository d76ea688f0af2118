"""Checkpoints of unfinished trainings."""

import pytest

from tests.fusion.training.watch import SHORT


def test_a_checkpoint_of_another_training_is_refused(trainer_of, tmp_path):
    trainer_of(tmp_path, *SHORT).trainer.fit(progress=False)
    with pytest.raises(
        ValueError,
        match=r"checkpoint.pt is of 12 steps, this training of 24: the data changed",
    ):
        trainer_of(tmp_path, *SHORT, "training.epochs=2").trainer.resume()
