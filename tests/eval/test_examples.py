"""What a training ends with on the screen: real queries, and the very answers that are served."""

import re
from dataclasses import replace

import pyarrow as pa
import pytest

from eval.examples import SHOWN, worked_queries
from fusion.pipeline import finish
from fusion.query import Constraints
from fusion.tasks.folds import held_events
from fusion.tasks.user_history import UserHistory
from kg.split.held import Held


def find(pattern, text):
    found = re.search(pattern, text)
    assert found
    return found.groups()


def answers(text):
    """The titles under each question."""
    blocks = re.split(r"^.*-> .*$", text, flags=re.MULTILINE)[1:]
    return [
        re.findall(r"^   \d\. (.*?)  \(score -?\d+\.\d\d\)$", b, re.MULTILINE)
        for b in blocks
    ]


def with_test(prepared, events):
    serving = prepared.serving
    split = replace(serving.split, test=Held(events))
    return replace(prepared, serving=replace(serving, split=split))


def test_three_asks_are_answered_as_they_are_served(trained):
    text = worked_queries(trained.recommender, trained.prepared)
    served, titles = trained.recommender, trained.prepared.split.train.titles("item")
    user, basket, words = answers(text)
    (name,) = find(r'recommend\(user="(.*?)"\)', text)
    assert user == [r.title for r in served.recommend(name, k=SHOWN)]
    assert words == [
        r.title for r in served.search(find(r'search\("(.*?)"\)', text)[0], k=SHOWN)
    ]
    hand, owner, target = find(
        r'basket: (.*)\n-> complete\(items, user="(.*)"\); what was really bought with it: (.*)',
        text,
    )
    ids = dict(
        zip(
            titles,
            trained.prepared.split.train.nodes["item"]["id"].to_pylist(),
            strict=True,
        )
    )
    assert basket == [
        r.title
        for r in served.complete([ids[t] for t in hand.split(" + ")], owner, k=SHOWN)
    ]
    # The basket is a real one of the test, and its last item is not at hand.
    events = trained.prepared.split.test.events.to_pylist()
    bought = {e["item"] for e in events if e["user"] == owner}
    assert bought == {
        ids[t] for t in [*hand.split(" + "), target]
    } and target not in hand.split(" + ")


def test_where_training_masked_what_users_have_the_user_is_asked_for_what_is_new(
    trained,
):
    task, folds = UserHistory(in_context=False), trained.prepared.folds
    masked = [
        (graph, counts, task.held_out(graph, trained.prepared.graph.events, 0))
        for graph, counts, _ in folds
    ]
    text = worked_queries(trained.recommender, replace(trained.prepared, folds=masked))
    (name,) = find(r'recommend\(user="(.*?)", where=Constraints\(new=True\)\)', text)
    new = trained.recommender.recommend(name, SHOWN, Constraints(exclude_seen=True))
    assert answers(text)[0] == [r.title for r in new]


def test_a_bundle_that_two_users_took_is_shown_once(trained):
    prepared = trained.prepared
    graph, test = prepared.graph, prepared.split.test.events
    users = graph.vocabs["user"].ids
    twice = test.set_column(
        0, "user", [users.take((held_events(graph, test).user + 1) % len(users))]
    )
    both = type(test).from_batches(
        [*test.to_batches(), *twice.cast(test.schema).to_batches()]
    )
    text = worked_queries(trained.recommender, with_test(prepared, both))
    hand, target = find(r"basket: (.*)\n-> .* with it: (.*)", text)
    shown = [*hand.split(" + "), target]
    assert len(shown) == len(set(shown))


@pytest.mark.parametrize(
    ("nobody", "alone", "questions"),
    [(True, False, 2), (False, True, 2), (True, True, 1)],
)
def test_what_the_graph_does_not_have_is_not_asked(trained, nobody, alone, questions):
    events = trained.prepared.split.test.events
    for column, blank in (("user", nobody), ("bundle", alone)):
        if blank:
            place = events.column_names.index(column)
            events = events.set_column(
                place, events.schema.field(column), pa.nulls(len(events), pa.string())
            )
    prepared = with_test(trained.prepared, events)
    text = worked_queries(trained.recommender, prepared)
    assert len(answers(text)) == questions and not text.startswith("\n")
    assert ("complete(items); what" in text) == (
        nobody and not alone
    ) and "None" not in text


def test_without_words_nothing_is_searched(trainer_of, tmp_path):
    made = trainer_of(tmp_path, "fusion.text=false")
    text = worked_queries(finish(made.trainer, made.prepared), made.prepared)
    assert "search(" not in text and len(answers(text)) == 2
