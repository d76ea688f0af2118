"""The graph against hand-made worlds and slow, obvious ways of saying the same."""

import numpy as np
import pyarrow as pa
import pytest

from kg.events import Events
from kg.graph import Graph, build_graph
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import Tables

SCHEMA = GraphSchema(
    nodes=(
        NodeType("user", "user"),
        NodeType("item", "item"),
        NodeType("bundle", "bundle"),
        NodeType("brand", "attribute"),
    ),
    edges=(
        EdgeType("holds", "bundle", "item", "membership", time="at", weight="count"),
        EdgeType("made", "user", "bundle", "interaction", time="at"),
        EdgeType("bought", "user", "item", "interaction", time="at"),
        EdgeType("likes", "user", "item", "interaction"),
        EdgeType("of", "item", "brand", "relation"),
        EdgeType("next", "item", "item", "relation", time="at"),
    ),
)
NAN = float("nan")


def table(*columns, names=("source", "target", "time")):
    return pa.table([pa.array(c) for c in columns], list(names[: len(columns)]))


def snapshot() -> Tables:
    """b0 is made by u0 and u1, b1 by u1, b2 by nobody.

    The first two events are bought alone, the third liked.
    """
    nodes = {
        name: pa.table({"id": [f"{name[0]}{n}" for n in range(3)]})
        for name in ("user", "item", "bundle")
    }
    edges = {
        "holds": table(
            ["b0", "b0", "b1", "b2"],
            ["i0", "i1", "i1", "i2"],
            [1.0, 1, 1, 7],
            [2.0, 1, 1, 1],
            names=("source", "target", "time", "weight"),
        ),
        "made": table(["u1", "u0", "u1"], ["b0", "b0", "b1"], [5.0, 2, 3]),
        "bought": table(["u2", "u0"], ["i0", "i2"], [4.0, 6]),
        "likes": table(["u2"], ["i1"]),
        "of": table(["i0"], ["x"]),
        "next": table(["i0", "i1"], ["i1", "i2"], [1.0, 9]),
    }
    return Tables(SCHEMA, {**nodes, "brand": pa.table({"id": ["x"]})}, edges)


@pytest.fixture
def graph() -> Graph:
    return build_graph(snapshot())


def rows(events: Events) -> list[tuple[int, int, int, float]]:
    columns = (
        events.user,
        events.bundle,
        events.item,
        np.nan_to_num(events.time, nan=-1),
    )
    return list(zip(*(c.tolist() for c in columns), strict=True))


def test_events_name_every_owner_of_a_bundle_and_the_later_of_two_times(graph):
    expected = [
        (2, -1, 0, 4),
        (0, -1, 2, 6),
        (2, -1, 1, -1),
    ]  # alone, in the order of the edges
    expected += [
        (1, 0, 0, 5),
        (0, 0, 0, 2),
        (1, 0, 1, 5),
        (0, 0, 1, 2),
        (1, 1, 1, 3),
        (-1, 2, 2, 7),
    ]
    assert rows(graph.events) == expected


def test_edges_keep_weight_and_time(graph):
    holds = graph.edges[("bundle", "holds", "item")]
    assert holds.weight.tolist() == [2, 1, 1, 1] and holds.time.tolist() == [1, 1, 1, 7]
    likes = graph.edges[("user", "likes", "item")]
    assert likes.weight.tolist() == [1] and np.isnan(likes.time).all()


def test_typed_edges_are_flipped_in_reverse_and_reach_through_bundles(graph):
    typed = graph.typed_edges()
    assert len(typed) == 2 * (len(SCHEMA.edges) + 1)
    for (source, name, target), edge in typed.items():
        if name.startswith("rev_"):
            forward = typed[(target, name.removeprefix("rev_"), source)]
            assert edge.source.tolist() == forward.target.tolist()
            assert edge.target.tolist() == forward.source.tolist()
            assert edge.weight.tolist() == forward.weight.tolist()
        else:
            assert edge.source.max() < graph.size(
                source
            ) and edge.target.max() < graph.size(target)
    through = next(
        edge
        for (_, name, _), edge in typed.items()
        if name.endswith("holds_made_bought_likes")
    )
    assert sorted(zip(through.source, through.target, strict=True)) == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
    ]


