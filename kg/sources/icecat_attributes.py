"""What Icecat's products have in common: their kinds, colours and features, read off words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_STRING = "attr_t_"
# Words that a title says of a product behind its kind and that no attribute of the product repeats.
_DESCRIBING = {
    "gray",
    "colour",
    "multicolor",
    "internal",
    "external",
    "original",
    "english",
    "ethernet",
    "aluminum",
}


def kinds_of(products: Sequence[Mapping[str, Any]], least: int) -> list[list[str]]:
    """Of every product its kind, or nothing."""
    read = [_behind_name(product) for product in products]
    counts = Counter(read)
    del counts[""]
    known = {kind for kind, count in counts.items() if count >= least}
    # "printer cable gray" is the more frequent "printer cable".
    shorter = {
        kind: next(
            (k for k in sorted(known, key=len) if kind.startswith(f"{k} ")), kind
        )
        for kind in counts
    }
    known = {kind for kind in known if counts[shorter[kind]] <= counts[kind]}
    long = (
        re.compile(
            rf"\b({'|'.join(map(re.escape, sorted(known, key=len, reverse=True)))})s?\b"
        )
        if known
        else None
    )
    kinds = []
    for product, kind in zip(products, read, strict=True):
        stated = str(product.get(f"{_STRING}product_type", "")).lower()
        if counts[shorter.get(kind, "")] > counts[kind]:
            kind = shorter[kind]
        if kind not in known:
            kind = stated if re.fullmatch(r"[a-z][a-z /-]+", stated) else ""
        if not kind and long is not None:
            words = (
                f"{product['title']} . {product.get('short_description') or ''}".lower()
            )
            kind = max(
                (match for match in long.findall(words) if " " in match),
                key=len,
                default="",
            )
        kinds.append([kind] if kind else [])
    return frequent(kinds, least)


def _behind_name(product: Mapping[str, Any]) -> str:
    """The words behind a product's name in its title, up to an attribute's value."""
    title, name = product["title"].lower().split(), product["name"].lower().split()
    for start in range(len(title) - len(name) + 1):
        if name and title[start : start + len(name)] == name:
            break
    else:
        return ""
    values = {
        part.split()[0] for _, value in _strings(product) for part in _parts(value)
    }
    kind: list[str] = []
    for word in title[start + len(name) :][:4]:
        if re.search(r"[^a-z/-]", word) or word in values | _DESCRIBING:
            break
        kind.append(word)
    return " ".join(kind)


def colours_of(product: Mapping[str, Any]) -> list[str]:
    """The colours that a product's attributes name."""
    values = [
        value
        for name, value in _strings(product)
        if name.endswith(("colour", "colours"))
    ]
    return [part for value in values for part in _parts(value)]


def _parts(value: str) -> list[str]:
    return [part.strip() for part in re.split("[,/]", value.lower()) if part.strip()]


def features_of(
    products: Sequence[Mapping[str, Any]], most: int, least: int
) -> list[list[str]]:
    """Of every product "name: value" for its attributes of words.

    Kept are attributes with at most so many values, and values of at least so many products.
    """
    distinct: dict[str, set[str]] = {}
    for product in products:
        for name, value in _strings(product):
            distinct.setdefault(name, set()).add(value)
    worded = [
        [
            f"{' '.join(name.split('_'))}: {tidy(value)}"
            for name, value in _strings(product)
            if len(distinct[name]) <= most
            and re.search("[A-Za-z]{2}", value)
            and len(value) <= 40
            if not name.endswith(("colour", "colours"))
        ]
        for product in products
    ]
    return frequent(worded, least)


def _strings(product: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The attributes in words: name and value."""
    return [
        (k.removeprefix(_STRING), v)
        for k, v in product.items()
        if k.startswith(_STRING) and isinstance(v, str)
    ]


def frequent(lists: Iterable[list[str]], least: int) -> list[list[str]]:
    """What stands in at least so many of the lists."""
    lists = list(lists)
    counts = Counter(value for some in lists for value in set(some))
    return [
        [value for value in dict.fromkeys(some) if counts[value] >= least]
        for some in lists
    ]


def tidy(text: str) -> str:
    """A text without tags, and with single spaces."""
    return " ".join(re.sub(r"<[^>]*>|\\n", " ", text).split())
