"""Recounting a pair without some edges is counting the whole graph without them."""

from dataclasses import replace
from itertools import product

import numpy as np
import pyarrow as pa
import pytest

from kg.counterfactual.index import QueryItemPair
from kg.counterfactual.recount import Recount
from kg.events import events_of
from kg.graph import Graph, build_graph
from kg.metapaths.count import PathConfig, count_paths
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import Tables

CONFIG = PathConfig(half_life=3.0, recent=4.0, keep=1000)


def without(graph: Graph, cut) -> Graph:
    edges = {}
    for key, edge in graph.edges.items():
        keep = np.ones(len(edge), bool)
        keep[cut.get(key[1], np.zeros(0, int))] = False
        edges[key] = edge.take(keep)
    return replace(
        graph,
        edges=edges,
        events=events_of(graph.schema, graph.vocabs, edges, graph.events.words),
    )


def wider(tables: Tables, seed: int, twice: bool = False) -> Tables:
    """With relations between items and from users to brands.

    Users and items have another to brands if twice.
    """
    rng = np.random.default_rng(seed)
    schema = tables.schema.to_dict()
    more = [
        EdgeType("beside", "item", "item", "relation", weight="weight"),
        EdgeType("likes", "user", "brand", "relation"),
    ]
    ends = {"beside": ("i", 14, "i", 14, 30), "likes": ("u", 6, "b", 4, 12)}
    if twice:
        more += [
            EdgeType("shuns", "user", "brand", "relation"),
            EdgeType("fits", "item", "brand", "relation"),
        ]
        ends |= {"shuns": ("u", 6, "b", 4, 12), "fits": ("i", 14, "b", 4, 20)}
    wider = GraphSchema(
        (*GraphSchema.from_dict(schema).nodes,), (*tables.schema.edges, *more)
    )
    edges = dict(tables.edges)
    for name, (a, many, b, others, count) in ends.items():
        rows = {
            (f"{a}{rng.integers(many)}", f"{b}{rng.integers(others)}")
            for _ in range(count)
        }
        columns = [list(c) for c in zip(*sorted(rows), strict=True)]
        edges[name] = pa.table(columns, ["source", "target"])
        if name == "beside":
            edges[name] = edges[name].append_column(
                "weight", pa.array(rng.random(len(rows)))
            )
    return Tables(wider, tables.nodes, edges)


def expected(counts, pair):
    """What the evidence of a whole count says of a pair, in the form of Counted."""
    u, h, t = pair.user, pair.context, pair.item
    found = {
        f"user-item {k}": m[u, t] if u >= 0 else 0.0
        for k, m in counts.user_item.items()
    }
    found |= {
        f"item-item {k}": m[h][:, [t]].toarray().ravel()
        for k, m in counts.item_item.items()
    }
    found |= {f"item {k}": v[t] for k, v in counts.item.items()}
    found |= {f"user {k}": v[u] if u >= 0 else 0.0 for k, v in counts.user.items()}
    for path in counts.attributes:
        values = path.items[h] @ path.items[[t]].T
        held = np.unique(path.items[h].indices)
        of_item = path.items[[t]].indices
        found[f"values {path.name}"] = values.toarray().ravel()
        found[f"together {path.name}"] = path.together[held][:, of_item].sum()
        found[f"of user {path.name}"] = path.users[u, of_item].sum() if u >= 0 else 0.0
    return found


def got(counted):
    found = {f"user-item {k}": v for k, v in counted.user_item.items()}
    found |= {f"item-item {k}": v for k, v in counted.item_item.items()}
    found |= {f"item {k}": v for k, v in counted.item.items()}
    found |= {f"user {k}": v for k, v in counted.user.items()}
    for kind, values in (
        ("values", counted.values),
        ("together", counted.together),
        ("of user", counted.of_user),
    ):
        found |= {f"{kind} {k}": v for k, v in values.items()}
    return found


def same(left, right):
    assert left.keys() == right.keys()
    for name in right:
        np.testing.assert_allclose(
            left[name], right[name], rtol=2e-5, atol=2e-6, err_msg=name
        )


