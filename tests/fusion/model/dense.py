"""Every feature of every item, computed from dense matrices."""

import numpy as np

from fusion.model.feature import DECAY

ITEMS, USERS = 14, 6


RETRIEVING = (
    "user-item recent",
    "user-item",
    "user-item-item",
    "item-next-item lately",
    "item-bundle-item lately",
    "item-bundle-item cosine lately",
    "item-user-item cosine lately",
    "item-next-item cosine lately",
)


def by_name(counts, user, hand):
    """By the name of each path: (I,) what it says of every item, from dense matrices."""
    values = {
        n: m.toarray()[user] if user >= 0 else np.zeros(ITEMS)
        for n, m in counts.user_item.items()
    }
    decay = np.array([DECAY ** (len(hand) - 1 - place) for place in range(len(hand))])
    for name, matrix in counts.item_item.items():
        values[name] = matrix.toarray()[hand].sum(0)
        values[f"{name} lately"] = decay @ matrix.toarray()[hand]
        if name.endswith("cosine"):
            values[f"{name} best"] = matrix.toarray()[hand].max(0, initial=0)
    for path in counts.attributes:
        has = path.items.toarray()
        held = has[hand].sum(0)
        values[f"{path.name} at hand"] = has @ held
        values[f"{path.name} at hand lately"] = has @ (decay @ has[hand])
        values[f"{path.name} together"] = has @ path.together.toarray()[held > 0].sum(0)
        values[f"{path.name} of user"] = (
            has @ path.users.toarray()[user] if user >= 0 else np.zeros(ITEMS)
        )
    values |= counts.item
    values |= {
        name: np.full(ITEMS, fact[user] if user >= 0 else 0)
        for name, fact in counts.user.items()
    }
    return values | {"items at hand": np.full(ITEMS, len(hand))}


TEXTS = ["red hat", "blue hat", "", "red red shoe", *["coat"] * 10]
