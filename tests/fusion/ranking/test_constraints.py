"""Answers narrowed by constraints."""

from dataclasses import replace

import numpy as np
import pytest

from fusion.bundles.plan import Plan
from fusion.query import Constraints, Query
from kg.errors import DataError, InputError
from tests.fusion.answers import ITEMS, ids


@pytest.mark.parametrize(
    "query",
    [Query("u003"), Query("u003", ("i002",), "black vase"), Query("u003", k=ITEMS)],
    ids=str,
)
def test_exclude_seen_leaves_out_the_users_items(served, query):
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


def test_constrained_items_take_no_candidates_place(served, monkeypatch):
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


def test_exclude_seen_changes_nothing_for_unknown_users(served):
    for query in (Query("nobody", text="vase"), Query(items=("i002",)), Query()):
        assert served.answer(
            replace(query, where=Constraints(exclude_seen=True))
        ) == served.answer(query)


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


def test_constraints_filter_by_relation(served):
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


def test_invalid_constraints_are_refused(served):
    with pytest.raises(
        DataError,
        match="items have no property or relation 'size'; they have has_colour, colour, id",
    ):
        served.recommend("u003", where=Constraints(within=(("size", ("black",)),)))
    with pytest.raises(
        DataError, match="no item has colour 'whit'; did you mean 'white'"
    ):
        served.recommend("u003", where=Constraints(within=(("colour", ("whit",)),)))
    with pytest.raises(InputError) as caught:
        Constraints(within=(("title", "vase"),))  # type: ignore[arg-type]
    assert caught.value.field == "where.within"
    with pytest.raises(InputError) as caught:
        Constraints(exclude="i002")  # type: ignore[arg-type]
    assert caught.value.field == "where.exclude"
    with pytest.raises(InputError) as caught:
        Query(items="i002")  # type: ignore[arg-type]
    assert caught.value.field == "items"
