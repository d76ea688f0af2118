"""Median prices, against numpy's."""

import numpy as np
import pyarrow as pa

from kg.prices import median_prices


def test_medians_are_numpys_whatever_the_order():
    rng = np.random.default_rng(0)
    keys, paid = rng.integers(0, 9, 60).astype(str), rng.random(60)
    wanted = pa.array([*map(str, range(8)), "never"])
    found = median_prices(
        pa.chunked_array([keys]), pa.chunked_array([paid]), wanted, 3
    ).to_pylist()
    assert found == [
        round(float(np.median(paid[keys == key])), 3) for key in map(str, range(8))
    ] + [None]


def test_what_was_not_told_is_not_counted():
    keys, paid = (
        pa.chunked_array([["a", "a", "a", "b"]]),
        pa.chunked_array([[None, 2.0, float("nan"), float("inf")]]),
    )
    assert median_prices(keys, paid, pa.array(["a", "b"]), 2).to_pylist() == [2.0, None]


def test_what_costs_nothing_has_no_price():
    keys, paid = (
        pa.chunked_array([["coupon", "fuel", "tea"]]),
        pa.chunked_array([[0.0, 0.002, 0.005]]),
    )
    assert median_prices(
        keys, paid, pa.array(["coupon", "fuel", "tea"]), 3
    ).to_pylist() == [None, 0.002, 0.005]
    assert median_prices(keys, paid, pa.array(["coupon", "fuel"]), 2).to_pylist() == [
        None,
        None,
    ]


def test_nothing_at_all():
    empty = (
        pa.chunked_array([pa.array([], pa.string())]),
        pa.chunked_array([pa.array([], pa.float64())]),
    )
    assert median_prices(*empty, pa.array(["a"]), 2).to_pylist() == [None]
