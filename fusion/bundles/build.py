"""Bundles: whole combinations under a plan, from context items, a user, words, or any of these together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from fusion.bundles.beam import SPENT, Rated, Search, State
from fusion.bundles.complements import Complements
from fusion.bundles.feasibility import Problem
from fusion.bundles.plan import Combination, Piece, Plan
from fusion.bundles.resolve import resolve
from fusion.bundles.seasonality import seasonal
from fusion.bundles.set_scorer import Pool
from fusion.query import Query, ids_of
from fusion.ranking.ranker import Ranker
from kg.tables import FloatArray, IntArray

EACH = 24  # candidates a slot and retrieval
CHEAP = 3  # of the cheapest a slot, for tight budgets
ANY = 150  # candidates where there are no slots
RATED = 16  # whole sets whose every item is scored given the rest


def build(
    recommender: Ranker,
    plan: Plan,
    user: str | None = None,
    items: Sequence[str] = (),
    text: str | None = None,
) -> list[Combination]:
    """The best combinations that meet a plan, best first; fewer than asked where so few differ enough.

    Candidates come from the model, slot by slot; a beam search fills the slots, each with what
    the model scores highest given what is chosen; then every item of the best sets is scored
    given all the others. Where the beam finds nothing, an exact solver looks for a combination
    that meets the plan, so that one is found where one exists.

    Raises:
        InfeasibleError: No combination meets the plan; the message names the conditions at odds.
        DataError, ValueError: As resolve raises them.
    """
    hand = ids_of(items)
    problem = resolve(recommender, plan, hand, user)
    query = Query(user, hand, text, where=plan.where)
    row = int(recommender.queries([query]).users[0])
    rows = candidates(recommender, problem, query)

    def search(more: IntArray | None = None) -> Search:
        all_rows = rows if more is None else np.unique(np.concatenate([rows, more]))
        pool = Pool(recommender, all_rows, row, text or "")
        if plan.season is not None:
            pool.bias = seasonal(
                recommender.snapshot.graph, recommender.facts, plan.season
            )[all_rows]
        if plan.complements:
            pool.pair = plan.complements * recommender.derived(Complements).log(
                all_rows, all_rows
            )
        return Search(problem, pool, plan.variety)

    hunt = search()
    found = hunt.beam()
    if not found:
        witness = problem.cheapest()
        if witness is None:
            problem.check()
        assert witness is not None
        hunt = search(witness)
        found = [hunt.improved(_seat(hunt, witness))]
    rated = hunt.rate(found[:RATED])
    chosen: list[Rated] = []
    for _ in range(plan.alternatives):
        free = [
            r
            for r in rated
            if all(_overlap(hunt, r, c) <= plan.overlap for c in chosen)
        ]
        if not free:
            spent = np.zeros(len(hunt.pool.rows))
            for place in {place for c in chosen for place in c.state.chosen}:
                spent[place] = SPENT
            for charge in (spent, 100 * spent):
                more = hunt.rate(hunt.beam(charge)[:RATED])
                free = [
                    r
                    for r in more
                    if all(_overlap(hunt, r, c) <= plan.overlap for c in chosen)
                ]
                rated += free
                if free:
                    break
        if not free:
            break
        chosen.append(max(free, key=lambda r: r.score))
        rated = [r for r in rated if r is not chosen[-1]]
    chosen.sort(key=lambda r: -r.score)
    return [
        combination(recommender, problem, hunt.pool.rows, hunt.kept, r) for r in chosen
    ]


def candidates(recommender: Ranker, problem: Problem, query: Query) -> IntArray:
    """Rows from which a combination is chosen: for each slot what the model ranks first, and the cheapest.

    What is counted beside the best item of each of up to three slots is among them, too, so
    that there is something to go with these.
    """
    allowed = problem.allowed()
    masks = [place.mask & allowed for place in problem.places] or [allowed]
    masks += [mask & allowed for mask in problem.wanted()]
    each = EACH if problem.places else ANY
    score = first_scores(recommender, query)
    found = [problem.kept]
    anchors: list[int] = []
    for mask in masks:
        rows = np.flatnonzero(mask)
        best = (
            rows[np.argpartition(-score[rows], min(each, len(rows) - 1))[:each]]
            if len(rows)
            else rows
        )
        found.append(best)
        if len(best):
            anchors.append(int(best[np.argmax(score[best])]))
        if problem.price is not None and problem.budget is not None:
            cost = problem.price[rows]
            found.append(rows[np.argsort(cost, kind="stable")[:CHEAP]])
    anchors = sorted(set(anchors), key=lambda row: -score[row])[:3]
    for beside in _beside(recommender, anchors):
        for mask in masks:
            found.append(beside[mask[beside]][: each // 2])
    return np.unique(np.concatenate(found))


def _beside(recommender: Ranker, anchors: Sequence[int]) -> Iterator[IntArray]:
    """By anchor and metapath count from item to item, the rows it leads to, strongest first."""
    for matrix in recommender.snapshot.features.item_item.values():
        for row in anchors:
            start, stop = int(matrix.starts[row]), int(matrix.starts[row + 1])
            order = matrix.values[start:stop].argsort(descending=True)
            yield matrix.columns[start:stop][order].cpu().numpy()


@torch.inference_mode()
def first_scores(recommender: Ranker, query: Query) -> FloatArray:
    """(I,) as Ranker.score, but of vectors alone the nearest items, and no further cold ones, are candidates."""
    model, snapshot = recommender.model, recommender.snapshot
    items = recommender.embeddings.items
    queries = recommender.queries([query])
    vectors = recommender.query_vectors(queries)
    cosine = vectors.fused @ items.fused.T
    out = cosine.clone()
    out[0, torch.as_tensor(queries.excluded.rows, device=out.device)] = -torch.inf
    count = min(model.config.vector_candidates, snapshot.items)
    nearest = out.topk(count, sorted=False).indices
    each = model.config.candidates_per_path if model.config.paths else 0
    rows, phi = snapshot.features(queries, each, nearest)
    rows, phi = rows[:, rows[0] >= 0], phi[:, rows[0] >= 0]
    score = model.score_rows(vectors, items, rows, phi, cosine)
    out = out - out.amax() - 1 + (score.min() if score.numel() else 0)
    out[0, rows[0]] = score[0]
    scores: FloatArray = out[0].float().cpu().numpy().astype(np.float64)
    return scores


def combination(
    recommender: Ranker,
    problem: Problem,
    rows: IntArray,
    kept: Sequence[int],
    rated: Rated,
) -> Combination:
    """A rated set in the words of people."""
    pieces = []
    for place, slot, score in zip(
        rated.state.chosen, rated.state.slots, rated.items.tolist(), strict=True
    ):
        row = int(rows[place])
        price = (
            None
            if problem.price is None or np.isnan(problem.price[row])
            else float(problem.price[row])
        )
        name = problem.places[slot].name if slot >= 0 else ""
        pieces.append(
            Piece(
                recommender.items.key(row),
                recommender.title(row),
                score,
                price,
                name,
                place in kept,
            )
        )
    names = [place.name for place in problem.places]
    pieces.sort(key=lambda p: (names.index(p.slot) if p.slot else -1, not p.kept))
    prices = [piece.price for piece in pieces]
    total = (
        None if None in prices else float(np.sum([p for p in prices if p is not None]))
    )
    loose = [piece for piece in pieces if not piece.kept] or pieces
    return Combination(
        tuple(pieces), rated.score, total, min(loose, key=lambda p: p.score).id
    )


def _overlap(hunt: Search, one: Rated, other: Rated) -> float:
    """Share of the smaller one's new items that are in both; all where neither has any, for they are the same."""
    new, old = (set(r.state.chosen) - set(hunt.kept) for r in (one, other))
    return len(new & old) / max(min(len(new), len(old)), 1) if new or old else 1.0


def _seat(hunt: Search, rows: IntArray) -> State:
    """The slots of a set that is known to fit, as a flow of items into places: augmenting paths."""
    chosen = [
        *hunt.kept,
        *(
            p
            for p in (hunt.pool.place[row] for row in rows.tolist())
            if p not in hunt.kept
        ),
    ]
    standing, seats = hunt.problem.standing(), dict[int, int]()

    def room(item: int, limits: list[int], tried: set[int]) -> bool:
        for s, mask in enumerate(hunt.masks):
            if mask[item] and s not in tried:
                tried.add(s)
                sitting = [other for other, at in seats.items() if at == s]
                if len(sitting) < limits[s] or any(
                    room(other, limits, tried) for other in sitting
                ):
                    seats[item] = s
                    return True
        return False

    # First what the slots need, then what they may take.
    for limits in (
        [place.least for place in standing],
        [place.most for place in standing],
    ):
        for item in chosen:
            if item not in seats:
                room(item, limits, set())
    return State(tuple(chosen), tuple(seats.get(item, -1) for item in chosen), 0.0)
