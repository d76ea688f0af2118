"""Settings of a training."""

import pytest

from fusion.training.config import TrainingConfig


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
def test_invalid_settings_are_refused(key, value):
    with pytest.raises(ValueError, match=f"training.{key} must be"):
        TrainingConfig(**{key: value})
