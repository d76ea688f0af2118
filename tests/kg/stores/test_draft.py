"""A schema drafted from labels and relationships."""

import tomllib

from kg.schema import GraphSchema
from kg.stores.draft import Label, Link, Property, draft


def prop(name, kind="STRING", unique=False, length=8.0):
    return Property(name, frozenset(kind.split("|")), unique, length)


def test_a_draft_of_a_shop():
    labels = [
        Label("Customer", 10, (prop("customerId", "INTEGER", True), prop("name"))),
        Label(
            "Product",
            5,
            (
                prop("sku", unique=True),
                prop("title", length=30),
                prop("price", "FLOAT"),
                prop("odd", "STRING|FLOAT"),
            ),
        ),
        Label("Purchase Order", 7, (prop("id", "INTEGER", True), prop("on", "DATE"))),
        Label("ProductCategory", 2, (prop("name", unique=True),)),
    ]
    links = [
        Link(
            "Customer", "PLACED", "Purchase Order", 7, (prop("at", "ZONED DATETIME"),)
        ),
        Link(
            "Purchase Order", "CONTAINS", "Product", 20, (prop("quantity", "INTEGER"),)
        ),
        Link(
            "Customer",
            "RATED",
            "Product",
            9,
            (prop("rating", "INTEGER|FLOAT"), prop("note")),
        ),
        Link("Product", "IN", "ProductCategory", 5, ()),
        Link("Product", "BOUGHT_BY", "Customer", 1, ()),
        Link("ProductCategory", "IN", "ProductCategory", 1, ()),
    ]
    text = draft(labels, links)
    schema = GraphSchema.from_dict(tomllib.loads(text))
    assert [(n.name, n.role, n.label, n.id) for n in schema.nodes] == [
        ("customer", "user", "Customer", "customerId"),
        ("product", "item", "Product", "sku"),
        ("purchase_order", "bundle", "Purchase Order", "id"),
        ("product_category", "attribute", "ProductCategory", "name"),
    ]
    assert (
        schema.item.title == "title"
        and schema.item.text == ("title",)
        and schema.item.properties == ("price",)
    )
    assert [(e.name, e.role, e.weight, e.time) for e in schema.edges] == [
        ("placed", "interaction", "", "at"),
        ("contains", "membership", "quantity", ""),
        ("rated", "interaction", "rating", ""),
        ("in", "relation", "", ""),
        ("bought_by", "relation", "", ""),
        ("product_category_in_product_category", "relation", "", ""),
    ]
    assert (
        "types: odd" in text
        and "# CHECK direction: leads from item to user" in text
        and "# CHECK time" in text
    )


def test_a_draft_without_a_familiar_word_takes_what_users_reach():
    labels = [
        Label(n, 5, (prop("x", unique=n != "7up!"),))
        for n in ("Leser", "Buch", "7up!", "Member", "+")
    ]
    links = [
        Link("Member", "liest", "Buch", 3, ()),
        Link("Leser", "kennt", "7up!", 9, ()),
    ]
    text = draft(labels, links)
    schema = GraphSchema.from_dict(tomllib.loads(text))
    assert schema.item.label == "Buch" and [
        n.label for n in schema.nodes if n.role == "user"
    ] == ["Member"]
    assert [n.name for n in schema.nodes] == [
        "leser",
        "buch",
        "t_7up",
        "member",
        "type",
    ]
    assert "# CHECK id" in text
