"""Purchases become edges of the graph, once; what the store refuses does not hold up the rest."""

import logging

import pyarrow as pa
import pyarrow.compute as pc

from kg.errors import DataError
from kg.schema import GraphSchema
from kg.stores.base import write_tables
from kg.stores.open import open_store
from kg.tables import Tables, Vocab
from serve.feedback.events import Event
from serve.feedback.purchases import Known, Purchase


def in_bundles(tables):
    """The same graph, in which users take items in bundles only."""
    edges = [
        edge for edge in tables.schema.to_dict()["edges"] if edge["name"] != "bought"
    ]
    schema = GraphSchema.from_dict({**tables.schema.to_dict(), "edges": edges})
    return Tables(
        schema, tables.nodes, {n: t for n, t in tables.edges.items() if n != "bought"}
    )


def warnings_of(caplog):
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno == logging.WARNING
    ]


def test_purchases_become_edges_once(events, shop, tmp_path):
    tables = shop()
    known = Known(
        Vocab([f"u{n}" for n in range(6)]), Vocab([f"i{n}" for n in range(14)]), 5.0
    )
    events.add(
        [
            Event("u0", "i13", "purchase", 86_400.0),
            Event("u1", "i13", "view", 1.0),
            Event("u9", "i1", "purchase", 1.0),
            Event("u1", "nothing", "purchase", 1.0),
        ]
    )
    with open_store(str(tmp_path / "graph.duckdb"), create=True) as store:
        write_tables(store, tables)
        before = store.count(tables.schema)["bought"]
        assert events.write_out(store, tables.schema, known) == 4
        assert events.write_out(store, tables.schema, known) == 0
        assert store.count(tables.schema)["bought"] == before + 1
        rows = pa.Table.from_batches(
            list(store.read_edges(tables.schema.edge("bought"), tables.schema))
        ).to_pylist()
        assert {"source": "u0", "target": "i13", "time": 5.0} in rows


def test_purchases_become_bundles_where_users_take_bundles(events, shop, tmp_path):
    tables = in_bundles(shop())
    schema = tables.schema
    known = Known(Vocab(["u0"]), Vocab(["i12", "i13"]), 19_000.0)  # days since 1970
    events.add(
        [Event("u0", item, "purchase", 20_000 * 86_400.0) for item in ("i12", "i13")]
    )
    with open_store(str(tmp_path / "graph.duckdb"), create=True) as store:
        write_tables(store, tables)
        before = store.count(schema)
        events.write_out(store, schema, known)
        after = store.count(schema)
        assert {
            name: after[name] - before[name]
            for name in after
            if after[name] != before[name]
        } == {
            "bundle": 1,
            "holds": 2,
            "made": 1,
        }
        rows = pa.Table.from_batches(
            list(store.read_edges(schema.edge("made"), schema))
        ).to_pylist()
        assert 20_000.0 in [row["time"] for row in rows]


def test_a_graph_with_a_clock_of_days_goes_on_and_one_with_its_own_does_not():
    rows = [
        Purchase(1, "u", "i", 20_000 * 86_400.0),
        Purchase(2, "u", "i", 20_001.5 * 86_400),
    ]
    times = [
        Known(Vocab(["u"]), Vocab(["i"]), last)
        .purchases(rows, 20_001.0)["time"]
        .to_pylist()
        for last in (19_990.0, 52.0, float("nan"))
    ]
    assert times == [[20_000.0, 20_001.0], [52.0, 52.0], [0.0, 0.0]]


