"""What every store must refuse, and what it says."""

import pyarrow as pa
import pytest

from kg.errors import DataError
from kg.stores.base import write_tables
from tests.kg.stores.tricky import (
    edge_batch,
    make_tables,
)


@pytest.mark.parametrize(
    ("source", "target"), [("nobody", "plain0"), ("u0", "nothing")]
)
def test_an_edge_to_nowhere_is_refused_and_named(store, schema, source, target):
    write_tables(store, make_tables(schema))
    batch = edge_batch(
        ["u2", source], ["plain0", target], weight=[1.0, 1.0], time=[5.0, 5.0]
    )
    with pytest.raises(
        DataError, match=f"bought.*{'nobody' if source == 'nobody' else 'nothing'}"
    ):
        store.write_edges(schema.edge("bought"), schema, batch)
    assert store.count(schema)["bought"] == 3


def test_edges_before_any_node_are_refused(store, schema):
    batch = edge_batch(["u0"], ["plain0"], weight=[1.0], time=[5.0])
    with pytest.raises(DataError, match="no user"):
        store.write_edges(schema.edge("bought"), schema, batch)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"weight": [-1.0], "time": [1.0]}, "weight"),
        ({"weight": [1.0], "time": [float("nan")]}, "time"),
        ({}, "no column"),
    ],
)
def test_bad_edges_are_refused(store, schema, columns, says):
    write_tables(store, make_tables(schema))
    with pytest.raises(DataError, match=f"bought.*{says}"):
        store.write_edges(
            schema.edge("bought"), schema, edge_batch(["u0"], ["plain0"], **columns)
        )


def test_a_null_id_and_a_missing_column_are_refused(store, schema):
    user = schema.node("user")
    with pytest.raises(DataError, match=r"user.*null"):
        store.write_nodes(user, [pa.record_batch({"id": pa.array(["a", None])})])
    with pytest.raises(DataError, match=r"item.*no column"):
        store.write_nodes(schema.item, [pa.record_batch({"id": ["a"]})])
