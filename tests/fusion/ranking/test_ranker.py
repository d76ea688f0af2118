"""What an answer holds and in which order, over the trained checkerboard."""

from dataclasses import replace

import numpy as np
import pytest

from fusion.query import Constraints, Query
from kg.errors import InputError
from tests.fusion.answers import BLACK, EVERY_KIND, ITEMS, WHITE, ids


@pytest.mark.parametrize("query", EVERY_KIND, ids=str)
def test_an_answer_is_sorted_distinct_and_titled(served, query):
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
def test_an_answer_is_the_top_of_the_full_ranking(served, query, where):
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


@pytest.mark.parametrize("text", ["", "   ", "\n\t", None])
def test_a_blank_text_is_no_text(served, text):
    assert served.answer(Query(user="u003", text=text)) == served.recommend("u003")
    assert served.answer(Query(text=text)) == served.answer(Query())


def test_an_empty_query_returns_recently_popular_items(served):
    recent = served.counts.item["recent popularity"]
    best = recent.argsort()[::-1][:10]
    assert [recent[served.items.row(i)] for i in ids(served.answer(Query()))] == recent[
        best
    ].tolist()


def test_context_items_are_never_returned(served):
    for hand in (("i002",), ("i002", "i001", "i041"), tuple(BLACK)):
        found = served.complete(hand, user="u003", k=ITEMS)
        assert len(found) == ITEMS - len(hand) and not set(ids(found)) & set(hand)
    assert served.complete([*BLACK, *WHITE]) == []
    assert "i002" not in ids(served.similar("i002", k=ITEMS))


def test_a_repeated_context_item_counts_once(served):
    assert served.complete(["i002", "i004", "i002"]) == served.complete(
        ["i002", "i004"]
    )


def test_the_order_of_context_items_does_not_matter(served):
    one, other = (
        served.complete(["i002", "i005", "i004"]),
        served.complete(["i004", "i002", "i005"]),
    )
    assert ids(one) == ids(other)
    assert [r.score for r in one] == pytest.approx([r.score for r in other], abs=1e-4)


def test_scores_do_not_depend_on_other_queries_of_the_batch(served):
    together = served.score(served.queries(EVERY_KIND))
    for query, row in zip(EVERY_KIND, together, strict=True):
        assert np.allclose(served.score(served.queries([query]))[0], row, atol=1e-4)


@pytest.mark.parametrize("k", [1, ITEMS - 1, ITEMS, 10_000])
def test_k_above_the_catalogue_returns_all_items(served, k):
    full = ids(served.recommend("u003", k=ITEMS))
    assert len(full) == len(set(full)) == ITEMS
    assert ids(served.recommend("u003", k=k)) == full[:k]
    assert len(served.similar("i002", k=k)) == min(k, ITEMS - 1)


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_refused(served, k):
    for query in (
        served.recommend,
        served.search,
        served.similar,
        lambda x, k: served.complete([x], k=k),
    ):
        with pytest.raises(InputError) as caught:
            query("i002", k=k)
        assert caught.value.field == "k"
