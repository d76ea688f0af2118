"""Events as a graph's tables: checked, and without what the graph has already."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fusion.ranking.ranker import Ranker
from kg.columns import in_days
from kg.errors import DataError
from kg.schema import EdgeType, GraphSchema


def as_tables(
    schema: GraphSchema, events: pa.Table
) -> tuple[dict[str, pa.Table], dict[str, pa.Table]]:
    """Events as a graph's nodes and edges.

    Where users interact with bundles only, all events of a user at one moment are one bundle.

    Args:
        schema: The graph's.
        events: Columns user, item (ids), time, and optionally bundle, the id of what belongs
            together.

    Returns:
        By type, bundles (in a graph where users take items directly there are none) and edges.

    Raises:
        DataError: The schema has no way from users to items.
    """
    user, bundle = schema.of_role("user"), schema.of_role("bundle")
    made = {(e.role, e.source, e.target): e for e in reversed(schema.edges)}
    users, items, times = (events[name] for name in ("user", "item", "time"))
    direct = made.get(("interaction", user.name, schema.item.name)) if user else None
    if direct is not None:
        return {}, {
            direct.name: _edges(
                schema,
                direct,
                users,
                items,
                times,
            )
        }
    owned = (
        made.get(("interaction", user.name, bundle.name)) if user and bundle else None
    )
    holds = made.get(("membership", bundle.name, schema.item.name)) if bundle else None
    if bundle is None or owned is None or holds is None:
        raise DataError("the graph has no interactions by which users take items")
    if "bundle" in events.column_names:
        ids = events["bundle"]
    else:
        pairs = zip(users.to_pylist(), times.to_pylist(), strict=True)
        ids = pa.chunked_array([[bundle_id(*pair) for pair in pairs]], pa.string())
    single = pc.unique(ids)
    nodes = pa.table(
        {
            "id": single,
            **{name: pa.nulls(len(single), pa.string()) for name in bundle.columns},
        }
    )
    return {bundle.name: nodes}, {
        owned.name: _edges(
            schema,
            owned,
            users,
            ids,
            times,
        ),
        holds.name: _edges(
            schema,
            holds,
            ids,
            items,
            times,
        ),
    }


def bundle_id(user: str, time: float) -> str:
    """The id of the bundle of a user's events at one moment."""
    return f"event-{hashlib.sha256(f'{time!r} {user}'.encode()).hexdigest()[:24]}"


def _edges(
    schema: GraphSchema,
    edge: EdgeType,
    sources: pa.ChunkedArray,
    targets: pa.ChunkedArray,
    times: pa.ChunkedArray,
) -> pa.Table:
    columns = {"source": sources, "target": targets}
    if edge.weight:
        columns["weight"] = pa.array(np.ones(len(sources)))
    if edge.time:
        columns["time"] = times
    table = pa.table(columns)
    return unseen(
        schema,
        edge,
        table.slice(0, 0),
        table,
    )


def checked(recommender: Ranker, events: pa.Table) -> pa.Table:
    """With times, known items and no nulls."""
    lost = [name for name in ("user", "item") if name not in events.column_names]
    if lost:
        raise DataError(f"events: no column {', '.join(lost)}")
    if "time" not in events.column_names:
        latest = float(
            np.fmax.reduce(recommender.snapshot.graph.events.time, initial=-np.inf)
        )
        times = np.full(len(events), latest if np.isfinite(latest) else 0.0)
        events = events.append_column("time", pa.array(times))
    kinds = {
        "user": pa.string(),
        "item": pa.string(),
        "time": pa.float64(),
        "bundle": pa.string(),
    }
    names = [name for name in kinds if name in events.column_names]
    try:
        events = pa.table(
            {
                n: (in_days(events[n]) if n == "time" else events[n]).cast(kinds[n])
                for n in names
            }
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"events: {error}") from error
    for name in names:
        if events[name].null_count:
            raise DataError(f"events: {events[name].null_count} have no {name}")
    if not np.isfinite(events["time"].to_numpy()).all():
        raise DataError("events: each time must be a finite number")
    unknown = np.flatnonzero(recommender.items.rows(events["item"]) < 0)
    if len(unknown):
        example = events["item"][int(unknown[0])].as_py()
        raise DataError(
            f"events: {len(unknown)} are of items that are not in the catalogue: {example!r}"
        )
    return events


def unseen(
    schema: GraphSchema,
    edge: EdgeType,
    before: pa.Table,
    more: pa.Table,
) -> pa.Table:
    """The edges that are not there yet, each once: what a store's upsert would add."""
    repeats = edge.time and edge.target == schema.item.name
    keys = ["source", "target"]
    if repeats and edge.role == "interaction":
        keys.append("time")  # the same item again is a second event
    near = before.filter(
        pc.is_in(before["source"], value_set=more["source"].combine_chunks())
    )
    seen = set(zip(*(near[key].to_pylist() for key in keys), strict=True))
    fresh = []
    for key in zip(*(more[key].to_pylist() for key in keys), strict=True):
        fresh.append(key not in seen)
        seen.add(key)
    return more.filter(pa.array(fresh, pa.bool_()))


def appended(
    what: str,
    before: pa.Table,
    more: pa.Table,
) -> pa.Table:
    """One table below the other, in the columns of the first; `what` names them in errors."""
    missing = [
        column for column in before.column_names if column not in more.column_names
    ]
    if missing:
        raise DataError(f"{what}: no column {', '.join(missing)}")
    try:
        return pa.concat_tables(
            [before, more.select(before.column_names).cast(before.schema)]
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise DataError(f"{what}: {error}") from error
