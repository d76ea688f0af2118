"""Pictures of an explanation: what stands in them, and that a title cannot become markup."""

import json
import sys

import pytest

from fusion.explain.page import to_html
from kg.errors import InputError


def test_a_page_holds_every_node_and_edge_as_wide_as_it_carries(made):
    pytest.importorskip("neo4j_viz")
    page = to_html(made)
    assert "<title>lamp</title>" in page and page.count("<pre") == 1
    assert 'src="http' not in page and 'import("http' not in page
    edges = json.JSONDecoder().raw_decode(
        page, page.index('"relationships": ') + len('"relationships": ')
    )[0]
    ends = [
        (edge["from"], edge["caption"], edge["to"], edge["width"]) for edge in edges
    ]
    # against its direction is how the second is walked, not how it is drawn
    wide, thin = 8.0, pytest.approx(1 + 7 * 0.2)
    assert ends == [
        ("user u1", "bought", "item i1", wide),
        ("user u1", "bought", "item i2", thin),
        ("item i2", "beside", "item i1", wide),
    ]


def test_a_title_is_no_markup(made):
    pytest.importorskip("neo4j_viz")
    page = to_html(made)
    assert (
        "alert(1)" in page
        and "<script>alert" not in page
        and "</script><script>" not in page.replace("\n", "")
    )


def test_without_the_extra_it_is_named(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "neo4j_viz", None)
    with pytest.raises(InputError, match=r"pip install 'trousseau\[viz\]'") as error:
        to_html(made)
    assert error.value.field == "html" and "\n" not in str(error.value)
