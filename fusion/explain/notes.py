"""Unknown: what of an ask the graph does not know, in words."""

from __future__ import annotations

from dataclasses import replace

from fusion.explain.sentences import Phrases
from fusion.query import Ask, Constraints
from fusion.ranking.ranker import Ranker


def unknown(
    recommender: Ranker,
    ask: Ask,
    said: Phrases | None = None,
    popular: bool = True,
) -> list[str]:
    """A note for a user who is not in the graph, one for such items, and one where nothing of the ask is known.

    Args:
        recommender: Who answers.
        ask: What was asked.
        said: In whose words; English where None.
        popular: Whether what is popular is the answer where nothing is known; combinations are
            scored all the same.
    """
    asks = recommender.asks([replace(ask, where=Constraints())])
    found: list[tuple[str, ...]] = []
    if ask.user is not None and asks.users[0] < 0:
        found.append(("no_user", ask.user))
    missing = [
        key for key in dict.fromkeys(ask.items) if recommender.items.row(key) < 0
    ]
    if missing:
        found.append(("no_items", ", ".join(missing)))
    if popular and not asks.told(recommender.model.config.matches)[0]:
        found.append(("nobody",))
    if not found:
        return []  # no file of phrases is read for an ask that is all known
    said = said or Phrases.open("en", recommender.world.graph.schema)
    return [said.note(*one) for one in found]
