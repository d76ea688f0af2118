"""Explanations on the checkerboard, where it is known what carries a score."""

import gc
import weakref

import pyarrow.compute as pc
import pytest

from fusion.explain.explainer import Explainer, explain
from fusion.explain.render import to_text
from fusion.query import Constraints, Query
from fusion.recommender import Recommender
from kg.errors import DataError, InputError
from kg.stores.base import write_tables
from kg.stores.open import open_store
from kg.tables import Tables

EVERY = [
    Query(user="u003"),
    Query(items=("i002", "i004")),
    Query("u003", ("i001",), "white vase"),
    Query(text="black chair"),
]


@pytest.mark.parametrize("query", EVERY, ids=str)
def test_paths_lead_from_the_ask_to_the_item_over_edges_that_are_there(served, query):
    item = served.answer(query)[0].id
    made = served.explain(query, item)
    assert (
        made.item.id == item
        and made.rank == 1
        and made.score == pytest.approx(served.answer(query)[0].score)
    )
    assert 1 <= len(made.paths) <= 3
    edges = {
        name: set(zip(t["source"].to_pylist(), t["target"].to_pylist(), strict=True))
        for name, t in served.tables.edges.items()
    }
    for path in made.paths:
        assert path.nodes[-1].id == item and len(path.edges) <= 4
        assert len({(n.type, n.id) for n in path.nodes}) == len(path.nodes)
        for edge, here, there in zip(
            path.edges, path.nodes, path.nodes[1:], strict=False
        ):
            assert ((there.id, here.id) if edge.back else (here.id, there.id)) in edges[
                edge.relation
            ]
        assert path.sentence.endswith(".") and made.item.title in path.sentence


def test_what_cannot_be_explained_is_one_clear_error(served):
    with pytest.raises(DataError, match="no item 'nothing'"):
        served.explain(Query("u003"), "nothing")
    with pytest.raises(DataError, match="at hand"):
        served.explain(Query(items=("i001",)), "i001")
    with pytest.raises(InputError) as caught:
        served.explain(Query("u003"), "i001", k=0)
    assert caught.value.field == "k"


def test_what_is_not_known_is_told(served):
    made = served.explain(Query("nobody", ("none",)), "i001")
    assert made.paths == ()
    told = " ".join(made.notes)
    for words in ("no user nobody", "passed over: none", "popular of late", "No path"):
        assert words in told


def test_an_item_that_was_not_recommended_says_where_it_would_come(served):
    query = Query("u003", k=2)
    last = served.answer(Query("u003", k=42))[-1].id
    made = served.explain(query, last)
    assert made.rank > 2 and any(f"place {made.rank}" in note for note in made.notes)
    kept = Query("u003", where=Constraints(exclude=(last,)))
    assert any("constraints" in note for note in served.explain(kept, last).notes)


def test_where_no_path_carries_the_score_what_is_said_agrees_with_the_figures(served):
    query = Query(text="black chair")
    item = next(
        one.id
        for one in served.answer(query)
        if any("No path carries" in n for n in notes(served, query, one.id))
    )
    for language, said in (("en", "it falls by 0.01 at most"), ("zh", "最多降低0.01")):
        made = explain(served, query, item, language=language)
        assert any(said in note for note in made.notes)
        assert made.paths and all(
            path.support and round(path.support.lost, 2) <= 0.01 for path in made.paths
        )


def notes(served, query, item):
    return explain(served, query, item).notes


def test_both_languages_say_the_titles(served):
    query = Query("u003")
    item = served.answer(query)[0]
    for language in ("en", "zh"):
        made = explain(served, query, item.id, language=language)
        assert all(item.title in path.sentence for path in made.paths)


@pytest.mark.parametrize(
    ("language", "said", "stutter"),
    [
        (
            "en",
            ("have the same colour, “black”", "is of the colour “black”"),
            "colour black",
        ),
        ("zh", ("colour相同：“black”", "属于colour“black”"), "colour black"),  # noqa: RUF001
    ],
)
def test_what_an_item_has_is_not_called_by_its_type_twice(
    served, language, said, stutter
):
    queries = [Query("u002", ("i002",)), Query(text="black chair")]
    sentences = [
        path.sentence
        for query in queries
        for one in served.answer(query)[:3]
        for path in explain(served, query, one.id, 10, False, language=language).paths
    ]
    for form in said:
        assert any(form in sentence for sentence in sentences), sentences
    assert not any(stutter in sentence for sentence in sentences)


