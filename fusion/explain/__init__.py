"""Explanations: paths from a query to an item, and how much of the score each carries."""
