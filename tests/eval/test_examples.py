"""What a training ends with on the screen: real queries, and the very answers that are served."""

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from eval.example_choice import SHOWN, choose, head
from eval.examples import places, shown, worked_queries
from fusion.pipeline import finish
from fusion.query import Query
from kg.split.held import Held


def held_out_as(prepared, events):
    serving = prepared.serving
    split = replace(serving.split, test=Held(events))
    return replace(prepared, serving=replace(serving, split=split))


@pytest.fixture(scope="module")
def text(trained):
    return worked_queries(trained.recommender, trained.prepared, trained.recipe)


@pytest.fixture(scope="module")
def examples(trained):
    return choose(trained.recommender, trained.prepared, trained.recipe)


def test_answers_are_those_that_are_served_each_title_once(trained, examples):
    assert [example.kind for example in examples] == ["basket", "words", "user"]
    for example in examples:
        served = trained.recommender.answer(replace(example.query, k=40))
        lines, dropped = shown(trained.recommender, example)
        assert len(lines) == SHOWN
        for line in lines:
            assert served[line.place - 1].id == line.answer.id
        titles = [line.answer.title for line in lines]
        assert len(set(titles)) == len(titles)
        assert dropped == lines[-1].place - len(lines)


def test_popularity_is_the_place_where_nothing_is_asked(trained, examples):
    recommender = trained.recommender
    plain = recommender.answer(Query(k=len(recommender.items)))
    by_popularity = {answer.id: place for place, answer in enumerate(plain, 1)}
    for example in examples:
        for line in shown(recommender, example)[0]:
            assert line.plain == by_popularity[line.answer.id]


def test_places_count_from_the_highest_score():
    assert places(pa.array([0.5, 2.0, -1.0, 2.0]).to_numpy()).tolist() == [3, 1, 4, 2]


def test_what_was_really_taken_was_held_out(trained, examples):
    events = trained.prepared.serving.split.test.events.to_pylist()
    basket, _, user = examples
    together: dict[str, set[str]] = {}
    for event in events:
        together.setdefault(event["bundle"], set()).add(event["item"])
    whole = {*basket.query.items, *basket.right}
    assert any(whole <= items for items in together.values())
    assert not set(basket.query.items) & basket.right
    taken = {event["item"] for event in events if event["user"] == user.query.user}
    assert user.right <= taken


def test_one_thing_is_looked_at_each_time(examples):
    basket, words, user = (example.query for example in examples)
    assert basket.items and basket.user is None and basket.text is None
    assert words.text and words.user is None and not words.items
    assert user.user and not user.items and user.text is None


def test_the_same_examples_come_again(trained, examples):
    assert choose(trained.recommender, trained.prepared, trained.recipe) == examples


def test_each_question_stands_beside_the_command_that_asks_it(text, examples):
    basket, words, user = (example.query for example in examples)
    assert f"\n  trousseau complete {' '.join(basket.items)}\n" in text
    assert f'\n  trousseau search "{words.text}"\n' in text
    assert f"\n  trousseau recommend {user.user}\n" in text


def test_the_first_example_is_explained_by_its_best_path(trained, text, examples):
    (item,) = re.findall(r"^Why .* \((\w+)\)\?$", text, re.MULTILINE)
    explained = trained.recommender.explain(examples[0].query, item, k=1)
    told = text.partition(f"({item})?\n")[2]
    flat = " ".join(told.split())
    assert explained.paths and " ".join(explained.paths[0].sentence.split()) in flat


def test_where_training_excluded_what_users_have_only_what_is_new_is_asked_for(
    trained,
):
    taken = trained.prepared.folds
    excluded = [
        (graph, counts, replace(queries, exclude=queries.context))
        for graph, counts, queries in taken
    ]
    # The checkerboard's users buy what they have; here each takes what another really took.
    events = trained.prepared.serving.split.test.events
    place = events.column_names.index("item")
    items = np.roll(events["item"].to_numpy(zero_copy_only=False), 7)
    events = events.set_column(place, "item", pa.array(items, pa.string()))
    prepared = replace(held_out_as(trained.prepared, events), folds=excluded)
    text = worked_queries(trained.recommender, prepared, trained.recipe)
    assert re.search(r"trousseau recommend \w+ --exclude-seen\n", text)
    user = choose(trained.recommender, prepared, trained.recipe)[-1]
    answers = trained.recommender.answer(user.query)
    row = trained.recommender._user(user.query.user)
    have = set(trained.recommender.counts.interacted(row).tolist())
    assert have and not have & {
        trained.recommender.items.row(answer.id) for answer in answers
    }


@pytest.mark.parametrize(
    ("nobody", "alone", "kinds"),
    [
        (True, False, ["basket", "words"]),
        (False, True, ["words", "user"]),
        (True, True, ["words"]),
    ],
)
def test_what_the_held_out_events_lack_is_not_asked(trained, nobody, alone, kinds):
    events = trained.prepared.serving.split.test.events
    for column, blank in (("user", nobody), ("bundle", alone)):
        if blank:
            place = events.column_names.index(column)
            field, empty = events.schema.field(column), pa.nulls(len(events))
            events = events.set_column(place, field, empty.cast(pa.string()))
    prepared = held_out_as(trained.prepared, events)
    examples = choose(trained.recommender, prepared, trained.recipe)
    assert [example.kind for example in examples] == kinds
    text = worked_queries(trained.recommender, prepared, trained.recipe)
    assert "None" not in text


def test_without_words_nothing_is_searched(trainer_of, tmp_path):
    made = trainer_of(tmp_path, "fusion.text=false", "fusion.bm25=false")
    recommender = finish(made.trainer, made.prepared)
    text = worked_queries(recommender, made.prepared, made.recipe)
    assert "search" not in text and "trousseau complete" in text


def test_a_kind_is_a_title_without_sizes_and_brands():
    assert head("Sour creams, 16 oz, private brand") == "Sour creams"
    assert head("Chair") == "Chair"
