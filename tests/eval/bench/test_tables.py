"""Pages and tables say what the results say, and nothing typed by hand."""

import json
import re

import pytest

from eval.bench.dataset_pages import dataset_page
from eval.bench.overview import README_ROWS, overview, representative
from eval.bench.tables import (
    BEGIN,
    END,
    PAGES,
    RESULTS,
    ROOT,
    between,
    pages,
    read_results,
    sections,
)


def test_the_tables_say_what_the_results_say(result):
    short, long = overview([result]), dataset_page("Checkerboard", result, None)
    short = short.replace("**", "")
    mean = result["tasks"]["words"]["blocks"][0]["rows"][0]["values"]["HR@10"]["mean"]
    assert f"| HR@10 | {mean:.4f}" in short and "A paper 0.5000" in short
    best = max(
        r["values"]["HR@10"]["mean"]
        for r in result["tasks"]["words"]["blocks"][0]["rows"][1:4]
    )
    assert f"| {best:.4f} " in short.splitlines()[2]
    assert (
        "A paper, published | 0.5000" in long
        and "Nobody, 1999" in long
        and result["splits"][0][:12] in long
    )
    for text in (short, long):
        tables = [line for line in text.splitlines() if line.startswith("|")]
        assert len({line.replace(r"\|", "").count("|") for line in tables}) <= 3
    (kept,) = result["chosen"]["hybrid"]
    assert (
        kept.startswith("of what vectors add")
        and f"Chosen on validation: hybrid: {kept}; " in long
    )
    assert long.count("\n| hybrid |") == 2 and "None | at all" in long


def test_quick_runs_and_strangers_stay_out_of_the_tables(result, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(result))
    (tmp_path / "b.json").write_text(json.dumps({**result, "quick": True}))
    assert [r["name"] for r in read_results(tmp_path)[0]] == ["board"] and read_results(
        tmp_path
    )[1] == []


def test_between_the_markers_and_nowhere_else():
    assert (
        between(f"a\n{BEGIN}\nold\n{END}\nb", "new", "x")
        == f"a\n{BEGIN}\n\nnew\n\n{END}\nb"
    )
    with pytest.raises(ValueError, match="x: wanted"):
        between(f"a {BEGIN}", "new", "x")


@pytest.mark.parametrize("name", sections(RESULTS))
def test_the_documents_tables_are_those_of_the_results(name):
    document = (ROOT / name).read_text(encoding="utf-8")
    assert document == between(document, sections(RESULTS)[name], name), (
        "write it anew: python -m eval tables"
    )


def test_each_data_set_has_the_page_of_its_results_and_no_page_is_left_over():
    wanted = pages(RESULTS)
    apart = {"index", "bundles", "explanations"}
    files = [f for f in (ROOT / PAGES).glob("*.md") if f.stem not in apart]
    assert {f"{PAGES}{file.name}" for file in files} == set(wanted)
    for file in files:
        text = wanted[f"{PAGES}{file.name}"]
        assert file.read_text(encoding="utf-8") == text, (
            "write it anew: python -m eval tables"
        )


def test_the_readme_shows_at_most_six_rows_and_each_rows_best_in_bold():
    results = read_results(RESULTS)[0]
    lines = representative(results, PAGES).splitlines()
    rows = [line for line in lines[2:] if line.startswith("|")]
    assert len(rows) == len(README_ROWS) == 6
    for row in rows:
        bold = {float(mean) for mean in re.findall(r"\*\*([\d.]+)\*\*", row)}
        means = [float(m) for m in re.findall(r"(?<![\d.±])0\.\d{4}", row)]
        assert bold == {max(means)}
    assert f"({PAGES}index.md)" in lines[-1]
