import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.errors import DataError
from kg.schema import EdgeType, GraphSchema, NodeType

USER, ITEM = NodeType("user", "user"), NodeType("item", "item")
BUNDLE, BRAND = NodeType("bundle", "bundle"), NodeType("brand", "attribute")
NODES = (USER, ITEM, BUNDLE, BRAND)
FULL = GraphSchema(
    (
        NodeType("item", "item", "It`em", "key", "name", ("name", "words"), ("price",)),
        USER,
    ),
    (EdgeType("bought", "user", "item", "interaction", weight="n", time="at"),),
)


def test_names_in_the_database_follow_the_type():
    assert ITEM.label == "item" and NodeType("a", "item", "B").label == "B"
    assert EdgeType("made_by", "item", "brand", "relation").relationship == "MADE_BY"


def test_columns_are_each_property_once_without_the_id():
    node = NodeType(
        "x",
        "item",
        id="key",
        title="name",
        text=("name", "key", "words"),
        properties=("words", "price"),
    )
    assert node.columns == ("name", "words", "price")


def test_look_ups():
    assert (
        FULL.node("user") is USER
        and FULL.edge("bought").weight == "n"
        and FULL.item.label == "It`em"
    )
    assert FULL.of_role("user") is USER and FULL.of_role("bundle") is None
    with pytest.raises(KeyError, match=r"no node type 'nope'.*item, user"):
        FULL.node("nope")
    with pytest.raises(KeyError, match=r"no edge type 'nope'.*bought"):
        FULL.edge("nope")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: NodeType("two words", "item"), "two words"),
        (lambda: NodeType("item", "thing"), "role 'thing'"),  # type: ignore[arg-type]
        (lambda: NodeType("item", "item", id=""), "no name"),
        (
            lambda: NodeType("item", "item", id="sku", properties=("id",)),
            "beside the id 'sku'",
        ),
        (lambda: EdgeType("a b", "item", "item", "relation"), "a b"),
        (lambda: EdgeType("a", "item", "item", "likes"), "role 'likes'"),  # type: ignore[arg-type]
        (lambda: GraphSchema((ITEM, ITEM)), "node type named twice: item"),
        (
            lambda: GraphSchema((ITEM, NodeType("other", "attribute", "item"))),
            "label named twice",
        ),
        (lambda: GraphSchema((USER,)), "0 node types have the role item"),
        (
            lambda: GraphSchema((ITEM, NodeType("more", "item"))),
            "2 node types have the role item",
        ),
        (
            lambda: GraphSchema((ITEM, USER, NodeType("more", "user"))),
            "2 node types have the role user",
        ),
        (
            lambda: GraphSchema((ITEM,), (EdgeType("e", "item", "nope", "relation"),)),
            "no node type 'nope'",
        ),
        (
            lambda: GraphSchema(NODES, (EdgeType("e", "item", "user", "interaction"),)),
            "from item to user",
        ),
        (
            lambda: GraphSchema(NODES, (EdgeType("e", "user", "item", "membership"),)),
            "from user to item",
        ),
        (
            lambda: GraphSchema(
                NODES, (EdgeType("e", "item", "item", "relation"),) * 2
            ),
            "edge type named twice: e",
        ),
        (
            lambda: GraphSchema(
                NODES,
                tuple(EdgeType(n, "item", "brand", "relation", "MADE") for n in "ab"),
            ),
            "relationship .* named twice: item MADE brand",
        ),
    ],
)
def test_a_contradiction_is_named(make, says):
    with pytest.raises(DataError, match=says):
        make()


@pytest.mark.parametrize(
    ("target", "role"),
    [("item", "interaction"), ("bundle", "interaction"), ("brand", "relation")],
)
def test_what_a_user_may_point_to(target, role):
    assert GraphSchema(NODES, (EdgeType("e", "user", target, role),)).edges


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"node": []}, "unknown key in the schema: node"),
        (
            {"nodes": [{"name": "item", "role": "item", "colour": "red"}]},
            "node 'item': unknown key colour",
        ),
        ({"nodes": [{"name": "item"}]}, "node 'item'.*role"),
        ({"edges": [{"role": "relation"}]}, r"edge '\?'"),
    ],
)
def test_bad_dictionaries(data, says):
    with pytest.raises(DataError, match=says):
        GraphSchema.from_dict(data)


