"""Occlusion against the real thing: the graph without the edges, counted and encoded anew."""

from dataclasses import replace
from itertools import product

import numpy as np
import pyarrow as pa
import pytest
import torch

from fusion.explain.attribution import of_words, words_of
from fusion.explain.cases import Case
from fusion.explain.occlusion import Occlusion
from fusion.model.config import FusionConfig
from fusion.model.features import ALIKE, WORDS, MetapathFeatures
from fusion.model.hybrid import Hybrid
from fusion.model.snapshot import GraphSnapshot, NodeTexts
from fusion.query import Query
from fusion.recommender import Recommender
from kg.events import events_of
from kg.graph import build_graph
from kg.metapaths.count import PathConfig, count_paths
from kg.schema import EdgeType, GraphSchema
from kg.tables import Tables


@pytest.fixture
def made(small, shop):
    """An untrained recommender over a shop, its head as if trained."""
    model = small().model
    tables = shop()
    counts = count_paths(build_graph(tables), PathConfig(2.0, 3.0))
    torch.manual_seed(1)
    for parameter in model.head.mix[-1].parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return Recommender.assemble(model.eval(), tables, counts, "cpu")


def really(recommender, cut, query, item):
    """The item's score in a graph that never had the edges."""
    tables, model = recommender.tables, recommender.model
    whole, edges = recommender.snapshot.graph, {}
    for key, edge in whole.edges.items():
        keep = np.ones(len(edge), bool)
        keep[cut.get(key[1], np.zeros(0, int))] = False
        edges[key] = edge.take(keep)
    graph = replace(
        whole, edges=edges, events=events_of(whole.schema, whole.vocabs, edges, ())
    )
    counts, texts = count_paths(graph, PathConfig(2.0, 3.0)), NodeTexts.of(tables)
    snapshot = GraphSnapshot(
        graph,
        counts,
        texts,
        model.config,
        torch.device("cpu"),
        recommender.snapshot.seen_items,
    )
    # Which items stand next to each other stays as it was.
    together = ("item", "together", "item")
    snapshot.edges[together] = recommender.snapshot.edges[together]
    embeddings = model.encode(
        snapshot, model.text and model.text.encode_table(model.text.table(texts.texts))
    )
    queries = recommender.queries([query])
    with torch.no_grad():
        rows, phi = snapshot.features(queries, 100, torch.tensor([[item]]))
        words = recommender.words(queries)
        found = model.score(
            snapshot, queries, embeddings.items, embeddings.users, words
        )
        at = (found.rows[0] == item).nonzero()
    assert len(at), (rows, phi.shape)
    return float(found.score[0, at[0, 0]])


@pytest.mark.parametrize(
    "query",
    [
        Query("u1"),
        Query("u2", ("i1", "i4")),
        Query(items=("i3",), text="thing of kind 2"),
    ],
    ids=str,
)
def test_a_score_without_edges_is_the_score_of_the_graph_without_them(made, query):
    occlusion, rng = Occlusion(made), np.random.default_rng(0)
    item = made.items.row(made.answer(query)[0].id)
    spot = occlusion.spot(query, item)
    assert occlusion.scores(spot, [Case()])[0] == pytest.approx(spot.served, abs=1e-4)
    compared = 0
    for _ in range(12):
        name = str(rng.choice(["holds", "made", "bought", "by"]))
        ((_, edge),) = [
            (k, e) for k, e in made.snapshot.graph.edges.items() if k[1] == name
        ]
        cut = {name: rng.choice(len(edge), 2, replace=False)}
        apart = [
            e
            for k, *e in occlusion.features.without(spot, cut)[1]
            if k[1] == "together" and len(e[0])
        ]
        if not apart:
            compared += 1
            assert occlusion.scores(spot, [Case(cut)])[0] == pytest.approx(
                really(made, cut, query, item), abs=2e-3
            )
    assert compared > 4


def test_two_relations_to_one_type_are_told_apart(shop):
    """Of users to brands, and of items."""
    tables, shown = shop(), []
    more = {
        "follows": ("user", [("u1", "b0")]),
        "shuns": ("user", [("u1", "b1"), ("u2", "b0")]),
        "fits": ("item", [(f"i{n}", f"b{n % 2}") for n in range(9)]),
    }
    schema = GraphSchema(
        tables.schema.nodes,
        (
            *tables.schema.edges,
            *(
                EdgeType(name, end, "brand", "relation")
                for name, (end, _) in more.items()
            ),
        ),
    )
    edges = {
        name: pa.table(
            [list(ends) for ends in zip(*pairs, strict=True)], ["source", "target"]
        )
        for name, (_, pairs) in more.items()
    }
    tables = Tables(schema, tables.nodes, {**tables.edges, **edges})
    graph, config = build_graph(tables), FusionConfig(8, text=False, graph=False)
    counts = count_paths(graph, PathConfig(2.0, 3.0))
    torch.manual_seed(1)
    names = MetapathFeatures(counts).names
    model = Hybrid(config, None, None, {}, [], (graph.user, graph.item), len(names))
    assert model.head is not None
    for parameter in model.head.mix[-1].parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    made, query = Recommender.assemble(model, tables, counts, "cpu"), Query("u1")
    paths = {
        "follows": [
            "user-follows-brand-by-item",
            "user-follows-brand-fits-item",
            "user-follows-brand-user-item",
        ],
        "shuns": [
            "user-shuns-brand-by-item",
            "user-shuns-brand-fits-item",
            "user-shuns-brand-user-item",
        ],
        "fits": ["user-follows-brand-fits-item", "user-shuns-brand-fits-item"],
    }
    for item, (name, told) in product(range(5), paths.items()):
        occlusion = Occlusion(made)
        spot, cut = occlusion.spot(query, item), {name: np.arange(len(edges[name]))}
        without = occlusion.features.without(spot, cut)[0]
        for path in told:
            assert without[names.index(path)] == 0
            shown += [(name, path)] * int(spot.phi[names.index(path)] > 0)
        assert occlusion.scores(spot, [Case(cut)])[0] == pytest.approx(
            really(made, cut, query, item), abs=2e-3
        )
    assert set(shown) == {(name, path) for name, told in paths.items() for path in told}


