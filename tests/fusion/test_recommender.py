from dataclasses import replace

import numpy as np
import pytest

from fusion.bundles.feasibility import InfeasibleError
from fusion.bundles.plan import Plan
from fusion.pipeline import finish
from fusion.query import Constraints, Query
from kg.errors import DataError, InputError

ITEMS = 42


BLACK, WHITE = ([f"i{n:03d}" for n in range(colour, ITEMS, 2)] for colour in (0, 1))


EVERY_KIND = [
    Query(user="u003"),
    Query(items=("i002", "i004")),
    Query(text="black chair"),
    Query(user="u003", items=("i001",), text="white vase"),
    Query(),
]


@pytest.fixture
def served(trained):
    return trained.recommender


@pytest.fixture(scope="module")
def counting(trainer_of, tmp_path_factory):
    """The metapath counts alone."""
    made = trainer_of(
        tmp_path_factory.mktemp("paths"), "fusion.text=false", "fusion.graph=false"
    )
    return finish(made.trainer, made.prepared)


def ids(found):
    return [r.id for r in found]


@pytest.mark.parametrize("query", EVERY_KIND, ids=str)
def test_an_answer_is_sorted_whole_and_told_apart(served, query):
    found = served.answer(query)
    assert len(found) == len(set(ids(found))) == 10
    assert [r.score for r in found] == sorted((r.score for r in found), reverse=True)
    assert all(np.isfinite(r.score) and 0 <= r.text_weight <= 1 for r in found)
    titles = dict(
        zip(
            *(
                served.tables.nodes["item"][name].to_pylist()
                for name in ("id", "title")
            ),
            strict=True,
        )
    )
    assert all(r.title == titles[r.id] for r in found)


@pytest.mark.parametrize(
    "where",
    [Constraints(), Constraints(exclude=("i003", "i011")), Constraints(only=("i001",))],
)
@pytest.mark.parametrize("query", EVERY_KIND, ids=str)
def test_an_answer_is_the_head_of_the_ranking_of_all(served, query, where):
    for k in (1, 10, 40):
        query = replace(query, k=k, where=where)
        ranking = served.ranking(query)
        order = [
            row
            for row in np.argsort(-ranking, kind="stable")[:k]
            if np.isfinite(ranking[row])
        ]
        found = served.answer(query)
        assert ids(found) == [served.items.key(int(row)) for row in order]
        assert [one.score for one in found] == ranking[order].tolist()


def test_the_four_questions_are_asks(served):
    where = Constraints(exclude=("i003",))
    assert served.recommend("u003", 5, where) == served.answer(
        Query(user="u003", k=5, where=where)
    )
    assert served.complete(["i002"], "u003", "vase", 5, where) == served.answer(
        Query("u003", ("i002",), "vase", 5, where)
    )
    assert served.search("vase", "u003", 5, where) == served.answer(
        Query(user="u003", text="vase", k=5, where=where)
    )


def test_the_colour_of_the_ask_is_the_colour_of_the_answer(served):
    for user, colour in (("u002", BLACK), ("u003", WHITE)):
        assert served.recommend(user, k=1)[0].id in colour
    assert set(ids(served.complete(["i002", "i004"], k=5))) <= set(BLACK)
    assert set(ids(served.complete(["i001"], k=5))) <= set(WHITE)
    # The tiny text model takes a new item's colour for another's now and then.
    assert len(set(ids(served.search("black", k=10))) & set(BLACK)) >= 8
    assert len(set(ids(served.search("white", k=10))) & set(WHITE)) >= 8
    assert set(ids(served.similar("i001", k=5))) <= set(WHITE)


def test_what_is_not_known_is_passed_over(served):
    assert ids(served.recommend("nobody")) == ids(served.answer(Query()))
    assert served.complete(["i002", "nothing"]) == served.complete(["i002"])
    assert served.complete(["nothing"], user="nobody") == served.answer(Query())
    assert served.search("chair", user="nobody") == served.search("chair")
    assert served.similar("nothing") == []
    assert served.complete([]) == served.answer(Query())


@pytest.mark.parametrize("text", ["", "   ", "\n\t", None])
def test_no_words_are_no_words(served, text):
    assert served.answer(Query(user="u003", text=text)) == served.recommend("u003")
    assert served.answer(Query(text=text)) == served.answer(Query())