def test_dictionary_and_toml_round_trip(tmp_path):
    assert GraphSchema.from_dict(FULL.to_dict()) == FULL
    path = tmp_path / "schema.toml"
    path.write_text(
        FULL.to_toml({"item": "one\ntwo", "bought": "three"}), encoding="utf-8"
    )
    assert GraphSchema.from_toml(path) == FULL
    assert (
        path.read_text().startswith("# one\n# two\n[[nodes]]\n")
        and "# three\n[[edges]]" in path.read_text()
    )


@given(
    st.text(st.characters(codec="utf-8"), min_size=1),
    st.lists(st.text(st.characters(codec="utf-8"))),
)
def test_any_word_survives_toml(word, words):
    keep = tuple(w for w in words if w != "id" and w)
    schema = GraphSchema((NodeType("item", "item", word, properties=keep),))
    assert GraphSchema.from_dict(tomllib.loads(schema.to_toml())) == schema


SAYS = {
    "en": {"share": '{a} "and" {b}: {via}', "back": "{{{b}}}"},
    "zh": {"forward": "{a}的{type}是{b}"},
}


def test_phrases_go_with_the_schema_and_are_nothing_where_there_are_none():
    by = EdgeType("by", "item", "brand", "relation", phrases=SAYS)
    schema = GraphSchema(NODES, (by, EdgeType("near", "item", "item", "relation")))
    again = GraphSchema.from_dict(tomllib.loads(schema.to_toml()))
    assert (
        again == schema
        and again.edge("by").phrases == SAYS
        and isinstance(hash(by), int)
    )
    assert (
        GraphSchema.from_dict(schema.to_dict()) == schema
        and "phrases" not in schema.to_dict()["edges"][1]
    )


@pytest.mark.parametrize(
    ("phrases", "says"),
    [
        (
            {"de": {"share": "x"}},
            r"phrases\.de\.share is no text by language \(en, zh\)",
        ),
        ({"en": {"sideways": "x"}}, r"phrases\.en\.sideways is no text"),
        ({"en": {"share": 3}}, r"phrases\.en\.share is no text"),
        ({"en": "x"}, r"phrases\.en is no text"),
        ("x", r"phrases\.x is no text"),
        ({"en": {"share": "{nobody}"}}, r"{nobody} is none of a, b, via"),
        ({"en": {"share": "{a.__class__}"}}, r"{a.__class__} is none of"),
        ({"en": {"share": "{}"}}, r"{} is none of"),
        ({"en": {"share": "{a:d}"}}, r"phrases\.en\.share: Unknown format code"),
        ({"en": {"share": "{a:{b.c}}"}}, r"phrases\.en\.share: "),
        ({"en": {"share": "{a"}}, r"phrases\.en\.share: expected"),
    ],
)
def test_phrases_that_cannot_be_said_are_named(phrases, says):
    row = {
        "name": "by",
        "source": "item",
        "target": "brand",
        "role": "relation",
        "phrases": phrases,
    }
    nodes = [{"name": "item", "role": "item"}, {"name": "brand", "role": "attribute"}]
    with pytest.raises(DataError, match=f"edge type 'by': .*{says}"):
        GraphSchema.from_dict({"nodes": nodes, "edges": [row]})


def test_only_relations_have_phrases():
    with pytest.raises(
        DataError, match=r"edge type 'bought': phrases\.en\.share: relations have"
    ):
        EdgeType("bought", "user", "item", "interaction", phrases=SAYS)


def test_schema_files_say_where_they_fail(tmp_path):
    path = tmp_path / "s.toml"
    with pytest.raises(DataError, match="no schema file at"):
        GraphSchema.from_toml(path)
    for content in (
        b"nodes = [",
        b"\xff\xfe",
        b"nodes = 3",
        b"[[nodes]]\nname = 3\nrole = 'item'",
        b"nodes = ['item']",
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=re.escape(str(path))):
            GraphSchema.from_toml(path)
    path.write_text("[[nodes]]\nname = 'item'\nrole = 'item'\ntext = 'title'\n")
    with pytest.raises(DataError, match="text"):
        GraphSchema.from_toml(path)