def test_a_path_and_its_sentence_say_a_time_alike(served):
    made = served.explain(Query("u003"), served.recommend("u003", 1)[0].id)
    edges = [edge for path in made.paths for edge in path.edges]
    dated = [edge for edge in edges if edge.time is not None]
    assert dated and all(edge.when == f"at time {edge.time:g}" for edge in dated)
    assert not any(edge.when for edge in edges if edge.time is None)
    assert all(f" {edge.when}" in to_text(made) for edge in dated)
    assert any(edge.when in path.sentence for path in made.paths for edge in dated)


def test_a_graph_that_has_changed_since_training_is_told(served, tmp_path):
    """Baskets are moved by a day, colours are gone, what baskets hold is as it was."""
    tables, query = served.tables, Query("u003", text="white vase")
    item = served.answer(query)[0].id
    days, colours = tables.edges["made"], tables.edges["has_colour"]
    moved = days.set_column(
        days.column_names.index("time"), "time", pc.add(days["time"], 1)
    )

    def live(name, **changed):
        file = str(tmp_path / f"{name}.duckdb")
        with open_store(file, create=True) as opened:
            write_tables(
                opened, Tables(tables.schema, tables.nodes, {**tables.edges, **changed})
            )
        return file

    def explained(file, language="en"):
        made = explain(
            served, query, item, k=10, support=False, verify=file, language=language
        )
        found = {
            (e.relation, frozenset((a, b)), e.now)
            for p in made.paths
            for e, a, b in zip(p.edges, p.nodes, p.nodes[1:], strict=False)
        }
        return made, found

    made, edges = explained(live("same"))
    assert {(relation, now) for relation, _, now in edges} == {
        ("made", "there"),
        ("contains", "there"),
        ("has_colour", "there"),
    }
    assert not any("since training" in note for note in made.notes)
    file = live("changed", made=moved, has_colour=colours.slice(0, 0))
    made, edges = explained(file)
    assert {(relation, now) for relation, _, now in edges} == {
        ("made", "changed"),
        ("contains", "there"),
        ("has_colour", "gone"),
    }
    wrong = sum(now != "there" for _, _, now in edges)
    (note,) = [note for note in made.notes if "since training" in note]
    assert (
        f": {wrong} (" in note
        and "made" in note
        and "has_colour" in note
        and "contains" not in note
    )
    assert (
        note in to_text(made, 400)
        and "(changed)" in to_text(made)
        and "(gone)" in to_text(made)
    )
    assert any(f"{wrong}条" in note for note in explained(file, "zh")[0].notes)


def test_paths_from_the_user_come_before_those_from_what_words_mean(served):
    """No count begins at words; with nothing else in the query they are all there is."""
    both, words = Query("u003", text="white vase"), Query(text="white vase")
    item = served.answer(both)[0].id
    assert served.explain(both, item, support=False).paths[0].nodes[0].type == "user"
    starts = {
        path.nodes[0].type
        for path in served.explain(both, item, 30, support=False).paths
    }
    assert starts > {"user"}
    assert (
        served.explain(words, served.answer(words)[0].id, support=False)
        .paths[0]
        .nodes[0]
        .type
        != "user"
    )


def test_a_recommender_that_explained_is_forgotten_at_once_with_all_it_made(served):
    query = Query("u003", ("i001",), "white vase")
    item = served.answer(query)[0].id
    made = Recommender(
        served.model, served.snapshot, served.embeddings, served.tables, served.counts
    )
    gc.disable()
    try:
        made.explain(query, item)
        gone = weakref.ref(made), weakref.ref(made.derived(Explainer))
        del made
        assert [one() for one in gone] == [None, None]
    finally:
        gc.enable()


def test_what_explaining_needs_is_made_once(served):
    query = Query("u003")
    item = served.answer(query)[0].id
    served.explain(query, item, support=False)
    kept = served.derived(Explainer)
    served.explain(query, item, support=False)
    assert kept is not None and served.derived(Explainer) is kept
