"""Queries of every kind to the checkerboard, and the colours of its items."""

from fusion.query import Query

ITEMS = 42


BLACK, WHITE = ([f"i{n:03d}" for n in range(colour, ITEMS, 2)] for colour in (0, 1))


EVERY_KIND = [
    Query(user="u003"),
    Query(items=("i002", "i004")),
    Query(text="black chair"),
    Query(user="u003", items=("i001",), text="white vase"),
    Query(),
]


def ids(found):
    return [r.id for r in found]
