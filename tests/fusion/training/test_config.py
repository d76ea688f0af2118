"""Settings of a training."""

import pytest

from fusion.training.config import TrainingConfig
from kg.errors import InputError


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
    with pytest.raises(InputError) as caught:
        TrainingConfig(**{key: value})
    assert caught.value.field == f"training.{key}"