def test_what_is_no_longer_in_the_store_does_not_hold_up_the_rest(
    events, shop, tmp_path, caplog
):
    tables = in_bundles(shop())
    known = Known(Vocab(["u0", "u1", "left"]), Vocab(["i12", "i13", "delisted"]), 5.0)
    did = [
        ("u0", "delisted"),
        ("u1", "i12"),
        ("u1", "delisted"),
        ("left", "i12"),
        ("u0", "i13"),
    ]
    events.add(
        [
            Event(user, item, "purchase", 10.0 * (user == "u1") + (item == "i13"))
            for user, item in did
        ]
    )
    with open_store(str(tmp_path / "graph.duckdb"), create=True) as store:
        write_tables(store, tables)
        before = store.count(tables.schema)
        assert events.write_out(store, tables.schema, known) == 5
        after = store.count(tables.schema)
        assert {
            name: after[name] - before[name]
            for name in after
            if after[name] != before[name]
        } == {
            "bundle": 2,
            "holds": 2,
            "made": 2,
        }
        assert (events.waiting(), events.refused()) == (0, 3)
        assert events.write_out(store, tables.schema, known) == 0
        assert warnings_of(caplog) == [
            "refused by the graph store: it has no such user (events 4)",
            "refused by the graph store: it has no such item (events 1, 3)",
        ]
        item = tables.schema.item
        back = pa.table(
            {
                "id": ["delisted"],
                **{name: pa.nulls(1, pa.string()) for name in item.columns},
            }
        )
        store.write_nodes(item, back.to_batches())
        events.retry()
        assert events.write_out(store, tables.schema, known) == 3
        assert (events.waiting(), events.refused()) == (0, 1)


def test_a_purchase_that_a_store_will_not_have_is_found(
    events, shop, tmp_path, caplog, monkeypatch
):
    tables = shop()
    known = Known(Vocab(["u0"]), Vocab([f"i{n}" for n in range(14)]), 99.0)
    events.add([Event("u0", f"i{n}", "purchase", 1.0) for n in range(7)])
    with open_store(str(tmp_path / "graph.duckdb"), create=True) as store:
        write_tables(store, tables)
        write_edges = store.write_edges

        def picky(edge, schema, batches):
            if any({"i2", "i5"} & {*batch["target"].to_pylist()} for batch in batches):
                raise DataError("not these")
            return write_edges(edge, schema, batches)

        monkeypatch.setattr(store, "write_edges", picky)
        assert events.write_out(store, tables.schema, known) == 7
        assert (events.waiting(), events.refused()) == (0, 2)
        assert warnings_of(caplog) == [
            "refused by the graph store: not these (events 3, 6)"
        ]
        rows = pa.Table.from_batches(
            list(store.read_edges(tables.schema.edge("bought"), tables.schema))
        ).to_pylist()
        bought = {
            row["target"]
            for row in rows
            if row["source"] == "u0" and row["time"] == 99.0
        }
        assert bought == {"i0", "i1", "i3", "i4", "i6"}


def test_health_and_metrics_tell_what_waits_and_what_was_refused(
    serving, trained, tmp_path, monkeypatch
):
    graph = tmp_path / "graph.duckdb"
    api = serving(graph=str(graph), fold_minutes=0)
    state = api.app.state.held
    bought = [
        {"user": "u000", "item": item, "kind": "purchase"} for item in ("i001", "i003")
    ]
    api.post("/v1/events", json={"events": bought})
    state.count()
    assert api.get("/health/ready").json()["queue"] == {"waiting": 2, "refused": 0}
    assert "trousseau_events_waiting 2.0" in api.get("/metrics").text
    tables = trained.recommender.tables
    schema, item = tables.schema, tables.schema.item
    kept = tables.nodes[item.name].filter(
        pc.not_equal(tables.nodes[item.name]["id"], "i003")
    )
    with open_store(str(graph), create=True) as store:
        store.write_schema(schema)
        for node in schema.nodes:
            store.write_nodes(
                node, (kept if node == item else tables.nodes[node.name]).to_batches()
            )
    state.write_out()
    assert api.get("/health/ready").json()["queue"] == {"waiting": 0, "refused": 1}
    told = api.get("/metrics").text
    assert (
        "trousseau_events_waiting 0.0" in told
        and "trousseau_events_refused 1.0" in told
    )
    monkeypatch.setattr(state.events, "write_out", lambda *_: 1 // 0)
    assert state.write_out() == 0  # whatever goes wrong, it is tried again