def test_counts_and_messages_are_told_apart_and_guessed(made):
    occlusion = Occlusion(made)
    query = Query("u1")
    item = made.items.row(made.answer(query)[0].id)
    spot = occlusion.spot(query, item)
    every = {
        "made": np.arange(len(made.snapshot.graph.edges[("user", "made", "bundle")]))
    }
    whole, both, counted, messages = occlusion.scores(
        spot,
        [Case(), Case(every), Case(every, messages=False), Case(every, counted=False)],
    )
    assert len({round(float(x), 6) for x in (whole, both, counted, messages)}) == 4
    assert np.isfinite(occlusion.estimates(spot, [every, {}])).all()
    assert occlusion.estimates(spot, [{}])[0] == pytest.approx(0, abs=1e-6)


def test_words_are_taken_out_one_by_one(made):
    assert words_of("red red sock") == [("red", "sock"), ("sock", "red red")]
    assert words_of("Pizza, frozen pizza") == [
        ("Pizza", ", frozen"),
        ("frozen", "Pizza, pizza"),
    ]
    assert len(words_of(" ".join("abcdefghijklmnop"))) == 12
    assert words_of("Größe 7, (new)") == [
        ("Größe", "7, (new)"),
        ("7", "Größe , (new)"),
        ("new", "Größe 7, ( )"),
    ]
    occlusion, query = Occlusion(made), Query(text="thing of kind 2")
    spot = occlusion.spot(query, made.items.row("i4"))
    whole, without, silent = occlusion.scores(
        spot, [Case(), Case(asked="thing of kind"), Case(asked="", text="")]
    )
    again = occlusion.spot(Query(text="thing of kind"), made.items.row("i4"))
    assert without == pytest.approx(
        float(occlusion.scores(again, [Case()])[0]), abs=1e-4
    )
    assert silent != pytest.approx(whole, abs=1e-4)


def test_items_alike_by_their_words_are_language_and_not_paths(made, monkeypatch):
    """i5 and i4 are both of kind 2, and nothing else has that word."""
    occlusion, names = Occlusion(made), made.snapshot.features.names
    spot = occlusion.spot(
        Query(items=("i0", "i4"), text="kind 2"), made.items.row("i5")
    )
    alike = [n for n, name in enumerate(names) if name.startswith(ALIKE)]
    assert (
        len(alike) == 3 and (spot.phi[alike] > 0).all()
    )  # the sum, the best, and lately

    def phi(case):
        return occlusion.features(spot, [case])[0]

    torch.testing.assert_close(
        phi(Case(asked="kind 2", text="thing of kind 2")), spot.phi
    )
    every = {
        key[1]: np.arange(len(edge)) for key, edge in made.snapshot.graph.edges.items()
    }
    torch.testing.assert_close(phi(Case(every))[alike], spot.phi[alike])
    torch.testing.assert_close(phi(Case(asked=""))[alike], spot.phi[alike])
    assert not phi(Case(text="thing of kind"))[alike].any()
    assert not phi(Case(text="thing of kind 0"))[
        alike
    ].any()  # which is as i0, but i0 was none of its likes
    (half,) = phi(Case(text="2 more"))[[alike[0]]] / spot.phi[[alike[0]]]
    assert half == pytest.approx(1)  # words that nothing else has do not count
    asked, match = (
        phi(Case(asked="kind"))[names.index(WORDS)],
        spot.phi[names.index(WORDS)],
    )
    assert 0 < phi(Case(text="kind 3"))[names.index(WORDS)] < match
    again = occlusion.spot(Query(items=("i0", "i4"), text="kind"), made.items.row("i5"))
    assert asked == pytest.approx(float(again.phi[names.index(WORDS)]))
    # all paths blank: what is left of the counts between query and item is its words
    seen: list[Case] = []

    def noted(spot, cases):
        seen.extend(cases)
        return np.zeros(len(cases))

    monkeypatch.setattr(occlusion, "scores", noted)
    of_words(occlusion, spot)
    paths, words = seen[1], seen[3]
    assert (
        not any(name.startswith(ALIKE) for name in paths.blank)
        and "item-user-item cosine" in paths.blank
    )
    assert not phi(words)[[*alike, names.index(WORDS)]].any()
