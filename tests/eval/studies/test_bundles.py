"""Whole bundles measured on a checkerboard: against counting by hand and scoring anew."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eval.__main__ import main
from eval.bench.bundle_tables import bundles as bundle_tables
from eval.studies.bundles import Held, held_bundles
from eval.studies.compatibility import (
    matched,
)
from fusion.bundles.plan import Plan, Slot
from fusion.query import Query
from fusion.runs.artifacts import save
from fusion.runs.folder import new_run
from kg.errors import DataError
from tests.eval.studies.told import REAL, thing

CHAIRS = [
    0,
    1,
    20,
    21,
    40,
    41,
]  # the last two nobody took; of every other thing there are four


def test_bundles_are_those_of_a_fitting_size_with_what_the_graph_knows(
    served, tmp_path
):
    rows = [
        ("i002", "u001", "a", "a pair"),
        ("i000", "u001", "a", "a pair"),
        ("i004", "u001", "single", ""),
        ("i006", "u001", "twice the same", ""),
        ("i006", "u001", "twice the same", ""),
        *((f"i{n:03d}", "u002", "nine", "") for n in range(9)),
        ("i003", "nobody", "unknown", ""),
        ("gone", "nobody", "unknown", ""),
        ("i001", "nobody", "unknown", ""),
        ("i008", "u003", None, None),
    ]
    file = tmp_path / "test.parquet"
    table = pa.table(
        list(map(list, zip(*rows, strict=True))), ["item", "user", "bundle", "words"]
    )
    pq.write_table(table.append_column("time", pa.array([5.0] * len(rows))), file)
    found = held_bundles(served, file, 0, 0)
    assert [(one.items.tolist(), one.user, one.words) for one in found] == [
        ([0, 2], 1, "a pair"),
        ([1, 3], -1, ""),
    ]
    assert found[0].group == 1 and found[1].group < 0
    assert len(held_bundles(served, file, 1, 0)) == 1
    assert (
        held_bundles(served, file, 1, 3)[0].items.tolist()
        == held_bundles(served, file, 1, 3)[0].items.tolist()
    )
    pq.write_table(pq.read_table(file).slice(2, 3), file)
    with pytest.raises(DataError, match="no held-out bundle has 2 to 8 items"):
        held_bundles(served, file, 0, 0)


def test_built_bundles_are_counted_against_the_real_one(bench, served):
    words = "black lamp"
    (built,) = served.build(Plan(size=(3, 3), alternatives=1), text=words)
    rows = served.items.rows([piece.id for piece in built.items])
    other = next(row for row in range(42) if row not in rows)
    bundles = [
        Held(np.sort(rows), -1, words, 0),
        Held(np.sort([*rows[:2], other]), -1, words, 1),
    ]
    scores = bench.build(bundles, "intent", slots=False)
    assert {name: value.tolist() for name, value in scores.values["build"].items()} == {
        "Precision": [1, 2 / 3],
        "Recall": [1, 2 / 3],
        "Jaccard": [1, 1 / 2],
    }
    query = served.queries([Query(text=words)])
    assert set(scores.values) == {
        "build",
        "greedy",
        "random",
        "co-occurrence",
        "text similarity",
    }
    for name, scorer in {"greedy": served, **bench.baselines}.items():
        best = set(np.argsort(-scorer.score(query)[0], kind="stable")[:3].tolist())
        for n, one in enumerate(bundles):
            hits = len(best & set(one.items.tolist()))
            assert scores.values[name]["Precision"][n] == pytest.approx(hits / 3)
            assert scores.values[name]["Jaccard"][n] == pytest.approx(hits / (6 - hits))
    assert (
        scores.groups.tolist() == [0, 1]
        and scores.seconds["build"] > 0 == scores.seconds["greedy"]
    )


@pytest.mark.parametrize("slots", [False, True])
def test_a_seed_is_at_hand_and_counts_for_nothing(bench, served, slots):
    rng = np.random.default_rng(0)
    scores = bench.build(REAL, "seed", slots)
    for n, one in enumerate(REAL):
        (seed,) = rng.permutation(one.items)[:1].tolist()
        rng.random(42)  # what the random baseline draws
        names = [
            name
            for name in served.facts.values("category").names
            if name in {thing(served, r) for r in one.items}
        ]
        places = (
            tuple(Slot(name, (("category", (name,)),)) for name in names)
            if slots
            else ()
        )
        plan = Plan(size=(len(one.items),) * 2, alternatives=1, slots=places)
        (built,) = served.build(plan, f"u{one.user:03d}", [f"i{seed:03d}"])
        hits = len(
            {p.id for p in built.items if not p.kept}
            & {f"i{row:03d}" for row in one.items}
        )
        rest = len(one.items) - 1
        found = {name: value[n] for name, value in scores.values["build"].items()}
        assert found == pytest.approx(
            {
                "Precision": hits / rest,
                "Recall": hits / rest,
                "Jaccard": hits / (2 * rest - hits),
            }
        )
        score = served.score(
            served.queries([Query(f"u{one.user:03d}", (f"i{seed:03d}",))])
        )[0]
        score[seed] = -np.inf
        order = np.argsort(-score, kind="stable").tolist()
        wanted = [thing(served, row) for row in one.items if row != seed]
        greedy = (
            {next(r for r in order if thing(served, r) == w) for w in wanted}
            if slots
            else set(order[:rest])
        )
        assert scores.values["greedy"]["Recall"][n] == pytest.approx(
            len(greedy & set(one.items.tolist())) / rest
        )


def test_an_item_is_matched_by_one_of_its_category_that_is_as_new(bench):
    rng = np.random.default_rng(0)
    assert {matched(bench, rng, 0, []) for _ in range(50)} == {1, 20, 21}
    assert matched(bench, rng, 0, [1, 21]) == 20
    assert matched(bench, rng, 40, []) == 41 and matched(bench, rng, 40, [41]) == -1


@pytest.fixture
def run_folder(served, trained, tmp_path):
    with new_run(tmp_path / "runs", "tiny") as folder:
        save(served, trained.recipe, folder)
        (folder / "held_out").mkdir()
        for name in ("valid", "test"):
            pq.write_table(
                getattr(trained.prepared.split, name).events,
                folder / "held_out" / f"{name}.parquet",
            )
    return next((tmp_path / "runs").iterdir())


def test_the_command_measures_a_run_and_its_file_becomes_tables(
    run_folder, tmp_path, capsys
):
    out = tmp_path / "results"
    out.mkdir()
    assert bundle_tables(out) == "No results yet."
    flags = ["--limit", "5", "--draws", "20", "--out", str(out), "--quiet"]
    assert main(["combinations", str(run_folder), *flags]) == 0
    assert main(["combinations", str(run_folder), "--split", "valid", *flags]) == 0
    told = capsys.readouterr().out
    saved = json.loads(
        (out / "combinations.json").read_text(), parse_constant=pytest.fail
    )  # NaN is no JSON
    assert list(saved) == ["checkerboard", "checkerboard, valid"]
    found = SimpleNamespace(**saved["checkerboard"])
    assert found.bundles == 5 and found.split == "test" and 2 <= found.items <= 8
    seeds = ["build from seed", "build from seed, slots given"]
    assert list(found.tables) == [
        *seeds,
        "judge",
        "blanks",
        "rank",
        "diversity",
        "complements",
    ]
    for name, report in found.tables.items():
        for block in report["blocks"]:
            assert 1 <= block["queries"] <= 5
            for n, row in enumerate(block["rows"]):
                assert list(row["values"]) == report["metrics"] and bool(
                    row["behind"]
                ) == bool(n)
                assert all(
                    v["low"] is None or v["low"] <= v["mean"] <= v["high"]
                    for v in row["values"].values()
                )
        first, metric = report["blocks"][0]["rows"][0], report["metrics"][0]
        assert (
            f"  {first['name']:16} {metric} {first['values'][metric]['mean']:.4f}"
            in told
        )
        assert f"**{name}**: " in bundle_tables(out)
    assert set(found.AUC) == {
        row["name"] for row in found.tables["judge"]["blocks"][0]["rows"]
    }
    strengths = [
        row["name"] for row in found.tables["complements"]["blocks"][0]["rows"]
    ]
    assert strengths[0] == "complements 0" and strengths[-1] == "complements 2"
    text = bundle_tables(out)
    assert text.count("\n## ") == 2 and "--split test --limit 5 --draws 20" in text
    second = found.tables["build from seed"]["blocks"][0]["rows"][1]
    assert (
        f"| {second['name']} | " in text
        and f"{second['values']['Jaccard']['mean']:.4f}" in text
    )
    lines = [
        line.replace(r"\|", "") for line in text.splitlines() if line.startswith("|")
    ]
    assert len({line.count("|") for line in lines}) <= 3
    assert (
        main(["combinations", str(tmp_path), *flags]) == 2
        and capsys.readouterr().err.count("\n") == 1
    )
