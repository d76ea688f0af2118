"""Later events are known without training: as if they were in the counted and encoded graph."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
import torch

from fusion.model.snapshot import GraphSnapshot
from fusion.query import Query
from fusion.ranking.event_tables import as_tables, bundle_id
from fusion.recommender import Recommender
from fusion.runs import artifacts
from fusion.runs.folder import finished, new_run
from kg.errors import DataError
from kg.graph import build_graph
from kg.metapaths.count import count_paths

BLACK, WHITE = ([f"i{n:03d}" for n in range(colour, 40, 2)] for colour in (0, 1))
COLD = "i040"  # nobody took it in training


def events(*rows, **more):
    """(user, item, time) each."""
    user, item, time = zip(*rows, strict=True)
    return pa.table(
        {"user": user, "item": item, "time": pa.array(time, pa.float64()), **more}
    )


def ids(found):
    return [one.id for one in found]


def matrices(counts):
    attributes = {
        f"{a.name} {p}": getattr(a, p)
        for a in counts.attributes
        for p in ("items", "users", "together")
    }
    return {**counts.user_item, **counts.item_item, **attributes}


def test_the_counts_are_those_of_a_graph_with_the_events(served, trained):
    did = events(("u003", "i002", 3.0), ("u003", "i004", 3.0), ("u005", "i006", 3.5))
    more = served.with_events(did)
    tables = served.tables
    bundles, edges = as_tables(tables.schema, did)
    assert len(bundles["basket"]) == 2  # what a user took at one moment is one basket
    tables = tables.with_tables(
        {n: pa.concat_tables([tables.nodes[n], t]) for n, t in bundles.items()},
        {
            n: pa.concat_tables(
                [tables.edges[n], t.select(tables.edges[n].column_names)]
            )
            for n, t in edges.items()
        },
    )
    wanted = count_paths(build_graph(tables), trained.recipe.paths)
    assert more.counts.config == trained.recipe.paths
    assert list(matrices(more.counts)) == list(matrices(wanted))
    for name, matrix in matrices(wanted).items():
        assert (matrix != matrices(more.counts)[name]).nnz == 0, name
    for kind in ("item", "user"):
        for name, values in getattr(wanted, kind).items():
            assert np.array_equal(values, getattr(more.counts, kind)[name])
    # And so are the vectors, by the same weights.
    config, texts = served.model.config, trained.prepared.texts
    snapshot = GraphSnapshot(
        build_graph(tables),
        wanted,
        texts,
        config,
        served.snapshot.device,
    )
    embeddings = served.model.encode(snapshot, served.embeddings.text)
    assert np.allclose(more.embeddings.items.fused, embeddings.items.fused, atol=1e-5)
    assert np.allclose(more.embeddings.users.fused, embeddings.users.fused, atol=1e-5)
    assert not np.allclose(
        more.embeddings.users.fused, served.embeddings.users.fused, atol=1e-3
    )


def test_a_user_who_turns_is_answered_so(served):
    before = served.recommend("u003", k=1)
    assert ids(before)[0] in WHITE
    more = served.with_events(
        events(*(("u003", item, 9.0 + n) for n, item in enumerate(BLACK[:12])))
    )
    assert ids(more.recommend("u003", k=1))[0] in BLACK
    assert served.recommend("u003", k=1) == before  # the old one stays as it is


def test_a_new_user_gets_answers_of_their_own(served):
    assert served.recommend("anna") == served.answer(Query())
    more = served.with_events(
        events(*(("anna", item, 3.0) for item in BLACK[:4]), ("bert", "i001", 3.0))
    )
    assert set(ids(more.recommend("anna", k=5))) <= set(BLACK)
    assert set(ids(more.recommend("bert", k=5))) <= set(WHITE)
    assert (
        len(more.snapshot.graph.vocabs["user"])
        == len(served.snapshot.graph.vocabs["user"]) + 2
    )
    again = more.with_events(events(("anna", "i010", 3.5)))
    assert again.snapshot.users == more.snapshot.users


def test_what_is_in_the_graph_already_changes_nothing(served):
    did = events(("u003", "i002", 3.0), ("u003", "i002", 3.0))
    more = served.with_events(did)
    assert (
        more.counts.item["popularity"].sum()
        == served.counts.item["popularity"].sum() + 1
    )
    assert more.with_events(did) is more
    assert served.with_events(did.slice(0, 0)) is served


def test_an_item_first_taken_now_brings_no_vector_that_was_never_trained(
    served, monkeypatch
):
    row = served.items.row(COLD)
    assert not served.snapshot.seen_items[row]
    more = served.with_events(events(("u002", COLD, 3.0)))
    assert not more.snapshot.seen_items[row] and row not in more.snapshot.cold_items
    own = served.model.inputs.nodes.get_parameter("of item.weight")
    before = own.data.clone()
    own.data[row] += 100.0
    loud = served.with_events(events(("u002", COLD, 3.0)))
    own.data.copy_(before)
    assert np.array_equal(loud.embeddings.items.fused, more.embeddings.items.fused)
    wider = more.add_items(pa.table({"id": ["newest"], "title": ["white chair"]}))
    assert (
        torch.equal(wider.snapshot.seen_items[:-1], served.snapshot.seen_items)
        and not wider.snapshot.seen_items[-1]
    )


def test_texts_are_not_encoded_again(served, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a known text was encoded")

    with monkeypatch.context() as patched:
        patched.setattr(type(served.model.text), "encode_table", refuse)
        more = served.with_events(events(("new", "i002", 3.0)))
    assert more.embeddings.text is not served.embeddings.text and np.array_equal(
        more.embeddings.text, served.embeddings.text
    )


def test_dates_are_times_too(served):
    did = {"user": ["u003"], "item": BLACK[:1]}
    dated, timed = (
        served.with_events(
            pa.table({**did, "time": pa.array([when], kind)})
        ).snapshot.graph.events.time[-1]
        for when, kind in ((date(2024, 12, 31), pa.date32()), (20088.0, pa.float64()))
    )
    assert dated == timed == 20088
    day = pa.array([date(2024, 12, 31)])
    named = served.with_events(
        pa.table({**did, "time": day, "bundle": day})
    )  # an id may look like a date
    assert "2024-12-31" in named.tables.nodes["basket"]["id"].to_pylist()


def test_without_times_it_happened_just_now_and_bundles_may_be_named(served):
    untimed = pa.table(
        {"user": ["u003"] * 3, "item": BLACK[:3], "bundle": ["x", "x", "y"]}
    )
    more = served.with_events(untimed)
    graph, known = more.snapshot.graph, len(served.snapshot.graph.events)
    assert set(graph.events.time[known:]) <= {served.snapshot.graph.events.time.max()}
    assert graph.vocabs["basket"].ids.to_pylist()[-2:] == ["x", "y"]
    assert bundle_id("u1", 3.0) != bundle_id("u1", 3.5) != bundle_id("u2", 3.5)


def test_it_is_saved_with_the_run(served, trained, tmp_path):
    more = served.with_events(events(("anna", "i002", 3.0), ("anna", "i004", 3.0)))
    with new_run(tmp_path, "more") as folder:
        artifacts.save(more, trained.recipe, folder)
    again = Recommender.load(finished(folder))
    queries = again.queries([Query(user="anna"), Query(user="u003", text="vase")])
    assert np.array_equal(again.score(queries), more.score(queries))
    assert again.counts.config == trained.recipe.paths
    more, again = (
        one.with_events(events(("bert", "i006", 4.0))) for one in (more, again)
    )
    assert np.array_equal(more.embeddings.items.fused, again.embeddings.items.fused)


def test_what_training_never_saw_taken_stays_so_in_the_saved_run(
    served, trained, tmp_path
):
    """Its learned vector is what it was drawn as, however often it is taken after the training."""
    more = served.with_events(events(("u001", COLD, 3.0)))
    row = more.items.row(COLD)
    with new_run(tmp_path, "more") as folder:
        artifacts.save(more, trained.recipe, folder)
    again = Recommender.load(finished(folder))
    assert not again.snapshot.seen_items[row] and torch.equal(
        again.snapshot.seen_items, more.snapshot.seen_items
    )
    assert (
        len(again.snapshot.graph.events.item[again.snapshot.graph.events.item == row])
        == 1
    )
    more, again = (
        one.with_events(events(("u002", COLD, 4.0))) for one in (more, again)
    )
    assert np.array_equal(more.embeddings.items.fused, again.embeddings.items.fused)


@pytest.mark.parametrize(
    ("did", "told"),
    [
        (
            {"user": ["u003"], "item": ["nothing"]},
            "1 are of items that are not in the catalogue: 'nothing'",
        ),
        ({"item": ["i001"]}, "no column user"),
        ({"user": [None], "item": ["i001"]}, "1 have no user"),
        ({"user": ["u003"], "item": ["i001"], "time": ["soon"]}, "events: "),
        ({"user": ["u003"], "item": ["i001"], "time": [float("nan")]}, "finite"),
    ],
)
def test_what_does_not_fit_is_refused(served, did, told):
    with pytest.raises(DataError, match=told):
        served.with_events(pa.table(did))


def test_a_relation_that_is_counted_otherwise_now_needs_training(served, monkeypatch):
    monkeypatch.setattr(
        "kg.metapaths.relations.WIDE", 0
    )  # as if items had been added with many values each
    with pytest.raises(
        DataError,
        match="the model reads 'has_colour', which the graph is no longer counted by",
    ):
        served.with_events(events(("u003", "i002", 3.0)))


def test_new_items_may_have_whole_numbers_as_ids(served):
    more = served.add_items(pa.table({"id": [77], "title": ["white chair"]}))
    assert more.items.row("77") == len(served.items)
    with pytest.raises(DataError, match="item '77' is in the catalogue already"):
        more.add_items(pa.table({"id": [77], "title": ["white chair"]}))


def test_users_who_take_items_directly(shop):
    tables = shop()
    did = pa.table({"user": ["u0"], "item": ["i1"], "time": [3.0]})
    bundles, edges = as_tables(tables.schema, did)
    assert not bundles and {n: t.to_pylist() for n, t in edges.items()} == {
        "bought": [{"source": "u0", "target": "i1", "time": 3.0}]
    }
