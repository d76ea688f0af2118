"""Queries and baskets in plain lists, to compare."""


def plain(queries):
    return [
        (
            queries.users[b].item(),
            queries.context[b].tolist(),
            queries.texts[b],
            queries.targets[b].tolist(),
            queries.groups[b].item(),
        )
        for b in range(len(queries))
    ]


def baskets(events):
    """By bundle row: its owners and items."""
    found: dict[int, tuple[set[int], set[int]]] = {}
    for user, bundle, item in zip(
        events.user.tolist(), events.bundle.tolist(), events.item.tolist(), strict=True
    ):
        if bundle >= 0:
            owners, items = found.setdefault(bundle, (set(), set()))
            owners.add(user)
            items.add(item)
    return found
