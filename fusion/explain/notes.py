"""Unknown: what of a query the graph does not know, in words."""

from __future__ import annotations

from dataclasses import replace

from fusion.explain.sentences import Phrases
from fusion.query import Constraints, Query
from fusion.ranking.ranker import Ranker


def unknown(
    recommender: Ranker,
    query: Query,
    said: Phrases | None = None,
    popular: bool = True,
) -> list[str]:
    """A note for a user who is not in the graph, one for such items, and one where nothing of the query is known.

    Args:
        recommender: Who answers.
        ask: What was asked.
        said: In whose words; English where None.
        popular: Whether what is popular is the answer where nothing is known; combinations are
            scored all the same.
    """
    queries = recommender.queries([replace(query, where=Constraints())])
    found: list[tuple[str, ...]] = []
    if query.user is not None and queries.users[0] < 0:
        found.append(("no_user", query.user))
    missing = [
        key for key in dict.fromkeys(query.items) if recommender.items.row(key) < 0
    ]
    if missing:
        found.append(("no_items", ", ".join(missing)))
    if popular and not queries.has_input(recommender.model.config.uses_bm25)[0]:
        found.append(("nobody",))
    if not found:
        return []  # no file of phrases is read for a query that is all known
    said = said or Phrases.open("en", recommender.snapshot.graph.schema)
    return [said.note(*one) for one in found]
