"""The closing table: who is in it, what each may see, and that nothing is chosen on the test."""

from dataclasses import replace

import numpy as np
import pytest

from eval.baselines.boosted import BoostedRanker
from eval.baselines.counts import EASE
from eval.measure.protocol import evaluate
from eval.suite import Chosen, baselines, boosted, measure, untuned
from fusion.model.features import MetapathFeatures
from fusion.preparation import held_out, prepare
from kg.split.grouped import GroupedSplit
from kg.split.held import Held


def names(report):
    return [row.name for row in report.blocks[0].rows]


def table(reports):
    return {
        task: [
            (b.name, b.queries, r.name, r.values, r.behind)
            for b in report.blocks
            for r in b.rows
        ]
        for task, report in reports.items()
    }


def test_every_baseline_stands_in_the_table(trained):
    prepared, recipe = trained.prepared, trained.recipe
    found = baselines(prepared, recipe, progress=False)
    expected = [
        "popularity",
        "user frequency",
        "ItemKNN",
        "EASE",
        "TF-IDF",
        "untuned encoder",
        "boosted ranker",
    ]
    assert list(found) == expected
    reports = measure(
        prepared, recipe, {"hybrid": trained.recommender, **found}, progress=False
    )
    queries = held_out(prepared, recipe, prepared.split.test, 0)
    assert reports.keys() == queries.keys()
    for task, report in reports.items():
        assert (
            names(report) == ["hybrid", *expected] and report.title == f"{task}, test"
        )
        for scorer in ("hybrid", "EASE", "untuned encoder"):
            mean = evaluate(
                {scorer: {"hybrid": trained.recommender, **found}[scorer]},
                queries[task],
                42,
                progress=False,
            ).means()[scorer]
            row = report.blocks[0].rows[names(report).index(scorer)]
            assert row.values["HR@10"].mean == pytest.approx(mean["HR@10"])
    # A world with a known right answer: colour is told by what was together, and not by popularity.
    hits = {
        row.name: row.values["HR@10"].mean for row in reports["baskets"].blocks[0].rows
    }
    assert (
        hits["popularity"] == 0
        and min(hits[n] for n in ("hybrid", "ItemKNN", "EASE")) > 0.4
    )


def test_what_a_baseline_chooses_it_chooses_on_validation(trained):
    prepared = trained.prepared
    config = replace(trained.recipe.evaluation, ease=(1.0, 1000.0))
    recipe = replace(trained.recipe, evaluation=config)
    queries = held_out(prepared, recipe, prepared.split.valid, 0)["baskets"]
    choices = {
        f"{'histories, ' if h else ''}penalty {p:g}": EASE(prepared.graph, p, h)
        for h in (False, True)
        for p in config.ease
    }
    found = {
        name: row["NDCG@10"]
        for name, row in evaluate(choices, queries, 42, progress=False).means().items()
    }
    assert len(set(found.values())) == 4
    chosen = baselines(prepared, recipe, progress=False, trees=False)["EASE"]
    assert isinstance(chosen, Chosen) and chosen.setting == max(
        found, key=found.__getitem__
    )
    assert np.array_equal(chosen.score(queries), choices[chosen.setting].score(queries))
    # The test events can be anything: nothing has looked at them.
    nothing = Held(prepared.split.test.events.slice(0, 0))
    split = replace(prepared.split, test=nothing)
    serving = replace(prepared.serving, split=split)
    blind = replace(prepared, split=split, serving=serving)
    again = baselines(blind, recipe, progress=False, trees=False)
    scorers = baselines(prepared, recipe, progress=False, trees=False)
    for name, scorer in scorers.items():
        assert np.array_equal(scorer.score(queries), again[name].score(queries)), name


def test_the_boosted_ranker_learns_from_the_folds_and_serves_from_the_whole(
    trained, monkeypatch
):
    prepared, recipe = trained.prepared, trained.recipe
    seen = []
    fit = BoostedRanker.fit

    def spied(self, queries, progress=True):
        seen.append(self.candidates(queries))
        return fit(self, queries, progress)

    monkeypatch.setattr(BoostedRanker, "fit", spied)
    ranker = boosted(prepared, recipe, progress=False)
    ((rows, phi),) = seen
    start, texts = 0, prepared.split.train.texts("item")
    for _, counts, queries in prepared.folds:
        own_rows, own_phi = MetapathFeatures(counts, texts=texts)(
            queries, recipe.fusion.candidates_per_path
        )
        part = slice(start, start + len(queries))
        assert np.array_equal(rows[part, : own_rows.shape[1]], own_rows.numpy())
        assert np.array_equal(phi[part, : own_rows.shape[1]], own_phi.numpy())
        assert (rows[part, own_rows.shape[1] :] == -1).all()
        start += len(queries)
    assert start == len(rows)
    queries = held_out(prepared, recipe, prepared.split.test, 0)["baskets"]
    whole, _ = MetapathFeatures(prepared.counts, texts=texts)(
        queries, recipe.fusion.candidates_per_path
    )
    assert np.array_equal(ranker.candidates(queries)[0], whole.numpy())


def test_the_untuned_encoder_is_that_of_before_training(trained):
    texts = trained.prepared.split.train.texts("item")
    baseline = untuned(trained.prepared, trained.recipe, texts, progress=False)
    assert baseline.encode(["black chair", ""]).shape == (2, 16)
    tuned = trained.recommender.model.text
    table = tuned.table(["black chair"])
    assert not np.allclose(
        baseline.encode(["black chair"]),
        tuned.encode_table(table, project=False).numpy(),
        atol=1e-3,
    )
    again = untuned(trained.prepared, trained.recipe, texts, progress=False)
    assert np.array_equal(
        baseline.encode(["black chair"]), again.encode(["black chair"])
    )


def test_cold_targets_stand_apart(checkerboard):
    recipe = checkerboard("split.cold_fraction=0.2")
    prepared = prepare(recipe.split(recipe.source.load()), recipe, progress=False)
    found = baselines(prepared, recipe, progress=False, trees=False)
    blocks = {
        b.name: b
        for b in measure(prepared, recipe, found, progress=False)["baskets"].blocks
    }
    queries = held_out(prepared, recipe, prepared.split.test, 0)["baskets"]
    taken = set(prepared.graph.events.item.tolist())
    cold = sum(int(queries.targets[n][0]) not in taken for n in range(len(queries)))
    assert 0 < cold < len(queries)
    assert (blocks["cold"].queries, blocks["warm"].queries, blocks["all"].queries) == (
        cold,
        len(queries) - cold,
        len(queries),
    )


def test_the_table_is_the_same_by_seed(trained):
    prepared, recipe = trained.prepared, trained.recipe
    tables = []
    for changed in (recipe, recipe, replace(recipe, seed=1)):
        scorers = baselines(prepared, changed, progress=False, trees=False)
        tables.append(table(measure(prepared, changed, scorers, progress=False)))
    assert tables[0] == tables[1] != tables[2]


def test_a_graph_without_times_has_baselines_too(checkerboard):
    recipe = replace(
        checkerboard(),
        split=GroupedSplit(0.2, 0.2, group="bundle"),
    )
    tables = recipe.source.load()
    edges = replace(tables.schema.edges[0], time=None)
    schema = replace(tables.schema, edges=(edges, *tables.schema.edges[1:]))
    plain = type(tables)(
        schema,
        tables.nodes,
        {**tables.edges, "made": tables.edges["made"].drop(["time"])},
    )
    prepared = prepare(recipe.split(plain), recipe, progress=False)
    found = baselines(prepared, recipe, progress=False, trees=False)
    assert "user frequency" in found
