"""Ask a trained run everything once: python examples/quickstart.py [RUN]; make train makes one."""

from __future__ import annotations

import sys

from fusion import Plan, Query, Recommender, list_runs
from fusion.query import Recommendation


def main(run: str) -> None:
    """Print five answers of a run."""
    recommender = Recommender.load(run)
    items = recommender.items

    # Ids are your own: any user and any items of your graph. Here, the first that come.
    user = first_user(recommender)
    first = items.key(0)
    second = items.key(1)

    print("What may this user want next?")
    if user:
        for answer in recommender.recommend(user, k=3):
            print(f"  {answer.id}  {answer.title}  {answer.score:.2f}")

    print(f"\nWhat goes with {first} + {second}?")
    completed = recommender.complete(
        [first, second],
        user=user,
        k=3,
    )
    show(completed)

    words = recommender.title(0)
    print(f"\nWhat is meant by {words!r}?")
    meant = recommender.search(words, k=3)
    show(meant)

    print("\nA whole combination of four items round the first of these:")
    plan = Plan(
        size=(4, 4),
        alternatives=1,
    )
    for combination in recommender.build(plan, user, [first]):
        for item in combination.items:
            print(f"  {item.id}  {item.title}")

    print("\nWhy is the first answer there?")
    query = Query(
        user=user,
        items=(first, second),
    )
    answers = recommender.answer(query)
    best = answers[0]
    explanation = recommender.explain(query, best.id, k=1)
    print(f"  {best.title} stands at place {explanation.rank}")
    for path in explanation.paths:
        print(f"  {path.sentence}")


def first_user(recommender: Recommender) -> str | None:
    """The id of the graph's first user; None where it has no users."""
    graph = recommender.snapshot.graph
    if graph.user is None:
        return None
    users = graph.vocabs[graph.user]
    return users.key(0)


def show(answers: list[Recommendation]) -> None:
    """Print ids and titles."""
    for answer in answers:
        print(f"  {answer.id}  {answer.title}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    elif runs := list_runs("runs"):
        newest = runs[-1]
        main(str(newest))
    else:
        sys.exit("there is no run yet: make train, or python train.py --graph")