def test_nothing_known_is_answered_by_recent_popularity(served):
    recent = served.counts.item["recent popularity"]
    best = recent.argsort()[::-1][:10]
    assert [recent[served.items.row(i)] for i in ids(served.answer(Query()))] == recent[
        best
    ].tolist()


def test_odd_words_are_words(served):
    for text in (
        "x" * 10_000,
        "\U0001fa91",
        "'; DROP TABLE items; --",
        "\x00",
        "черное кресло",
    ):
        assert len(served.search(text)) == 10


def test_what_is_at_hand_is_never_returned(served):
    for hand in (("i002",), ("i002", "i001", "i041"), tuple(BLACK)):
        found = served.complete(hand, user="u003", k=ITEMS)
        assert len(found) == ITEMS - len(hand) and not set(ids(found)) & set(hand)
    assert served.complete([*BLACK, *WHITE]) == []
    assert "i002" not in ids(served.similar("i002", k=ITEMS))


@pytest.mark.parametrize(
    "query",
    [Query("u003"), Query("u003", ("i002",), "black vase"), Query("u003", k=ITEMS)],
    ids=str,
)
def test_only_what_is_new_to_the_user_is_returned_where_that_is_asked(served, query):
    events = served.snapshot.graph.events
    row = served.snapshot.graph.vocabs["user"].row("u003")
    taken = {
        served.items.key(item) for item in events.item[events.user == row].tolist()
    }
    assert taken - set(query.items) <= set(ids(served.answer(replace(query, k=ITEMS))))
    new = replace(query, where=Constraints(exclude_seen=True))
    found = served.answer(new)
    assert len(found) == min(
        query.k, ITEMS - len(taken | set(query.items))
    ) and not taken & set(ids(found))
    ranking = served.ranking(new)
    assert [r.score for r in found] == np.sort(ranking)[::-1][: len(found)].tolist()
    rows = served.scores(
        served.queries([query, new])
    ).rows  # one that asks so beside one that does not
    assert taken & {served.items.key(int(row)) for row in rows[0] if row >= 0}
    assert not taken & {served.items.key(int(row)) for row in rows[1] if row >= 0}


def test_what_constraints_leave_out_takes_no_candidates_place(served, monkeypatch):
    def candidates(where):
        rows = served.scores(served.queries([replace(query, where=where)])).rows[0]
        return {served.items.key(int(row)) for row in rows if row >= 0}

    query = Query("u003", ("i002",), "black vase")
    monkeypatch.setattr(
        served.model,
        "config",
        replace(
            served.model.config,
            candidates_per_path=1,
            vector_candidates=1,
            cold_candidates=1,
        ),
    )
    first = candidates(Constraints())
    others = tuple(set(served.items.ids.to_pylist()) - first - set(query.items))
    assert first
    for kept in (
        {"only": others},
        {"exclude": tuple(first)},
        {"within": (("id", others),)},
    ):
        where = Constraints(**kept)
        found, best = candidates(where), served.answer(replace(query, where=where))[0]
        assert found and found <= set(others)
        assert (
            best.id in found
            and served.explain(replace(query, where=where), best.id).score == best.score
        )
    assert served.build(Plan(size=(2, 2), where=Constraints(only=others)), "u003")


def test_to_somebody_unknown_everything_is_new(served):
    for query in (Query("nobody", text="vase"), Query(items=("i002",)), Query()):
        assert served.answer(
            replace(query, where=Constraints(exclude_seen=True))
        ) == served.answer(query)


def test_a_combination_of_new_items_is_new_and_what_the_user_has_is_explained_as_left_out(
    served,
):
    where, counts = Constraints(exclude_seen=True), served.counts
    taken = {
        served.items.key(row)
        for row in counts.interacted(
            served.snapshot.graph.vocabs["user"].row("u003")
        ).tolist()
    }
    built = served.build(Plan(size=(3, 3), where=where), "u003")
    assert (
        taken
        and built
        and not taken & {piece.id for found in built for piece in found.items}
    )
    old = sorted(taken)[0]
    told = served.explain(Query("u003", where=where), old)
    assert any("leave this item out" in note for note in told.notes) and np.isfinite(
        told.score
    )
    assert told.score == served.explain(Query("u003"), old).score
    with pytest.raises(InfeasibleError, match="what the user has not taken"):
        served.build(
            Plan(size=(1, 1), where=Constraints(exclude_seen=True, only=tuple(taken))),
            "u003",
        )


def test_an_item_named_twice_is_there_once(served):
    assert served.complete(["i002", "i004", "i002"]) == served.complete(
        ["i002", "i004"]
    )


