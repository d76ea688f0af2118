"""Months learned from times."""

import numpy as np
import pyarrow as pa
import pytest

from fusion.bundles.seasonality import months_of, seasonal
from fusion.ranking.filters import Facts
from kg.errors import DataError, InputError
from kg.graph import build_graph
from kg.sources import completejourney as source
from kg.sources.completejourney import CompleteJourney, parse


def test_days_and_weeks_become_months():
    days = np.array(["2020-01-31", "2020-02-01", "2021-12-31"], "datetime64[D]").astype(
        float
    )
    assert months_of(days).tolist() == [1, 2, 12]
    assert months_of(np.array([1.0, 4, 5, 27, 52, 53])).tolist() == [1, 1, 2, 7, 12, 12]


@pytest.mark.parametrize(
    ("time", "fault"),
    [
        ([1.5, 2, 30], "neither days since 1970 nor weeks"),
        ([np.nan, 1], "have no times"),
        ([], "have no times"),
        ([1, 2, 3], "cover 1 months; 3 are the fewest"),
    ],
)
def test_other_times_are_refused(time, fault):
    with pytest.raises(DataError, match=fault):
        months_of(np.array(time, float))


def test_what_is_bought_in_a_month_is_preferred_then(lines_of):
    lines, products = lines_of
    tables = parse(lines, products, CompleteJourney(min_purchases=1, count_until=53))
    graph = build_graph(tables)
    ice, bread = (graph.vocabs["product"].row(key) for key in ("7", "8"))
    summer, winter = (seasonal(graph, Facts(tables), month) for month in (7, 1))
    assert summer[ice] > 0.3 > 0 > summer[bread] and winter[ice] < 0 < winter[bread]
    with pytest.raises(DataError, match="nothing was taken in month 3"):
        seasonal(graph, Facts(tables), 3)
    with pytest.raises(InputError) as caught:
        seasonal(graph, Facts(tables), 13)
    assert caught.value.field == "season"


@pytest.fixture
def lines_of():
    """Ice in July, bread in January, May, July and October."""
    weeks = [*[(7, 28)] * 12, *[(8, week) for week in (2, 20, 28, 42)] * 12]
    rows = [
        (1, number, product, week, 1, 1.0)
        for number, (product, week) in enumerate(weeks)
    ]
    products = [
        (7, 1, "G", "N", "ICE", "ICE", "1 LB"),
        (8, 1, "G", "N", "BREAD", "BREAD", "1 LB"),
    ]
    made = (
        pa.table(dict(zip(names, map(list, zip(*values, strict=True)), strict=True)))
        for names, values in ((source._LINES, rows), (source._PRODUCTS, products))
    )
    return tuple(made)
