"""Bundles judged, filled in and ranked, by hand."""

from itertools import combinations

import numpy as np
import pytest

from eval.studies.bundles import Held
from eval.studies.compatibility import (
    CHOICES,
    SHUFFLES,
    blanks,
    complements,
    diversity,
    matched,
    outfits,
    ranked,
)
from fusion.bundles.rank import full_score
from fusion.query import Query
from tests.eval.studies.told import REAL, Told, thing


class TestJudged:
    def test_what_tells_real_from_false_wins_and_what_lies_loses(self, told):
        lost = Held(
            np.array([40, 41]), -1, "", -1
        )  # nothing can stand in for these two
        scores, area = outfits(told, [*REAL, lost])
        assert scores.groups.tolist() == [0, 1, 2, 3]
        for name, expected in (("knows", 1.0), ("lies", 0.0), ("blind", 0.5)):
            assert (
                scores.values[name]["Beats"].tolist() == [expected] * 4
                and area[name] == expected
            )
        assert set(area) == {
            "judge",
            "knows",
            "lies",
            "blind",
            "vectors alone",
            "popularity",
        }

    def test_the_judges_say_of_each_outfit_what_they_would_say_alone(
        self, bench, served
    ):
        (one,) = REAL[:1]
        scores, area = outfits(bench, [one])
        rng, sets = np.random.default_rng(0), [one.items]
        for _ in range(SHUFFLES):
            false: list[int] = []
            for row in one.items.tolist():
                false.append(matched(bench, rng, row, [*one.items, *false]))
            sets.append(np.array(false))
        taken = np.bincount(served.snapshot.graph.events.item, minlength=42)
        vectors = served.embeddings.items.fused.numpy()
        judges = {
            "judge": [
                served.compatibility([f"i{row:03d}" for row in some]).combination.score
                for some in sets
            ],
            "popularity": [
                np.mean([np.log(1 + taken[row]) for row in some]) for some in sets
            ],
            "vectors alone": [
                np.mean([vectors[a] @ vectors[b] for a, b in combinations(some, 2)])
                for some in sets
            ],
        }
        for name, (real, *others) in judges.items():
            beaten = sum((real > other) + 0.5 * (real == other) for other in others)
            assert scores.values[name]["Beats"].tolist() == [
                pytest.approx(beaten / SHUFFLES)
            ]
            assert area[name] == pytest.approx(
                beaten / SHUFFLES
            )  # of one real outfit the same


def test_blanks_are_one_of_four_and_ties_share(told, served):
    scores = blanks(
        told, [*REAL, Held(np.array([2, 40]), -1, "", -1)]
    )  # of new chairs there are but two
    kept = len(scores)
    assert kept >= 4
    means = {name: rows["Accuracy"] for name, rows in scores.means().items()}
    assert (means["knows"], means["lies"], means["blind"], means["random"]) == (
        1,
        0,
        1 / CHOICES,
        1 / CHOICES,
    )
    rng = np.random.default_rng(0)
    for n, one in enumerate(REAL):
        target = int(rng.choice(one.items))
        choices = [target]
        for _ in range(CHOICES - 1):
            choices.append(matched(told, rng, target, [*one.items, *choices]))
        rest = tuple(f"i{row:03d}" for row in one.items if row != target)
        right = np.argmax(full_score(served, Query(items=rest), np.array(choices))) == 0
        assert scores.values["hybrid"]["Accuracy"][n] == float(right)


def test_a_bundle_is_ranked_among_all_by_its_items(bench, served):
    bundles = [
        Held(np.array([n, n + 12, n + 24]), -1, f"{n} {n + 12} {n + 24}", n)
        for n in range(12)
    ]
    bench.baselines = {"reads": Told(1), "blind": Told(0)}
    scores = ranked(bench, bundles)
    assert scores.means()["reads"] == {"MRR": 1, "Recall@10": 1}
    assert scores.values["blind"]["MRR"].tolist() == pytest.approx(
        [1 / (n + 1) for n in range(12)]
    )  # all tie
    assert scores.values["blind"]["Recall@10"].sum() == 10
    for n, one in enumerate(bundles):
        mean = [
            full_score(served, Query(text=one.words), other.items).mean()
            for other in bundles
        ]
        assert scores.values["hybrid"]["MRR"][n] == pytest.approx(
            1 / (1 + sum(m > mean[n] for m in mean))
        )
    owned = ranked(bench, [Held(one.items, 5, "", 5) for one in bundles])
    mean = [full_score(served, Query("u005"), one.items).mean() for one in bundles]
    assert owned.values["hybrid"]["MRR"][3] == pytest.approx(
        1 / (1 + sum(m > mean[3] for m in mean))
    )


class TestCurves:
    def test_diversity_costs_hits_and_brings_distance(self, bench, served):
        scores = diversity(bench, REAL)
        rng, vectors = np.random.default_rng(0), served.embeddings.items.fused.numpy()
        first = scores.values["diversity 0"]
        for n, one in enumerate(REAL):
            target = int(rng.choice(one.items))
            hand = tuple(f"i{row:03d}" for row in one.items if row != target)
            found = [
                served.items.row(r.id)
                for r in served.answer(Query(f"u{one.user:03d}", hand, k=10))
            ]
            apart = np.mean(
                [1 - vectors[a] @ vectors[b] for a, b in combinations(found, 2)]
            )
            assert first["HR"][n] == float(target in found)
            assert first["Distance"][n] == pytest.approx(apart, abs=1e-5)
            assert first["Categories"][n] == len({thing(served, row) for row in found})
        assert (scores.values["diversity 0.7"]["Distance"] > first["Distance"]).all()

    def test_complements_are_of_other_categories(self, bench, served):
        bundles = [*REAL, Held(np.array([0, 20]), 0, "", 0)]
        scores, cross = complements(bench, bundles)
        assert cross.tolist() == [True] * 4 + [False]
        plain = scores.values["complements 0"]
        assert (
            plain["HR"].tolist()
            == diversity(bench, bundles).values["diversity 0"]["HR"].tolist()
        )
        found = served.answer(
            Query("u000", ("i000",), k=10)
        )  # one of the two chairs is at hand, whichever
        other = served.answer(Query("u000", ("i020",), k=10))
        shares = [
            sum("chair" not in r.title for r in answer) / 10
            for answer in (found, other)
        ]
        assert plain["Other categories"][-1] in [
            pytest.approx(share) for share in shares
        ]
        means = scores.means()
        assert (
            means["complements 2"]["Other categories"]
            >= means["complements 0"]["Other categories"]
        )
