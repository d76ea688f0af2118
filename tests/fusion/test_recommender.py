"""The verbs of a recommender, over the trained checkerboard."""

import numpy as np
import pytest

from fusion.bundles.feasibility import InfeasibleError
from fusion.bundles.plan import Plan
from fusion.pipeline import finish
from fusion.query import Constraints, Query
from tests.fusion.answers import BLACK, EVERY_KIND, WHITE, ids


@pytest.fixture(scope="module")
def counting(trainer_of, tmp_path_factory):
    """The metapath counts alone."""
    made = trainer_of(
        tmp_path_factory.mktemp("paths"), "fusion.text=false", "fusion.graph=false"
    )
    return finish(made.trainer, made.prepared)


def test_recommend_complete_and_search_equal_answer(served):
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


def test_answers_have_the_colour_of_the_query(served):
    for user, colour in (("u002", BLACK), ("u003", WHITE)):
        assert served.recommend(user, k=1)[0].id in colour
    assert set(ids(served.complete(["i002", "i004"], k=5))) <= set(BLACK)
    assert set(ids(served.complete(["i001"], k=5))) <= set(WHITE)
    # The tiny text model takes a new item's colour for another's now and then.
    assert len(set(ids(served.search("black", k=10))) & set(BLACK)) >= 8
    assert len(set(ids(served.search("white", k=10))) & set(WHITE)) >= 8
    assert set(ids(served.similar("i001", k=5))) <= set(WHITE)


def test_unknown_users_and_items_are_ignored(served):
    assert ids(served.recommend("nobody")) == ids(served.answer(Query()))
    assert served.complete(["i002", "nothing"]) == served.complete(["i002"])
    assert served.complete(["nothing"], user="nobody") == served.answer(Query())
    assert served.search("chair", user="nobody") == served.search("chair")
    assert served.similar("nothing") == []
    assert served.complete([]) == served.answer(Query())


def test_odd_texts_are_answered(served):
    for text in (
        "x" * 10_000,
        "\U0001fa91",
        "'; DROP TABLE items; --",
        "\x00",
        "черное кресло",
    ):
        assert len(served.search(text)) == 10


def test_exclude_seen_holds_in_bundles_and_explanations(
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


def test_counts_alone_answer_all_but_similar(counting):
    assert all(len(counting.answer(query)) == 10 for query in EVERY_KIND)
    assert all(r.text_weight == 0 for r in counting.recommend("u003"))
    assert counting.search("black") == counting.answer(Query())  # it reads no words
    assert counting.similar("i002") == []
