"""Times are numbers; what people could take for something else is said."""

import numpy as np
import pytest

from kg.times import span_of


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ([], "none"),
        ([0.5, 3.0], "0.5 to 3"),
        ([19737.0, 19797.0], "19737 to 19797 (2024-01-15 to 2024-03-15)"),
        (
            [20240131.0, 20241231.0],
            "20240131 to 20241231, dates written as numbers, which are no days: make "
            "them dates (2024-12-31)",
        ),
        ([20240131.0, 20241301.0], "20240131 to 20241301"),
        ([20240131.0, 20241232.0], "20240131 to 20241232"),
        ([20240131.0, 20241231.5], "20240131 to 20241231.5"),
        ([1.7e9, 1.8e9], "1700000000 to 1800000000"),
    ],
)
def test_a_span_of_times(times, told):
    assert span_of(np.array(times)) == told
