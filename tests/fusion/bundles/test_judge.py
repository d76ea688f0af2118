"""What is there already: completed, judged, improved, ranked."""

import numpy as np
import pytest

from fusion.bundles.judge import full_score, graph_bundles
from fusion.bundles.plan import Plan
from fusion.query import Constraints, Query
from kg.errors import DataError, InputError


@pytest.fixture(scope="module")
def served(trained):
    return trained.recommender


def colour(served, item):
    return served.title(served.items.row(item)).split()[0]


class TestComplete:
    def test_one_of_each_missing_value(self, served):
        hand = ("i000",)
        found = served.complete(hand, k=9, one_per="colour")
        assert [colour(served, r.id) for r in found] == [
            {"black": "white", "white": "black"}[colour(served, "i000")]
        ]
        assert found[0].id == next(
            r.id for r in served.complete(hand, k=99) if colour(served, r.id) != "black"
        ) or (colour(served, "i000") == "white")
        assert (
            len(
                {
                    colour(served, r.id)
                    for r in served.complete((), text="lamp", k=9, one_per="has_colour")
                }
            )
            == 2
        )

    def test_it_is_the_answer_where_nothing_is_asked_of_it(self, served):
        assert served.complete(["i001"], k=7) == served.answer(
            Query(items=("i001",), k=7)
        )

    def test_diversity_spreads_and_keeps_to_the_constraints(self, served):
        where = Constraints(exclude=("i002",))
        plain, spread = (
            served.complete(["i001"], k=5, where=where, diversity=d) for d in (0.0, 0.8)
        )
        vectors = served.embeddings.items.fused.cpu().numpy()

        def alike(found):
            some = vectors[[served.items.row(r.id) for r in found]]
            return (some @ some.T).mean()

        assert alike(spread) < alike(plain) and not {"i001", "i002"} & {
            r.id for r in spread
        }

    def test_what_cannot_be_is_told(self, served):
        with pytest.raises(DataError, match="no property or relation 'size'"):
            served.complete(["i001"], one_per="size")
        with pytest.raises(DataError, match="no item has colour 'red'"):
            served.complete(["i001"], where=Constraints(within=(("colour", ("red",)),)))
        with pytest.raises(
            ValueError, match="10000 items at hand are too many; at most 1000 can be"
        ):
            served.complete([f"i{n}" for n in range(10_000)])


@pytest.mark.parametrize("given", ["i001", ""])
def test_one_string_is_not_taken_for_its_letters(served, given):
    for query in (
        served.complete,
        served.judge,
        lambda items: served.build(items=items),
        lambda items: served.rank_bundles(items=items),
    ):
        with pytest.raises(
            InputError,
            match=f"items must be a sequence of ids, not the one string '{given}'",
        ):
            query(given)
    with pytest.raises(
        InputError,
        match=f"bundle 'b' must be a sequence of ids, not the one string '{given}'",
    ):
        served.rank_bundles({"b": given})


class TestJudge:
    def test_each_item_is_held_against_its_kind_and_a_swap_delivers_what_it_promises(
        self, served
    ):
        improved = 0
        for start in range(0, 24, 3):
            ids = [f"i{n:03d}" for n in (start, start + 7, start + 12)]
            found = served.judge(ids, category="colour")
            assert {p.id for p in found.combination.items} == set(ids)
            assert all(
                p.slot == colour(served, p.id) and p.score <= 0
                for p in found.combination.items
            )
            assert (
                found.combination.weakest
                == min(found.combination.items, key=lambda p: p.score).id
            )
            if found.swap is None:
                continue
            improved += 1
            assert (
                found.swap.gain > 0
                and found.swap.out in ids
                and found.swap.item.id not in ids
            )
            assert colour(served, found.swap.item.id) == colour(served, found.swap.out)
            assert found.swap.score == pytest.approx(
                found.combination.score + found.swap.gain
            )
        assert improved

    def test_a_swap_keeps_to_the_plan(self, served):
        ids = ["i000", "i007", "i012"]
        for swap in (
            served.judge(ids, category="", plan=Plan(where=w)).swap
            for w in (Constraints(only=("i003",)),)
        ):
            assert swap is None or swap.item.id == "i003"

    @pytest.mark.parametrize(
        ("items", "fault"),
        [
            (["i000"], "1 items cannot be judged; 2 to 50 can"),
            ([f"i{n:03d}" for n in range(10_000)], "10000 items cannot be judged"),
            (["i000", "nothing"], "there is no item 'nothing'"),
        ],
    )
    def test_what_cannot_be_judged_is_told(self, served, items, fault):
        with pytest.raises((DataError, ValueError), match=fault):
            served.judge(items)


class TestRank:
    def test_any_rows_have_the_models_score(self, served):
        query = Query("u003", ("i001", "i005"), "black lamp")
        scores = served.scores(served.queries([query]))
        there = scores.rows[0] >= 0
        rows = scores.rows[0][there].numpy()
        np.testing.assert_allclose(
            full_score(served, query, rows), scores.score[0][there].numpy(), atol=2e-4
        )
        assert np.isneginf(full_score(served, query, np.array([1, 1, 5]))).all()

    def test_new_bundles_are_ranked_by_what_is_in_them(self, served):
        query = Query(text="black lamp")
        order = np.argsort(-full_score(served, query, np.arange(len(served.items))))
        ids = [served.items.key(int(row)) for row in order]
        given = {
            "middling": ids[10:12],
            "best": ids[:2],
            "worst": ids[-2:],
            "unknown": ["x", "y"],
        }
        found = served.rank_bundles(given, text="black lamp")
        assert [b.id for b in found] == ["best", "middling", "worst"] and found[
            0
        ].items == tuple(ids[:2])
        scores = full_score(served, query, served.items.rows(ids[:2]))
        assert found[0].score == pytest.approx(scores.mean(), abs=1e-5)
        assert [b.id for b in served.rank_bundles(given, text="black lamp", k=1)] == [
            "best"
        ]

    @pytest.mark.parametrize("k", [0, -1])
    def test_none_is_too_few(self, served, k):
        for bundles in (None, {"b": ["i001", "i002"]}):
            with pytest.raises(ValueError, match=f"k must be at least 1, not {k}"):
                served.rank_bundles(bundles, k=k)

    def test_those_of_the_graph_have_two_items_and_are_there_once(self, served):
        bundles = graph_bundles(served)
        assert bundles and min(map(len, bundles.values())) > 1
        assert len({frozenset(b) for b in bundles.values()}) == len(bundles)
        assert set(b.id for b in served.rank_bundles(user="u003", k=4)) <= set(bundles)
