"""Slices of the queries."""

from __future__ import annotations

import numpy as np
import pytest

from eval.slices import slices_of
from fusion.query_batch import QueryBatch, Ragged


def test_crossing_over_needs_a_known_value_on_both_sides(trained):
    prepared = trained.prepared
    item = prepared.graph.vocabs["item"].row
    hands = [["i000", "i002"], ["i000", "i001"], ["i001"], []]
    hand = Ragged.of([[item(i) for i in row] for row in hands])
    targets = Ragged.of(
        [[item("i003")], [item("i003")], [item("i003")], [item("i003")]]
    )
    queries = QueryBatch(np.full(4, -1), hand, ("",) * 4, targets, np.arange(4))
    assert slices_of(prepared, queries, "has_colour")["cross-category"].tolist() == [
        True,
        False,
        False,
        False,
    ]
    assert "cross-category" not in slices_of(prepared, queries)
    with pytest.raises(ValueError, match="no relation 'nosuch'"):
        slices_of(prepared, queries, "nosuch")
