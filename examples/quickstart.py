"""Ask a trained run everything once: python examples/quickstart.py [RUN]; make train makes one."""

from __future__ import annotations

import sys

from fusion import Plan, Query, Recommender, list_runs


def main(run: str) -> None:
    """Print five answers of a run."""
    recommender = Recommender.load(run)
    graph = recommender.snapshot.graph
    items = recommender.items

    # Ids are your own: any user and any items of your graph. Here, the first that come.
    user = graph.vocabs[graph.user].key(0) if graph.user else None
    basket = [items.key(0), items.key(1)]

    print("What may this user want next?")
    if user:
        for answer in recommender.recommend(user, k=3):
            print(f"  {answer.id}  {answer.title}  {answer.score:.2f}")

    print(f"\nWhat goes with {' + '.join(basket)}?")
    for answer in recommender.complete(basket, user=user, k=3):
        print(f"  {answer.id}  {answer.title}")

    words = recommender.title(0)
    print(f"\nWhat is meant by {words!r}?")
    for answer in recommender.search(words, k=3):
        print(f"  {answer.id}  {answer.title}")

    print("\nA whole combination of four items round the first of these:")
    for combination in recommender.build(
        Plan(size=(4, 4), alternatives=1), user, basket[:1]
    ):
        for item in combination.items:
            print(f"  {item.id}  {item.title}")

    print("\nWhy is the first answer there?")
    query = Query(user=user, items=tuple(basket))
    best = recommender.answer(query)[0]
    explanation = recommender.explain(query, best.id, k=1)
    print(f"  {best.title} stands at place {explanation.rank}")
    for path in explanation.paths:
        print(f"  {path.sentence}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    elif runs := list_runs("runs"):
        main(str(runs[-1]))
    else:
        sys.exit("there is no run yet: make train, or python train.py --graph")
