"""A catalogue without interactions: synthetic queries, and a model that learns from them."""

import re
from dataclasses import replace

import numpy as np
import pytest
from lightning.fabric import Fabric

from encoders.text.encoder import TextConfig
from eval.contenders import all_baselines
from eval.parts import train_parts
from eval.suite import baselines, measure
from fusion.experiment import EvaluationConfig, Recipe
from fusion.model.config import FusionConfig
from fusion.pipeline import finish, make_trainer
from fusion.preparation import catalogue_fold, held_out, prepare
from fusion.query import Query
from fusion.recommender import Recommender
from fusion.runs.artifacts import save
from fusion.runs.folder import finished, new_run
from fusion.tasks.folds import held_events
from fusion.tasks.synthetic_queries import SyntheticQueries
from fusion.training.config import TrainingConfig
from kg.errors import DataError
from kg.graph import build_graph
from kg.sources.icecat import Icecat
from kg.split.catalogue import CatalogueSplit


@pytest.fixture(scope="module")
def split():
    return CatalogueSplit(0.2, 0.2, seed=1)(Icecat.example())


@pytest.fixture(scope="module")
def graph(split):
    return build_graph(split.train)


def words(text):
    return set(re.findall(r"\w+", text.lower()))


def known(graph, item):
    """All words of an item's title and of the titles of its attributes."""
    found = words(graph.titles["product"][item])
    for (_, _, target), edge in graph.edges.items():
        for value in edge.target[edge.source == item]:
            found |= words(graph.titles[target][value])
    return found


def test_no_training_ask_is_about_a_held_out_item(split, graph):
    fold = catalogue_fold(graph, split)
    queries = SyntheticQueries(500).training(fold.graph, fold.asked, 0)
    held = [
        graph.vocabs["product"].rows(part.events["item"])
        for part in (split.valid, split.test)
    ]
    assert set(queries.targets.rows) == set(range(12)) - set(np.concatenate(held))
    found = SyntheticQueries().held_out(graph, held_events(graph, split.test.events), 0)
    assert sorted(found.targets.rows) == sorted(held[1])


def test_queries_are_words_of_the_item_and_differ(split, graph):
    fold = catalogue_fold(graph, split)
    queries = SyntheticQueries(500, numbers=1.0).training(fold.graph, fold.asked, 0)
    assert (
        (queries.users == -1).all()
        and not queries.context.lengths.any()
        and (queries.targets.lengths == 1).all()
    )
    for text, item in zip(queries.texts, queries.targets.rows, strict=True):
        assert text and words(text) <= known(graph, item)
    assert len(set(queries.texts)) > 50
    assert {"toner cartridge", "networking cable", "acme"} <= set(queries.texts)


def test_the_source_of_the_words_is_a_setting(split, graph):
    fold = catalogue_fold(graph, split)
    kinds = SyntheticQueries(200, titles=0.0, facts=1, relations=("is_a",)).training(
        fold.graph, fold.asked, 0
    )
    assert {text.lower() for text in kinds.texts} == {
        "toner cartridge",
        "networking cable",
    }
    titled = SyntheticQueries(300, titles=1.0, words=2, numbers=0.0).training(
        fold.graph, fold.asked, 0
    )
    assert max(len(text.split()) for text in titled.texts) == 2
    assert not any(re.search(r"\d", text) for text in titled.texts)
    with pytest.raises(DataError, match="no relation 'nothing'"):
        SyntheticQueries(relations=("nothing",)).training(fold.graph, fold.asked, 0)
    with pytest.raises(ValueError, match="titles and numbers in"):
        SyntheticQueries(titles=1.5)


def test_asks_are_the_same_by_seed_and_none_without_items(split, graph):
    fold, task = catalogue_fold(graph, split), SyntheticQueries(50)
    one, again, other = (
        task.training(fold.graph, fold.asked, seed) for seed in (0, 0, 1)
    )
    assert one.texts == again.texts and one.texts != other.texts
    nothing = fold.asked.take(np.zeros(len(fold.asked), bool))
    assert not len(task.training(graph, nothing, 0)) and not len(
        task.held_out(graph, nothing, 0)
    )


def test_a_model_learns_to_search_without_any_event(split, tiny_text, tmp_path):
    recipe = Recipe(
        tasks={"search": SyntheticQueries(400)},
        text=TextConfig(str(tiny_text), "frozen"),
        fusion=FusionConfig(
            embedding_dim=16,
            hidden=16,
            candidates_per_path=8,
            vector_candidates=4,
            cold_candidates=0,
        ),
        training=TrainingConfig(
            epochs=4,
            batch=50,
            lr=0.02,
            text_budget=0,
            validations=1,
            text_refreshes=4,
            finetune_share=0.25,
        ),
        evaluation=EvaluationConfig(draws=20, ease=(10.0,)),
    )
    prepared = prepare(split, recipe, progress=False)
    assert len(prepared.folds) == 1 and len(prepared.folds[0][2]) == 400
    fabric = Fabric(accelerator="cpu", devices=1)
    trainer = make_trainer(prepared, recipe, tmp_path, fabric, progress=False)
    history = trainer.fit(progress=False)
    assert trainer.shrinkage.queries is None and trainer.state.model.kept.tolist() == [
        1,
        1,
    ]  # nobody's queries take nothing away
    assert np.isfinite([row["loss"] for row in history]).all()
    served = finish(trainer, prepared)
    found = [
        served.search("red toner cartridge", k=2),
        served.search("cyan networking cable", k=2),
    ]
    assert [{hit.title.split(maxsplit=2)[2] for hit in some} for some in found] == [
        {"toner cartridge Red"},
        {"networking cable Cyan"},
    ]
    assert len(held_out(prepared, recipe, split.test, 0)["search"]) == len(split.test)
    plain = baselines(prepared, recipe, progress=False, trees=False)
    assert set(plain) == {"TF-IDF", "untuned encoder"}
    rivals, left_out = all_baselines(prepared, recipe, progress=False)
    assert {
        "TF-IDF",
        "untuned encoder",
        "boosted ranker",
        "lexical match alone",
    } <= set(rivals)
    assert (
        left_out.get("LightGBM ranker") != "no events"
    )  # it learns from the synthetic queries, as the hybrid does
    assert not {"popularity", "EASE"} & set(rivals)
    assert left_out["UserKNN"] == left_out["ALS"] == left_out["SASRec"] == "no events"
    short = replace(recipe, training=replace(recipe.training, epochs=1))
    parts = train_parts(prepared, short, tmp_path, fabric, bars=False)
    assert set(parts) == {
        "text alone",
        "graph alone",
        "counts and BM25 alone",
    }  # no takings to be counted
    match = parts["counts and BM25 alone"]
    assert (
        not match.model.config.vectors
        and "toner cartridge" in match.search("toner cartridge", k=1)[0].title
    )
    with new_run(tmp_path, "search") as folder:
        save(served, recipe, folder)
    again, queries = (
        Recommender.load(finished(folder)),
        held_out(prepared, recipe, split.test, 0)["search"],
    )
    np.testing.assert_array_equal(again.score(queries), served.score(queries))
    red = Query(text="red toner cartridge")
    why = again.explain(red, again.answer(red)[0].id)
    assert why.words and why.parts["words"] > max(
        why.parts["paths"], why.parts["popularity"]
    )
    assert set(measure(prepared, recipe, {"hybrid": served}, progress=False)) == {
        "search"
    }
