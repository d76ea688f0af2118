"""Notes: what else there is to say of an answer or an explanation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fusion.explain.attribution import CARRIES
from fusion.explain.cases import ExplanationTarget
from fusion.explain.explanation import GraphPath, Word
from fusion.explain.sentences import Phrases
from fusion.query import Constraints, Query
from fusion.ranking.ranker import Ranker


def unknown(
    recommender: Ranker,
    query: Query,
    speech: Phrases | None = None,
    popular: bool = True,
) -> list[str]:
    """Notes on a user and items that are not in the graph, and on a query all unknown.

    Args:
        recommender: Who answers.
        query: What was asked.
        speech: In whose words; English where None.
        popular: Whether what is popular is the answer where nothing is known; combinations are
            scored all the same.
    """
    queries = recommender.queries([replace(query, where=Constraints())])
    notes: list[tuple[str, ...]] = []
    if query.user is not None and queries.users[0] < 0:
        notes.append(("no_user", query.user))
    distinct = dict.fromkeys(query.items)
    missing = [key for key in distinct if recommender.items.row(key) < 0]
    if missing:
        notes.append(("no_items", ", ".join(missing)))
    if popular and not queries.has_input(recommender.model.config.uses_bm25)[0]:
        notes.append(("nobody",))
    if not notes:
        return []  # no file of phrases is read for a query that is all known
    speech = speech or Phrases.open("en", recommender.snapshot.graph.schema)
    return [speech.note(*note) for note in notes]


def notes_of(
    recommender: Ranker,
    query: Query,
    target: ExplanationTarget,
    paths: Sequence[GraphPath],
    words: Sequence[Word],
    parts: Mapping[str, float],
    speech: Phrases,
) -> list[str]:
    """What an explanation says beside its paths.

    Args:
        recommender: Who answers.
        query: What was asked.
        target: The query and the item.
        paths: Those that are shown.
        words: What words carry, best first.
        parts: What parts of the score carry; empty where that was not measured.
        speech: In whose words.
    """
    notes = unknown(recommender, query, speech)
    rank = target.rank(target.served)
    if not target.returned:
        notes.append(speech.note("left_out"))
    elif rank > query.k:
        name = "not_among" if target.candidate else "not_found"
        notes.append(speech.note(name, str(query.k), f"{rank:,}"))
    if not paths:
        notes.append(speech.note("none"))
    if parts:
        notes += _carried(
            paths,
            words,
            parts,
            speech,
        )
    return notes + _moved(paths, speech)


def _carried(
    paths: Sequence[GraphPath],
    words: Sequence[Word],
    parts: Mapping[str, float],
    speech: Phrases,
) -> list[str]:
    """Where no path carries the score, that it is so, and what carries it instead."""
    notes = []
    best = max((path.support.lost for path in paths if path.support), default=0.0)
    if paths and best < CARRIES:
        notes.append(speech.note("nothing", f"{CARRIES:g}"))
    telling = max(("words", "popularity", "vectors"), key=lambda part: parts[part])
    if telling == "words" and parts["words"] > max(best, CARRIES):
        notes.append(_by_words(words, speech))
    elif best < CARRIES <= parts[telling]:
        notes.append(speech.note(f"by_{telling}"))
    return notes


def _by_words(words: Sequence[Word], speech: Phrases) -> str:
    """The three words that carry most, of those that carry a tenth of what the first does."""
    telling = {
        word.word.lower(): speech.quote(word.word)
        for word in words
        if 10 * word.lost >= words[0].lost
    }
    listed = ", ".join(list(telling.values())[:3])
    return speech.note("by_words", listed) if listed else speech.note("by_all_words")


def _moved(paths: Sequence[GraphPath], speech: Phrases) -> list[str]:
    """How many edges are gone or have changed in a live store, and of which types."""
    moved = {
        (edge.relation, frozenset((here, there))): None
        for path in paths
        for edge, here, there in zip(
            path.edges,
            path.nodes,
            path.nodes[1:],
            strict=False,
        )
        if edge.now in {"gone", "changed"}
    }
    if not moved:
        return []
    relations = ", ".join(dict.fromkeys(relation for relation, _ in moved))
    return [speech.note("moved", str(len(moved)), relations)]
