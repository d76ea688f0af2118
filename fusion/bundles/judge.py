"""Combinations that are there already: completed category by category, judged, improved by a swap, ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from fusion.bundles.beam import Search, State
from fusion.bundles.build import combination
from fusion.bundles.complements import Complements
from fusion.bundles.feasibility import Place
from fusion.bundles.mmr import diversified
from fusion.bundles.plan import MOST, Combination, Piece, Plan
from fusion.bundles.resolve import known, resolve
from fusion.bundles.seasonality import seasonal
from fusion.bundles.set_scorer import Pool
from fusion.query import Query, ids_of
from fusion.ranking.ranker import Ranker
from fusion.ranking.values import Values
from kg.errors import InputError
from kg.tables import FloatArray, IntArray

AMONG = 200  # of the best items, those that diversity chooses from
SWAPS = 24  # candidates to stand in for an item
TRIED = 3  # of them, those whose whole combination is scored


@dataclass(frozen=True)
class Swap:
    """An exchange of one item that makes the whole better.

    Attributes:
        out: The id of the item that goes.
        item: What comes in its place, with its score given the rest.
        score: Of the whole after it.
        gain: How much better that is.
    """

    out: str
    item: Piece
    score: float
    gain: float


@dataclass(frozen=True)
class Compatibility:
    """How well the items of a combination go together.

    Attributes:
        combination: With the score of each item given the rest, and the weakest named.
        swap: The best single exchange, None where none helps.
    """

    combination: Combination
    swap: Swap | None


@dataclass(frozen=True)
class RankedBundle:
    """A bundle of an answer.

    Attributes:
        id: Its id.
        title: What people read.
        score: Higher is better; comparable within one answer.
        items: Its items' ids.
    """

    id: str
    title: str
    score: float
    items: tuple[str, ...]


def complete(
    recommender: Ranker,
    query: Query,
    one_per: str = "",
    diversity: float = 0.0,
    complements: float = 0.0,
    season: int | None = None,
) -> tuple[IntArray, FloatArray]:
    """Rows of the best items for a query, best first, and the score of every item of the catalogue.

    Args:
        recommender: Whose scores.
        ask: With context items.
        one_per: An attribute or property of which no two items, at hand or in the answer,
            share a value, and which every item of the answer has; "" for no such rule.
        diversity: As in fusion.bundles.mmr.
        complements: As Plan.complements, towards the context items.
        season: As Plan.season.
    """
    score = recommender.ranking(query)
    hand = recommender.items.rows(query.items)
    hand = hand[hand >= 0]
    if season is not None:
        score = score + seasonal(recommender.snapshot.graph, recommender.facts, season)
    if complements and len(hand):
        score = score + complements * recommender.derived(Complements).log(
            hand, np.arange(len(score))
        ).min(0)
    order = np.argsort(-score, kind="stable")
    order = order[np.isfinite(score[order])]
    if one_per:
        values = recommender.facts.values(one_per)
        order = np.array(
            _one_each(values, order, hand, AMONG if diversity else query.k), np.int64
        )
    if not diversity:
        return order[: query.k], score
    order = order[: max(AMONG, query.k)]
    vectors = recommender.embeddings.items.fused.cpu().numpy()[order]
    return order[diversified(score[order], vectors, query.k, diversity)], score


def _one_each(values: Values, order: IntArray, hand: IntArray, most: int) -> list[int]:
    start, stop = (
        np.searchsorted(values.item, np.arange(values.items), side)
        for side in ("left", "right")
    )
    own = [values.value[start[row] : stop[row]].tolist() for row in hand.tolist()]
    taken, found = {value for some in own for value in some}, []
    for row in order.tolist():
        some = values.value[start[row] : stop[row]].tolist()
        if some and taken.isdisjoint(some):
            found.append(row)
            taken.update(some)
            if len(found) == most:
                break
    return found


def judge(
    recommender: Ranker,
    items: Sequence[str],
    user: str | None = None,
    text: str | None = None,
    plan: Plan | None = None,
    category: str | None = None,
) -> Compatibility:
    """How well items go together, and the best single swap.

    Each item is held against items of its own category, given the others: its score is the log
    of the model's share for it among the best of these.

    Args:
        recommender: Whose scores.
        items: Two or more ids.
        user: Whom it is for.
        text: What it is for.
        plan: What an item that is swapped in keeps to: `where` and the budgets.
        category: The attribute or property that says what may stand in for what; the graph's
            usual one where None (see fusion.ranking.filters.KINDS), any item for any other
            where "".

    Raises:
        DataError: An item or a name is not there.
        ValueError: There are fewer than two items, or too many.
    """
    ids = tuple(dict.fromkeys(ids_of(items)))
    if not 2 <= len(ids) <= MOST:
        raise InputError(
            f"{len(ids)} items cannot be judged; 2 to {MOST} can", field="items"
        )
    rows = np.array([known(recommender, item) for item in ids])
    given = plan or Plan()
    problem = resolve(
        recommender,
        Plan(None, given.budget, given.item_budget, given.price, given.where),
        (),
        user,
    )
    name = recommender.facts.kind if category is None else category
    places, slots = [], []
    if name:
        values = recommender.facts.values(name)
        codes = values.codes()[rows]
        places = [
            Place(values.titles[code], values.mask([code]), 0, MOST)
            for code in np.unique(codes[codes >= 0])
        ]
        slots = [
            int(np.searchsorted(np.unique(codes[codes >= 0]), code))
            if code >= 0
            else -1
            for code in codes
        ]
    problem = replace(problem, size=(1, MOST), places=tuple(places))
    allowed, found = problem.allowed(), [rows]
    rest = [
        Query(user, ids[:n] + ids[n + 1 :], text, where=given.where)
        for n in range(len(ids))
    ]
    for score, slot in zip(
        recommender.score(recommender.queries(rest)),
        slots or [-1] * len(ids),
        strict=True,
    ):
        may = np.flatnonzero(places[slot].mask & allowed if slot >= 0 else allowed)
        found.append(may[np.argsort(-score[may], kind="stable")[:SWAPS]])
    pool = Pool(
        recommender,
        np.unique(np.concatenate(found)),
        int(recommender.queries(rest).users[0]),
        text or "",
    )
    hunt = Search(problem, pool)
    state = State(
        tuple(pool.place[row] for row in rows.tolist()),
        tuple(slots or [-1] * len(ids)),
        0.0,
    )
    hunt.weighed[list(state.chosen)] = True
    hunt.allowed[list(state.chosen)] = False  # each is held against others only
    (rated,) = hunt.rate([state])
    return Compatibility(
        combination(recommender, problem, pool.rows, (), rated),
        _swap(recommender, hunt, state),
    )


def _swap(recommender: Ranker, hunt: Search, state: State) -> Swap | None:
    """The best of the likeliest exchanges, every item of each scored anew."""
    (now,) = hunt.rate([state])
    changed, places = [], []
    scores = hunt.pool.score(
        [state.chosen[:n] + state.chosen[n + 1 :] for n in range(len(state.chosen))]
    )
    for n, (place, slot) in enumerate(zip(state.chosen, state.slots, strict=True)):
        may = (
            hunt.allowed
            & (hunt.masks[slot] if slot >= 0 else True)
            & (scores[n] > scores[n][place])
        )
        cost = hunt.price[list(state.chosen)].sum() - hunt.price[place]
        may &= (cost + hunt.price <= hunt.budget) & np.isfinite(scores[n])
        better = np.flatnonzero(may)
        for other in better[
            np.argsort(-scores[n][better], kind="stable")[:TRIED]
        ].tolist():
            changed.append(
                State(
                    (*state.chosen[:n], other, *state.chosen[n + 1 :]), state.slots, 0.0
                )
            )
            places.append(n)
    if not changed:
        return None
    rated = hunt.rate(changed)
    best = max(range(len(rated)), key=lambda c: rated[c].score)
    gain = rated[best].score - now.score
    if gain <= 0:
        return None
    n, problem = places[best], hunt.problem
    row, gone = (int(hunt.pool.rows[s.chosen[n]]) for s in (rated[best].state, state))
    price = (
        None
        if problem.price is None or np.isnan(problem.price[row])
        else float(problem.price[row])
    )
    name = problem.places[state.slots[n]].name if state.slots[n] >= 0 else ""
    piece = Piece(
        recommender.items.key(row),
        recommender.title(row),
        float(rated[best].items[n]),
        price,
        name,
    )
    return Swap(recommender.items.key(gone), piece, rated[best].score, gain)


def rank_bundles(
    recommender: Ranker,
    bundles: Mapping[str, Sequence[str]] | None = None,
    user: str | None = None,
    text: str | None = None,
    items: Sequence[str] = (),
    k: int = 10,
) -> list[RankedBundle]:
    """Bundles for a user, words or context items: by the score of their items, so that new bundles need no training.

    Args:
        recommender: Whose scores.
        bundles: By id, their items' ids; where None those of the graph, each with two items or
            more and once. Unknown items, and those at hand, are passed over; a bundle that
            holds no other is left out.
        user: Whom it is for.
        text: What it is for.
        items: At hand.
        k: How many, at least 1.
    """
    query = Query(user, ids_of(items), text, k)
    if bundles is None:
        given = graph_bundles(recommender)
    else:
        given = {
            name: ids_of(some, f"bundle {name!r}") for name, some in bundles.items()
        }
    names = list(given)
    lengths = [len(given[name]) for name in names]
    rows = recommender.items.rows([item for name in names for item in given[name]])
    owner = np.repeat(np.arange(len(names)), lengths)[rows >= 0]
    rows = rows[rows >= 0]
    score = full_score(recommender, query, rows)
    there = np.isfinite(score)
    owner, value = owner[there], score[there]
    count = np.bincount(owner, minlength=len(names))
    mean = np.bincount(owner, value, len(names)) / np.maximum(count, 1)
    mean[count == 0] = -np.inf
    best = np.argsort(-mean, kind="stable")[:k]
    titles = _titles(recommender) if bundles is None else {}
    return [
        RankedBundle(
            names[b],
            titles.get(names[b], names[b]),
            float(mean[b]),
            tuple(given[names[b]]),
        )
        for b in best.tolist()
        if np.isfinite(mean[b])
    ]


def graph_bundles(recommender: Ranker) -> dict[str, tuple[str, ...]]:
    """The items of every bundle of the graph of two items or more; of equal bundles the first."""
    schema, tables = recommender.tables.schema, recommender.tables
    found: dict[str, list[str]] = {}
    for edge in schema.edges:
        if edge.role == "membership":
            pairs = tables.edges[edge.name]
            for bundle, item in zip(
                pairs["source"].to_pylist(), pairs["target"].to_pylist(), strict=True
            ):
                found.setdefault(bundle, []).append(item)
    unique: dict[frozenset[str], str] = {}
    for bundle, some in found.items():
        if len(set(some)) > 1:
            unique.setdefault(frozenset(some), bundle)
    return {bundle: tuple(dict.fromkeys(found[bundle])) for bundle in unique.values()}


def _titles(recommender: Ranker) -> dict[str, str]:
    bundle = recommender.tables.schema.of_role("bundle")
    if bundle is None:
        return {}
    tables = recommender.tables
    return dict(
        zip(
            tables.nodes[bundle.name]["id"].to_pylist(),
            tables.titles(bundle.name),
            strict=True,
        )
    )


@torch.inference_mode()
def full_score(recommender: Ranker, query: Query, rows: IntArray) -> FloatArray:
    """(N,) the full score of any rows, retrieved or not; -inf for the context items."""
    model, items = recommender.model, recommender.embeddings.items
    queries = recommender.queries([query])
    distinct, back = np.unique(rows, return_inverse=True)
    at = torch.as_tensor(distinct, device=recommender.snapshot.device)[None]
    phi = None
    if model.head is not None:
        phi = recommender.snapshot.features.describe(queries, at)
    score = model.score_rows(recommender.query_vectors(queries), items, at, phi)[0]
    scores: FloatArray = score.float().cpu().numpy().astype(np.float64)
    scores[np.isin(distinct, queries.context.rows)] = -np.inf
    return scores[back]
