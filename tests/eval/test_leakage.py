"""The audit finds a copy of what is held out, and is silent about honest data."""

import numpy as np
import pyarrow as pa
import pytest

from eval.__main__ import main
from eval.leakage.audit import audit, usual
from fusion.tasks.attribute_search import AttributeSearch
from fusion.tasks.basket_completion import BasketCompletion
from kg.graph import build_graph
from kg.schema import EdgeType, GraphSchema, NodeType
from kg.sources.checkerboard import Checkerboard
from kg.split.grouped import GroupedSplit
from kg.split.time import TimeSplit
from kg.stores.base import write_tables
from kg.stores.open import open_store
from kg.tables import Tables

TASKS = {"bundles": BasketCompletion(min_items=2)}


def bundled(extra="", twins=0, seed=0):
    """120 users with two bundles each of 400 items; `extra` is the role of their exact union."""
    rng = np.random.default_rng(seed)
    made, holds, users, items = [], [], 120, 400
    for b in range(2 * users):
        made.append((f"u{b // 2}", f"b{b}"))
        chosen = rng.choice(items, rng.integers(3, 6), replace=False)
        holds += [(f"b{b}", f"i{i}") for i in chosen]
    for b in range(twins):
        made.append((f"u{b}", f"t{b}"))
        holds += [(f"t{b}", i) for bundle, i in holds if bundle == f"b{2 * b + 60}"]
    owner = {b: u for u, b in made}
    union = sorted({(owner[b], i) for b, i in holds})
    edges = {"made": made, "holds": holds} | ({"likes": union} if extra else {})
    types = [
        EdgeType("made", "user", "bundle", "interaction"),
        EdgeType("holds", "bundle", "item", "membership"),
    ]
    types += [EdgeType("likes", "user", "item", extra)] if extra else []
    nodes = {
        "user": pa.table({"id": [f"u{n}" for n in range(users)]}),
        "bundle": pa.table({"id": [b for _, b in made]}),
        "item": pa.table({"id": [f"i{n}" for n in range(items)]}),
    }
    roles = (
        NodeType("user", "user"),
        NodeType("bundle", "bundle"),
        NodeType("item", "item"),
    )
    tables = {
        n: pa.table(list(map(list, zip(*rows, strict=True))), ["source", "target"])
        for n, rows in edges.items()
    }
    return Tables(GraphSchema(roles, tuple(types)), nodes, tables)


def audited(tables, split=None, tasks=None):
    made = (split or GroupedSplit(0.2, 0.2, group="bundle"))(tables)
    return audit(made, build_graph(made.train), tasks or TASKS)


@pytest.mark.parametrize("role", ["interaction", "relation"])
def test_an_edge_that_is_the_union_of_the_users_bundles_is_found(role):
    found = audited(bundled(role))
    (leak,) = found.leaks
    assert "drop 'likes'" in leak and "made" not in leak and "holds" not in leak
    assert found.line().startswith(
        "LEAK: bundles: likes from the user has recall@10 1.00"
    )
    best = {(p.path, p.start): p for p in found.paths}
    assert (
        best[("likes",), "user"].recall
        == best[("likes", "likes"), "items"].reached
        == 1
    )


def test_the_same_graph_without_it_is_clean():
    found = audited(bundled())
    assert found.leaks == () and found.line().startswith("no edge gives")
    assert max(p.recall for p in found.paths) < 0.2


def test_held_out_users_lose_the_edge_and_with_it_the_leak():
    assert (
        audited(bundled("interaction"), GroupedSplit(0.2, 0.2, group="user")).leaks
        == ()
    )


def test_a_hidden_user_does_not_hide_the_leak():
    (leak,) = audited(
        bundled("relation"),
        tasks={"bundles": BasketCompletion(min_items=2, user=False)},
    ).leaks
    assert "likes + likes from the items" in leak and "drop 'likes'" in leak


def test_copies_of_bundles_are_counted_and_flagged():
    assert not any(
        "0 of" not in note for note in audited(bundled()).notes if "exactly" in note
    )
    found = audited(bundled(twins=90))
    assert any("exactly the items of a training bundle" in leak for leak in found.leaks)


def test_an_honest_world_with_a_strong_pattern_is_clean(checkerboard):
    recipe = checkerboard()
    found = audited(Checkerboard(40, 40).load(), recipe.split, recipe.tasks)
    assert found.leaks == () and max(p.recall for p in found.paths) > 0.2
    assert all(p.recall <= p.reached + 0.5 and 0 <= p.spread <= 1 for p in found.paths)
    assert any(
        note.startswith(
            "words: the query stands word by word in the target's text in 40 of 40"
        )
        for note in found.notes
    )


def test_targets_that_training_lacks_are_counted():
    found = audited(
        Checkerboard(40, 40).load(),
        TimeSplit(3, 4, cold_fraction=0.3),
        {"baskets": BasketCompletion(2)},
    )
    share = float(found.notes[0].split("baskets: ")[1].split("%")[0])
    assert (
        10 < share < 50
        and audited(
            Checkerboard(40, 40).load(), TimeSplit(3, 4), {"w": AttributeSearch()}
        ).notes[0][:6]
        == "w: 0.0"
    )


def test_few_asks_say_nothing():
    tables = bundled("relation")
    found = audited(tables, GroupedSplit(0.02, 0.02, group="bundle"))
    assert (
        found.leaks == ()
        and found.paths[0].queries < 20
        and found.paths[0].recall > 0.9
    )


def test_a_graph_that_comes_without_a_recipe():
    split, tasks = usual(bundled())
    assert (
        isinstance(split, GroupedSplit)
        and split.group == "bundle"
        and list(tasks) == ["bundles"]
    )
    assert type(usual(Checkerboard().load())[0]).__name__ == "LeaveLast"


@pytest.mark.parametrize(("extra", "code"), [("", 0), ("relation", 1)])
def test_the_command_says_which_edge_to_drop_and_fails(extra, code, tmp_path, capsys):
    with open_store(str(tmp_path / "g.duckdb"), create=True) as store:
        write_tables(store, bundled(extra))
    assert main(["audit", str(tmp_path / "g.duckdb")]) == code
    printed = capsys.readouterr().out
    assert ("LEAK" in printed and "drop 'likes'" in printed) == bool(code)
    assert "recall@10" in printed and "split GroupedSplit" in printed


def test_bad_input_is_one_line(tmp_path, capsys):
    assert main(["audit", str(tmp_path / "none.duckdb")]) == 2
    assert main(["audit", str(tmp_path / "none.duckdb"), "--recipe", "nosuch"]) == 2
    assert capsys.readouterr().err.count("\n") == 2