def test_the_order_at_hand_does_not_matter(served):
    one, other = (
        served.complete(["i002", "i005", "i004"]),
        served.complete(["i004", "i002", "i005"]),
    )
    assert ids(one) == ids(other)
    assert [r.score for r in one] == pytest.approx([r.score for r in other], abs=1e-4)


def test_an_answer_does_not_depend_on_the_asks_beside_it(served):
    together = served.score(served.queries(EVERY_KIND))
    for query, row in zip(EVERY_KIND, together, strict=True):
        assert np.allclose(served.score(served.queries([query]))[0], row, atol=1e-4)


@pytest.mark.parametrize("k", [1, ITEMS - 1, ITEMS, 10_000])
def test_more_than_there_are_is_all_there_are(served, k):
    full = ids(served.recommend("u003", k=ITEMS))
    assert len(full) == len(set(full)) == ITEMS
    assert ids(served.recommend("u003", k=k)) == full[:k]
    assert len(served.similar("i002", k=k)) == min(k, ITEMS - 1)


@pytest.mark.parametrize("k", [0, -1])
def test_fewer_than_one_is_refused(served, k):
    for query in (
        served.recommend,
        served.search,
        served.similar,
        lambda x, k: served.complete([x], k=k),
    ):
        with pytest.raises(ValueError, match=f"k must be at least 1, not {k}"):
            query("i002", k=k)


def test_constraints_are_kept(served):
    first = ids(served.recommend("u003", k=4))
    excluded = Constraints(exclude=(first[0], first[2], "nothing"))
    assert ids(served.recommend("u003", k=2, where=excluded)) == [first[1], first[3]]
    title = "white lamp number 1"
    only = Constraints(within=(("title", (title, "no such title")),))
    assert [r.title for r in served.recommend("u003", where=only)] == [title]
    assert [r.title for r in served.similar("i001", where=only)] == [title]
    assert served.recommend("u003", where=Constraints(within=(("title", ()),))) == []
    both = Constraints(within=(("title", (title,)), ("id", ("i002",))))
    assert served.recommend("u003", where=both) == []
    assert (
        served.recommend(
            "u003", where=Constraints(within=(("title", (title,)),), exclude=("i003",))
        )
        == []
    )


def test_a_relation_narrows_as_a_property_does(served):
    black = {
        r.id
        for r in served.recommend(
            "u003", k=1000, where=Constraints(within=(("colour", ("black",)),))
        )
    }
    white = {
        r.id
        for r in served.recommend(
            "u003", k=1000, where=Constraints(without=(("has_colour", ("black",)),))
        )
    }
    titles = dict(
        zip(served.items.ids.to_pylist(), served.tables.titles("item"), strict=True)
    )
    assert black and {titles[i].split()[0] for i in black} == {"black"}
    assert (
        white
        and {titles[i].split()[0] for i in white} == {"white"}
        and len(black | white) == len(served.items)
    )
    stock = Constraints(only=("i003", "i001", "sold out"))
    assert set(ids(served.recommend("u003", where=stock))) == {"i003", "i001"}


def test_constraints_that_make_no_sense_are_refused(served):
    with pytest.raises(
        DataError,
        match="items have no property or relation 'size'; they have has_colour, colour, id",
    ):
        served.recommend("u003", where=Constraints(within=(("size", ("black",)),)))
    with pytest.raises(
        DataError, match="no item has colour 'whit'; did you mean 'white'"
    ):
        served.recommend("u003", where=Constraints(within=(("colour", ("whit",)),)))
    with pytest.raises(
        InputError, match="within title must be a sequence, not the one string 'vase'"
    ):
        Constraints(within=(("title", "vase"),))  # type: ignore[arg-type]
    with pytest.raises(
        InputError, match="exclude must be a sequence, not the one string 'i002'"
    ):
        Constraints(exclude="i002")  # type: ignore[arg-type]
    with pytest.raises(
        InputError, match="items must be a sequence of ids, not the one string 'i002'"
    ):
        Query(items="i002")  # type: ignore[arg-type]


def test_paths_alone_answer_everything_but_what_is_alike(counting):
    assert all(len(counting.answer(query)) == 10 for query in EVERY_KIND)
    assert all(r.text_weight == 0 for r in counting.recommend("u003"))
    assert counting.search("black") == counting.answer(Query())  # it reads no words
    assert counting.similar("i002") == []
