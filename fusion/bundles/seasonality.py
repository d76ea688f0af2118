"""Season: how much more an item is taken in a month than in others, learned from when it was."""

from __future__ import annotations

import numpy as np

from fusion.ranking.filters import Facts
from kg.errors import DataError, InputError
from kg.graph import Graph
from kg.tables import FloatArray, IntArray

STEADY = 20.0  # events of its kind that an item's own are weighed against
MONTHS = 3  # the fewest that a graph's times must cover


def months_of(time: FloatArray) -> IntArray:
    """(E,) months 1 to 12 of times.

    Times are days since 1970 (from 1980 to 2069), or weeks of a year, 1 to 53.

    Raises:
        DataError: They are neither, or cover too few months to tell one from another.
    """
    if not len(time) or np.isnan(time).any():
        raise DataError(
            "season: the graph's events have no times; give the season as an attribute instead",
            field="season",
        )
    if time.min() >= 3653 and time.max() < 36525:
        months = (
            time.astype(np.int64)
            .astype("datetime64[D]")
            .astype("datetime64[M]")
            .astype(np.int64)
            % 12
            + 1
        )
    elif time.min() >= 1 and time.max() <= 53 and (time == np.round(time)).all():
        months = np.ceil(np.minimum(time, 52) * 12 / 52).astype(np.int64)
    else:
        raise DataError(
            "season: the graph's times are neither days since 1970 nor weeks of a year",
            field="season",
        )
    covered = len(np.unique(months))
    if covered < MONTHS:
        raise DataError(
            f"season: the graph's times cover {covered} months; "
            f"{MONTHS} are the fewest to learn from",
            field="season",
        )
    return months


def seasonal(
    graph: Graph,
    facts: Facts,
    month: int,
) -> FloatArray:
    """(I,) log of how much likelier an item is taken in a month than at any time.

    Where it was taken seldom it is drawn to its kind's, and to 0.

    Raises:
        DataError: As months_of, or nothing was taken in that month in training.
        InputError: There is no such month.
    """
    if not 1 <= month <= 12:
        raise InputError(f"season is a month, 1 to 12, not {month}", field="season")
    events = graph.events.take(~graph.events.lasting)
    now = months_of(events.time) == month
    if not now.any():
        raise DataError(
            f"season: in training nothing was taken in month {month}, so it cannot be told",
            field="season",
        )
    share, size = float(now.mean()), graph.size(graph.item)
    count, inside = (
        np.bincount(events.item, minlength=size),
        np.bincount(events.item[now], minlength=size),
    )
    prior = np.full(size, share)
    if facts.kind:
        kind = facts.values(facts.kind).codes() + 1  # 0 for none
        of_kind, in_kind = np.bincount(kind, count), np.bincount(kind, inside)
        prior = ((in_kind + STEADY * share) / (of_kind + STEADY))[kind]
    out: FloatArray = np.log((inside + STEADY * prior) / (count + STEADY) / share)
    return out
