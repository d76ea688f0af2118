"""Complete Journey's products: their columns, and the relations that their rows name."""

from __future__ import annotations

from collections.abc import Iterable

from kg.sources.till_labels import phrase, readable

Row = tuple[str | None, ...]
Pair = tuple[str, str]


def products_of(
    rows: list[dict[str, str | int | None]],
    relations: Iterable[str],
) -> tuple[list[Row], dict[str, list[Pair]]]:
    """Product rows in column order, and each relation's (source, target) pairs."""
    product: list[Row] = []
    links: dict[str, list[Pair]] = {name: [] for name in relations}
    for row in rows:
        text = {
            name: str(value).strip() for name, value in row.items() if value is not None
        }
        key = text["product_id"]
        maker = text.get("manufacturer_id")
        department = text.get("department")
        category = text.get("product_category")
        kind = text.get("product_type")
        brand = text.get("brand")
        size = readable(text.get("package_size", ""))
        # The same type name stands under several categories ("PREMIUM"), so a type is named
        # with its category.
        kind_key = f"{category} > {kind}" if category and kind else kind
        named = phrase(
            kind,
            category,
            size,
            "private brand" if brand == "Private" else None,
        )
        title = named if category or kind else phrase(department)
        product.append(
            (key, title or None, department, category, kind_key, brand, size or None)
        )
        for name, target in (
            ("in_department", department),
            ("in_category", category),
            ("in_type", kind_key),
            ("made_by", maker),
        ):
            if target:
                links[name].append((key, target))
        if category and kind_key:
            links["type_of"].append((kind_key, category))
    links["type_of"] = list(dict.fromkeys(links["type_of"]))
    return product, links
