"""Settings of the model."""

import pytest

from fusion.model.config import FusionConfig


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"text": False, "graph": False, "paths": False}, "at least one"),
        ({"fuse": "glue"}, "one of gate, concatenation, sum"),
        ({"embedding_dim": 0}, "fusion.embedding_dim"),
        ({"candidates_per_path": 0}, "fusion.candidates_per_path"),
    ],
)
def test_invalid_settings_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        FusionConfig(**wrong)
