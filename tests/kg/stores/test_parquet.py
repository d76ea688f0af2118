from kg.graph import build_graph
from kg.sources.checkerboard import Checkerboard
from kg.stores.parquet import to_networkx


def test_networkx_has_every_node_and_edge_with_its_facts():
    tables = Checkerboard.example()
    graph = build_graph(tables)
    made = to_networkx(graph)
    assert made.number_of_nodes() == sum(len(t) for t in tables.nodes.values())
    assert made.number_of_edges() == sum(len(t) for t in tables.edges.values())
    edge = next(e for e in tables.schema.edges if e.time)
    row = tables.edges[edge.name].to_pylist()[0]
    facts = made[(edge.source, row["source"])][(edge.target, row["target"])][edge.name]
    assert facts["time"] == row["time"] and facts["weight"] == 1.0
    item = tables.schema.item.name
    first = tables.nodes[item]["id"][0].as_py()
    assert made.nodes[(item, first)] == {"type": item, "title": "black chair number 0"}
