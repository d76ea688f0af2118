"""Prices of the small shop's items."""

PRICES = [3.0, 1.0, None, 4.0, 2.0, 5.0, 1.0, 9.0, 2.0, 6.0, None, 3.0, 5.0, 8.0]
