"""Queries in words, against the graph's attributes."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from fusion.tasks.attribute_search import SENTENCES, AttributeSearch
from kg.errors import DataError
from kg.graph import build_graph
from tests.fusion.tasks.drawn import baskets, plain


def test_texts_are_titles_of_the_targets_attributes(shop):
    """Brands have words, tags have none; the title is read where there is one, not the id."""
    tables = shop()
    schema = tables.schema.to_dict()
    schema["nodes"][3] |= {"title": "name", "text": ["name"]}
    schema["nodes"].append({"name": "tag", "role": "attribute"})
    schema["edges"].append(
        {"name": "tagged", "source": "item", "target": "tag", "role": "relation"}
    )
    every = tables.nodes["item"]["id"]
    nodes = {**tables.nodes, "tag": pa.table({"id": ["t0"]})}
    nodes["brand"] = tables.nodes["brand"].append_column(
        "name", pa.array([f"Brand {n}" for n in range(4)])
    )
    edges = {
        **tables.edges,
        "tagged": pa.table({"source": every, "target": ["t0"] * len(every)}),
    }
    graph = build_graph(
        type(tables)(type(tables.schema).from_dict(schema), nodes, edges)
    )
    queries = plain(AttributeSearch(80, anonymous=1.0).training(graph, graph.events, 0))
    edge = graph.edges[("item", "by", "brand")]
    named = {
        (f"Brand {b}", i)
        for i, b in zip(edge.source.tolist(), edge.target.tolist(), strict=True)
    }
    assert {(text, target) for _, _, text, (target,), _ in queries} <= named
    assert len(queries) > 20 and all(
        user == -1 and items == [] for user, items, *_ in queries
    )
    assert {target for *_, (target,), _ in queries} == set(
        graph.events.item.tolist()
    ) & set(edge.source.tolist())
    taken = set(
        zip(graph.events.user.tolist(), graph.events.item.tolist(), strict=True)
    )
    held = plain(AttributeSearch().held_out(graph, graph.events, 0))
    assert {(user, target) for user, _, _, (target,), _ in held} <= taken
    assert len(held) > 1 and any(user >= 0 for user, *_ in held)
    assert (
        not AttributeSearch(relations=("tagged",))
        .training(graph, graph.events, 0)
        .texts
    )


def test_targets_are_drawn_by_popularity(shop):
    graph = build_graph(shop())
    rows = np.repeat([2, 4], [30, 10])  # two items that have a brand
    events = graph.events.take(np.zeros(40, np.int64))
    queries = AttributeSearch(4000).training(graph, replace(events, item=rows), 0)
    assert np.bincount(queries.targets.rows)[2] / len(queries) == pytest.approx(
        0.75, abs=0.03
    )


def test_a_share_of_training_queries_is_anonymous(shop):
    graph = build_graph(shop())
    taken = set(
        zip(graph.events.user.tolist(), graph.events.item.tolist(), strict=True)
    )
    nobody = (graph.events.user < 0).mean()
    for share in (0.0, 0.3, 1.0):
        queries = AttributeSearch(3000, anonymous=share).training(
            graph, graph.events, 0
        )
        assert (queries.users < 0).mean() == pytest.approx(
            share + (1 - share) * nobody, abs=0.06
        )
        known = queries.users >= 0
        assert (
            set(
                zip(
                    queries.users[known].tolist(),
                    queries.targets.rows[known].tolist(),
                    strict=True,
                )
            )
            <= taken
        )
    assert np.unique(queries.groups).size == len(
        queries
    )  # an anonymous user is no group


def test_a_share_of_training_queries_is_in_sentences(shop):
    graph = build_graph(shop())
    names = AttributeSearch(2000).training(graph, graph.events, 0)
    said = AttributeSearch(2000, sentences=0.3).training(graph, graph.events, 0)
    assert (names.targets.rows == said.targets.rows).all() and (
        names.users == said.users
    ).all()
    wrapped = [a != b for a, b in zip(names.texts, said.texts, strict=True)]
    assert np.mean(wrapped) == pytest.approx(0.3, abs=0.05)
    for name, text in zip(names.texts, said.texts, strict=True):
        assert text == name or text in {sentence.format(name) for sentence in SENTENCES}
    held = AttributeSearch(sentences=1.0).held_out(graph, graph.events, 0)
    assert held.texts == AttributeSearch().held_out(graph, graph.events, 0).texts


def test_every_held_out_bundle_and_single_item_is_one_query(shop):
    graph = build_graph(shop())
    named = set(graph.edges[("item", "by", "brand")].source.tolist())
    events = graph.events.take(np.isin(graph.events.item, list(named)))
    queries = AttributeSearch(limit=0).held_out(graph, events, 0)
    assert len(queries) == len(baskets(events)) + (events.bundle < 0).sum()


def test_an_unknown_relation_is_refused(shop):
    graph = build_graph(shop())
    with pytest.raises(DataError, match="no relation 'bye'"):
        AttributeSearch(relations=("by", "bye")).training(graph, graph.events, 0)


@pytest.mark.parametrize(
    "wrong", [{"limit": -1}, {"anonymous": 1.1}, {"sentences": -0.1}]
)
def test_invalid_shares_are_refused(wrong):
    with pytest.raises(
        ValueError, match=f"words: {next(iter(wrong))} {next(iter(wrong.values()))}"
    ):
        AttributeSearch(**wrong)
