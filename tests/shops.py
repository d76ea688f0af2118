"""Small random graphs with everything that is allowed in one."""

import numpy as np
import pyarrow as pa

from kg.schema import EdgeType, GraphSchema, NodeType
from kg.tables import Tables


def make_shop(seed: int = 0, timed: bool = True) -> Tables:
    """A small random graph with everything that is allowed in one.

    Bundles with no, one and two owners; items taken alone; items with no, one and two values;
    a brand and two items (the last ones) that nobody takes; a user (the last one) who takes
    nothing.
    """
    rng = np.random.default_rng(seed)
    users, items, bundles, brands = 6, 14, 16, 4
    holds, made, bought, by = [], [], [], []
    for b in range(bundles):
        when = float(rng.integers(10))
        holds += [
            (f"b{b}", f"i{i}", when)
            for i in rng.choice(items - 2, rng.integers(1, 5), replace=False)
        ]
        made += [
            (f"u{u}", f"b{b}", when)
            for u in rng.choice(users - 1, (1, 1, 0, 2)[b % 4], replace=False)
        ]
    for _ in range(16):
        bought += [
            (
                f"u{rng.integers(users - 1)}",
                f"i{rng.integers(items - 2)}",
                float(rng.integers(10)),
            )
        ]
    for i in range(items):
        by += [(f"i{i}", f"b{v}") for v in rng.choice(brands - 1, i % 3, replace=False)]
    by += [(f"i{items - 1}", f"b{brands - 1}")]
    time = "time" if timed else ""
    schema = GraphSchema(
        (
            NodeType("user", "user"),
            NodeType("bundle", "bundle"),
            NodeType("item", "item", title="title", text=("title",)),
            NodeType("brand", "attribute", text=("id",)),
        ),
        (
            EdgeType("holds", "bundle", "item", "membership", time=time),
            EdgeType("made", "user", "bundle", "interaction", time=time),
            EdgeType("bought", "user", "item", "interaction", time=time),
            EdgeType("by", "item", "brand", "relation"),
        ),
    )
    sizes = {"user": users, "bundle": bundles, "brand": brands}
    tables = {
        name: pa.table({"id": [f"{name[0]}{n}" for n in range(size)]})
        for name, size in sizes.items()
    }
    titles = ["" if n == 1 else f"thing of kind {n // 2}" for n in range(items)]
    tables["item"] = pa.table({"id": [f"i{n}" for n in range(items)], "title": titles})
    edges = {}
    for name, rows in (("holds", holds), ("made", made), ("bought", bought)):
        once = dict.fromkeys(
            rows if timed else [(source, target, 0.0) for source, target, _ in rows]
        )
        edges[name] = pa.table(
            [list(c) for c in zip(*once, strict=True)], ["source", "target", "time"]
        )
    edges["by"] = pa.table(
        [list(c) for c in zip(*by, strict=True)], ["source", "target"]
    )
    return Tables(schema, tables, edges)