def test_until_leaves_nothing_later(graph):
    for time in (0, 1, 2, 3, 4, 5, 6, 7, 9):
        then = graph.until(time)
        assert not any((edge.time > time).any() for edge in then.edges.values())
        late = {b for _, b, _, t in rows(graph.events) if t > time and b >= 0}
        assert rows(then.events) == [
            e for e in rows(graph.events) if e[3] <= time and e[1] not in late
        ]
        assert not late & set(then.edges[("bundle", "holds", "item")].source.tolist())
        assert not late & set(then.edges[("user", "made", "bundle")].target.tolist())
        assert len(then.edges[("item", "of", "brand")]) == 1
        assert {name: then.size(name) for name in then.vocabs} == {
            name: graph.size(name) for name in graph.vocabs
        }
    assert rows(graph.until(9).events) == rows(graph.events)


def test_without_bundles_takes_their_edges_both_ways(graph):
    left = graph.without_bundles(np.array([0, 2]))
    assert left.edges[("bundle", "holds", "item")].source.tolist() == [1]
    assert left.edges[("user", "made", "bundle")].target.tolist() == [1]
    assert {b for _, b, _, _ in rows(left.events)} == {-1, 1}
    assert graph.without_bundles(np.zeros(0, np.int64)) is graph


@pytest.mark.parametrize(
    "which", [[], [0], [1], [2], [0, 2], [3], [0, 1, 2, 3], range(9)]
)
def test_without_events_takes_exactly_these(graph, which):
    gone = np.isin(np.arange(len(graph.events)), list(which))
    left = graph.without_events(gone)
    lost = [e for e, out in zip(rows(graph.events), gone, strict=True) if out]
    bundles = {b for _, b, _, _ in lost if b >= 0}
    assert rows(left.events) == [
        e for e in rows(graph.events) if e not in lost and e[1] not in bundles
    ]
    direct = {(u, i, t) for u, b, i, t in lost if b < 0}
    for name in ("bought", "likes"):
        key = ("user", name, "item")
        before, after = (
            {
                (u, i, t)
                for u, i, t in zip(
                    e.source, e.target, np.nan_to_num(e.time, nan=-1), strict=True
                )
            }
            for e in (graph.edges[key], left.edges[key])
        )
        assert after == before - direct
    assert not bundles & set(left.edges[("bundle", "holds", "item")].source.tolist())


def test_one_of_two_purchases_of_the_same_item_can_go():
    tables = snapshot()
    twice = table(["u0", "u0", "u0"], ["i0", "i0", "i1"], [1.0, 2, 1])
    graph = build_graph(tables.with_tables(edges={"bought": twice}))
    left = graph.without_events(rows_at(graph, 0, -1, 0, 2))
    assert left.edges[("user", "bought", "item")].time.tolist() == [1, 1]
    assert rows(left.events)[:2] == [(0, -1, 0, 1), (0, -1, 1, 1)]


def rows_at(graph: Graph, *event: float):
    return np.array([row == event for row in rows(graph.events)])


def test_a_graph_of_items_alone_has_no_events():
    schema = GraphSchema((NodeType("item", "item"),))
    graph = build_graph(Tables(schema, {"item": pa.table({"id": ["a"]})}, {}))
    assert len(graph.events) == 0 and graph.user is None and graph.typed_edges() == {}
    assert len(graph.without_events(np.zeros(0, bool)).events) == 0


def test_events_know_the_words_of_their_bundles(worded, shop):
    assert build_graph(shop()).events.words == ()
    events = build_graph(worded()).events
    assert events.words == tuple(
        "" if n == 3 else f"what b{n} is for" for n in range(16)
    )
    assert events.take(events.item == 3).words == events.words
