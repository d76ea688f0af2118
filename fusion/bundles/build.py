"""Build: whole combinations under a plan, from context items, a user, words, or any of these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from fusion.bundles.beam import SPENT, BeamSearch
from fusion.bundles.combination import combination
from fusion.bundles.complements import Complements
from fusion.bundles.feasibility import check
from fusion.bundles.plan import Combination, Plan
from fusion.bundles.problem import Problem
from fusion.bundles.ratings import Rated
from fusion.bundles.resolve import resolve
from fusion.bundles.seasonality import seasonal
from fusion.bundles.seating import seat
from fusion.bundles.set_scorer import SetScorer
from fusion.bundles.solver import cheapest
from fusion.query import Query, ids_of
from fusion.ranking.ranker import Ranker
from fusion.ranking.values import BoolArray
from kg.tables import FloatArray, IntArray

EACH = 24  # candidates a slot and retrieval
CHEAP = 3  # of the cheapest a slot, for tight budgets
ANY = 150  # candidates where there are no slots
RATED = 16  # whole sets whose every item is scored given the rest
ANCHORS = 3  # best items of slots whose neighbours join the candidates


def build(
    recommender: Ranker,
    plan: Plan,
    user: str | None = None,
    items: Sequence[str] = (),
    text: str | None = None,
) -> list[Combination]:
    """The best combinations that meet a plan, best first; fewer where so few differ enough.

    Candidates come from the model, slot by slot. A beam search fills the slots, each with what
    the model scores highest given what is chosen. Then every item of the best sets is scored
    given all the others. Where the beam finds nothing, an exact solver looks for a combination
    that meets the plan, so that one is found where one exists.

    Raises:
        InfeasibleError: No combination meets the plan; it names the conditions at odds.
        DataError, InputError: As resolve raises them.
    """
    context = ids_of(items)
    problem = resolve(
        recommender,
        plan,
        context,
        user,
    )
    query = Query(
        user,
        context,
        text,
        where=plan.where,
    )
    rows = candidates(recommender, problem, query)
    search = _search(
        recommender,
        problem,
        plan,
        query,
        rows,
    )
    found = search.beam()
    if not found:
        witness = cheapest(problem)
        if witness is None:
            check(problem)
        assert witness is not None
        rows = np.unique(np.concatenate([rows, witness]))
        search = _search(
            recommender,
            problem,
            plan,
            query,
            rows,
        )
        found = [search.improved(seat(search, witness))]
    rated = search.ratings.rate(found[:RATED])
    chosen = _alternatives(search, plan, rated)
    return [
        combination(
            recommender,
            problem,
            rows,
            search.kept,
            alternative,
        )
        for alternative in chosen
    ]


def _search(
    recommender: Ranker,
    problem: Problem,
    plan: Plan,
    query: Query,
    rows: IntArray,
) -> BeamSearch:
    """Over a pool of rows, with the plan's season and complements in its scores."""
    user = int(recommender.queries([query]).users[0])
    scorer = SetScorer(
        recommender,
        rows,
        user,
        query.text or "",
    )
    if plan.season is not None:
        graph, facts = recommender.snapshot.graph, recommender.facts
        scorer.bias = seasonal(graph, facts, plan.season)[rows]
    if plan.complements:
        fit = recommender.derived(Complements).log(rows, rows)
        scorer.pair = plan.complements * fit
    return BeamSearch(problem, scorer, plan.variety)


def _alternatives(
    search: BeamSearch,
    plan: Plan,
    rated: list[Rated],
) -> list[Rated]:
    """The best sets that overlap no more than the plan allows, best first.

    Where too few do, the search runs again with the items of those chosen made dear.
    """
    chosen: list[Rated] = []

    def apart(sets: Sequence[Rated]) -> list[Rated]:
        return [
            candidate
            for candidate in sets
            if all(overlap(search, candidate, c) <= plan.overlap for c in chosen)
        ]

    for _ in range(plan.alternatives):
        free = apart(rated)
        if not free:
            spent = _spent(search, chosen)
            for charge in (spent, 100 * spent):
                again = search.ratings.rate(search.beam(charge)[:RATED])
                free = apart(again)
                rated = rated + free
                if free:
                    break
        if not free:
            break
        best = max(free, key=lambda candidate: candidate.score)
        chosen.append(best)
        rated = [candidate for candidate in rated if candidate is not best]
    return sorted(chosen, key=lambda alternative: -alternative.score)


def _spent(search: BeamSearch, chosen: Sequence[Rated]) -> FloatArray:
    """(P,) what items of earlier alternatives lose."""
    spent = np.zeros(len(search.scorer.rows))
    for alternative in chosen:
        spent[list(alternative.state.chosen)] = SPENT
    return spent


def overlap(
    search: BeamSearch,
    one: Rated,
    other: Rated,
) -> float:
    """Share of the smaller one's new items that are in both; 1 where neither has any."""
    new, old = (set(r.state.chosen) - set(search.kept) for r in (one, other))
    if not new and not old:
        return 1.0
    return len(new & old) / max(min(len(new), len(old)), 1)


def candidates(
    recommender: Ranker,
    problem: Problem,
    query: Query,
) -> IntArray:
    """Rows from which a combination is chosen: by slot what ranks first, and the cheapest.

    What is counted beside the best item of each of up to three slots is among them, too, so
    that there is something to go with these.
    """
    allowed = problem.allowed()
    masks = [slot.mask & allowed for slot in problem.slots] or [allowed]
    masks += [mask & allowed for mask in problem.required()]
    each = EACH if problem.slots else ANY
    score = first_scores(recommender, query)
    found = [problem.kept]
    anchors: set[int] = set()
    for mask in masks:
        best = _best(score, mask, each)
        found.append(best)
        if len(best):
            anchors.add(int(best[np.argmax(score[best])]))
        if problem.price is not None and problem.budget is not None:
            rows = np.flatnonzero(mask)
            order = np.argsort(problem.price[rows], kind="stable")
            found.append(rows[order[:CHEAP]])
    likeliest = sorted(sorted(anchors), key=lambda row: -score[row])
    for beside in _beside(recommender, likeliest[:ANCHORS]):
        found += [beside[mask[beside]][: each // 2] for mask in masks]
    return np.unique(np.concatenate(found))


def _best(
    score: FloatArray,
    mask: BoolArray,
    count: int,
) -> IntArray:
    """The rows of a mask that score highest, in no order."""
    rows: IntArray = np.flatnonzero(mask)
    if not len(rows):
        return rows
    last = min(count, len(rows) - 1)
    best: IntArray = rows[np.argpartition(-score[rows], last)[:count]]
    return best


def _beside(recommender: Ranker, anchors: Sequence[int]) -> Iterator[IntArray]:
    """By anchor and metapath count from item to item, the rows it leads to, strongest first."""
    for matrix in recommender.snapshot.features.item_item.values():
        for row in anchors:
            start, stop = int(matrix.starts[row]), int(matrix.starts[row + 1])
            order = matrix.values[start:stop].argsort(descending=True)
            yield matrix.columns[start:stop][order].cpu().numpy()


@torch.inference_mode()
def first_scores(recommender: Ranker, query: Query) -> FloatArray:
    """(I,) as Ranker.score, but of vectors alone only the nearest items are candidates.

    No further cold items are.
    """
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
    score = model.score_rows(
        vectors,
        items,
        rows,
        phi,
        cosine,
    )
    out = out - out.amax() - 1 + (score.min() if score.numel() else 0)
    out[0, rows[0]] = score[0]
    scores: FloatArray = out[0].float().cpu().numpy().astype(np.float64)
    return scores