@pytest.mark.parametrize(
    "kind",
    ["shop", "untimed", "wider", "wider twice", "alone", "wide", "wide twice", "twice"],
)
@pytest.mark.parametrize("seed", range(3))
def test_a_recount_is_a_count_of_the_graph_without_the_edges(
    shop, kind, seed, monkeypatch
):
    tables = shop(seed, timed=kind != "untimed")
    if kind.startswith("wide"):
        tables = wider(tables, seed, kind.endswith("twice"))
    if kind in {"wide", "wide twice"}:
        monkeypatch.setattr("kg.metapaths.relations.WIDE", 1)
    if kind == "alone":  # no bundles: takings have an order
        keep = {
            e.name: tables.edges[e.name].slice(0, 0)
            for e in tables.schema.edges
            if e.name in {"holds", "made"}
        }
        tables = tables.with_tables(edges=keep)
    if kind == "twice":  # an item was put into a bundle at two times
        holds = tables.edges["holds"]
        again = holds.slice(0, 20).set_column(
            2, "time", pa.array([float(n % 10) + 0.5 for n in range(20)])
        )
        tables = tables.with_tables(edges={"holds": pa.concat_tables([holds, again])})
    graph = build_graph(tables)
    counts = count_paths(graph, CONFIG)
    recount = Recount(graph, counts)
    rng = np.random.default_rng(seed)
    for trial in range(15):
        context = rng.choice(14, rng.integers(0, 4), replace=False)
        item = int(rng.choice(np.setdiff1d(np.arange(14), context)))
        pair = QueryItemPair(int(rng.integers(-1, 6)), context, item)
        cut = {}
        for name in rng.choice(
            [key[1] for key, e in graph.edges.items() if len(e)],
            int(rng.integers(1, 3)),
        ):
            (edge,) = [e for key, e in graph.edges.items() if key[1] == name]
            cut[str(name)] = rng.choice(
                len(edge), min(len(edge), int(rng.integers(1, 5))), replace=False
            )
        if trial == 0:
            cut = {}
        changed = count_paths(without(graph, cut), CONFIG)
        kept = {
            k: v
            for k, v in expected(changed, pair).items()
            if k in expected(counts, pair)
        }
        found = got(recount.count(pair, cut))
        # an entry that was 0 in the whole graph stays 0: cosines through fewer common users
        # cannot begin
        same(
            found,
            {
                **{k: np.zeros_like(v) for k, v in expected(counts, pair).items()},
                **kept,
            },
        )


@pytest.mark.parametrize("bundles", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_items_are_parted_once_nothing_joins_them(shop, seed, bundles):
    tables = shop(seed)
    if not bundles:
        tables = tables.with_tables(
            edges={n: tables.edges[n].slice(0, 0) for n in ("holds", "made")}
        )
    graph, name = build_graph(tables), "holds" if bundles else "bought"
    (edge,) = [e for key, e in graph.edges.items() if key[1] == name]
    path = "item-bundle-item" if bundles else "item-user-item"
    counts, rng = count_paths(graph, CONFIG), np.random.default_rng(seed)
    recount, pairs = (
        Recount(graph, counts),
        np.stack(np.divmod(np.arange(14 * 14), 14), 1),
    )
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    parted = 0
    for size in (1, 4, len(edge) // 2):
        cut = {name: rng.choice(len(edge), size, replace=False)}
        after = count_paths(without(graph, cut), CONFIG).item_item.get(
            path, counts.item_item[path] * 0
        )
        was, now = (
            np.asarray(m[pairs[:, 0], pairs[:, 1]]).ravel()
            for m in (counts.item_item[path], after)
        )
        found = recount.lost_pairs(
            recount.changes.of(cut), pairs, recount.joined(pairs)
        )
        np.testing.assert_array_equal(found, (was > 0) & (now == 0))
        parted += found.sum()
    assert parted


def test_what_was_pruned_stays_out(shop):
    graph = build_graph(shop(0))
    counts = count_paths(graph, PathConfig(3.0, 4.0, keep=1))
    recount = Recount(graph, counts)
    matrix = counts.item_item["item-bundle-item"]
    for item in range(14):
        pair = QueryItemPair(-1, np.setdiff1d(np.arange(14), [item]), item)
        found = recount.count(pair, {}).item_item["item-bundle-item"]
        np.testing.assert_array_equal(
            found, matrix[pair.context][:, [item]].toarray().ravel()
        )


@pytest.mark.parametrize(
    "older",
    [
        [("u0", "i0", 7.0), ("u0", "i0", 8.0), ("u1", "i0", 2.0), ("u1", "i0", 8.5)],
        [("u0", "i0", -2000.0), ("u1", "i3", -3000.0)],
    ],
    ids=["twice", "so long ago that they count nothing"],
)
def test_ages_count_as_they_were_set(older):
    schema = GraphSchema(
        (NodeType("user", "user"), NodeType("item", "item")),
        (EdgeType("took", "user", "item", "interaction", time="time"),),
    )
    nodes = {
        "user": pa.table({"id": ["u0", "u1"]}),
        "item": pa.table({"id": [f"i{n}" for n in range(4)]}),
    }
    now = [("u0", "i1", 9.0), ("u1", "i2", 9.0), ("u1", "i1", 9.0)]
    took = pa.table(
        [list(c) for c in zip(*older, *now, strict=True)], ["source", "target", "time"]
    )
    graph = build_graph(Tables(schema, nodes, {"took": took}))
    counts = count_paths(graph, CONFIG)
    recount = Recount(graph, counts)
    for user, item in product(range(2), range(4)):
        pair = QueryItemPair(user, np.setdiff1d(np.arange(4), [item]), item)
        same(got(recount.count(pair, {})), expected(counts, pair))
        cut = {"took": np.array([item])}
        changed = count_paths(without(graph, cut), CONFIG)
        kept = {k: np.zeros_like(v) for k, v in expected(counts, pair).items()}
        same(
            got(recount.count(pair, cut)),
            kept | {k: v for k, v in expected(changed, pair).items() if k in kept},
        )
