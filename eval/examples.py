"""Worked asks: what a trained recommender answers, in words."""

from __future__ import annotations

import numpy as np

from fusion.preparation import KnownGraph, Prepared
from fusion.query import Constraints, Query, Recommendation
from fusion.recommender import Recommender
from fusion.tasks.folds import held_events

SHOWN = 5


def worked_queries(recommender: Recommender, prepared: Prepared) -> str:
    """Up to three asks, answered: a user, a held-out basket to complete, and words; those that the graph has."""
    known = prepared.serving
    graph, titles = known.graph, known.split.train.titles(known.graph.item)
    events = held_events(graph, known.split.test.events)
    lines: list[str] = []
    users = np.unique(events.user[events.user >= 0])
    if graph.user is not None and len(users):
        name = graph.vocabs[graph.user].key(int(users[len(users) // 2]))
        new = any(
            queries.exclude is not None for *_, queries in prepared.folds
        )  # what users have was never an answer
        where = ", where=Constraints(new=True)" if new else ""
        lines += [f'{graph.user} {name} -> recommend(user="{name}"{where})']
        lines += _answer(
            recommender.answer(
                Query(user=name, k=SHOWN, where=Constraints(exclude_seen=new))
            )
        )
    # A bundle that two users took is here twice.
    bundle, item = np.unique(
        np.stack([events.bundle, events.item])[:, events.bundle >= 0], axis=1
    )
    bundles, sizes = np.unique(bundle, return_counts=True)
    fitting = bundles[(sizes >= 4) & (sizes <= 6)]
    if len(fitting):
        chosen = fitting[len(fitting) // 2]
        *hand, target = item[bundle == chosen].tolist()
        owner = int(events.user[events.bundle == chosen][0])
        user = (
            graph.vocabs[graph.user].key(owner)
            if graph.user is not None and owner >= 0
            else None
        )
        asked = Query(
            user, tuple(graph.vocabs[graph.item].key(row) for row in hand), k=SHOWN
        )
        whose = f', user="{user}"' if user is not None else ""
        lines += ["", "a held-out basket: " + " + ".join(titles[row] for row in hand)]
        lines += [
            f"-> complete(items{whose}); what was really bought with it: {titles[target]}"
        ]
        lines += _answer(recommender.answer(asked))
    if recommender.model.text is not None:
        words = _words(known)
        lines += ["", f'-> search("{words}")']
        lines += _answer(recommender.search(words, k=SHOWN))
    return "\n".join(lines).strip("\n")


def _words(known: KnownGraph) -> str:
    """The name of the attribute value that most items share among those that have words, lower case."""
    graph, tables = known.graph, known.split.train
    best, words = 0, "something new"
    for source, name, target in graph.edges:
        node = graph.schema.node(target)
        if source == graph.item and node.role == "attribute" and node.text:
            counts = np.bincount(
                graph.edges[(source, name, target)].target, minlength=graph.size(target)
            )
            # The narrowest kind of value makes the most natural query.
            if graph.size(target) > best:
                best, words = (
                    graph.size(target),
                    tables.titles(target)[int(counts.argmax())].lower(),
                )
    return words


def _answer(found: list[Recommendation]) -> list[str]:
    return [
        f"   {n}. {r.title}  (score {r.score:z.2f})" for n, r in enumerate(found, 1)
    ]
