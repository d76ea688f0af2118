"""Events: what users do, on the disk before it is acknowledged, in their answers at once, in the graph in batches."""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from kg.schema import EdgeType, GraphSchema
from kg.store import GraphStore

log = logging.getLogger("serve")
TAKEN = ("purchase",)  # kinds that become edges of the graph
AT_HAND = ("view", "like", "cart", "purchase")  # kinds that enter a user's asks
_TABLES = """
CREATE TABLE IF NOT EXISTS event (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, user TEXT NOT NULL, item TEXT NOT NULL,
    kind TEXT NOT NULL, time REAL NOT NULL, written INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS of_user ON event (user, time);
CREATE INDEX IF NOT EXISTS unwritten ON event (number) WHERE written = 0;
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Event:
    """Something that a user did with an item; time in seconds since 1970, id the caller's own or None."""

    user: str
    item: str
    kind: str
    time: float
    id: str | None = None


class Events:
    """A durable queue in one SQLite file, shared by all workers.

    Write-ahead log with synchronous FULL: what was committed is on the disk, whether the process, the machine or the
    power goes. A thread has its own connection.

    Args:
        file: Made where it is not there.
    """

    def __init__(self, file: str | Path) -> None:
        self.file = Path(file)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._connection().executescript(_TABLES)

    def _connection(self) -> sqlite3.Connection:
        made: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if made is None:
            made = sqlite3.connect(self.file, timeout=10, isolation_level=None, check_same_thread=False)
            made.execute("PRAGMA journal_mode = WAL")
            made.execute("PRAGMA synchronous = FULL")
            self._local.connection = made
            with self._lock:
                self._open.append(made)
        return made

    def add(self, events: Sequence[Event]) -> int:
        """Keep events, all or none; returns how many are new. An id that was seen before is passed over.

        Raises:
            sqlite3.Error: The disk is full, or the file cannot be written.
        """
        rows = [(e.id, e.user, e.item, e.kind, e.time) for e in events]
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            before = connection.total_changes
            connection.executemany(
                "INSERT INTO event (id, user, item, kind, time) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                rows,
            )
            new = connection.total_changes - before
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        return new

    def session(self, user: str, most: int, since: float) -> tuple[str, ...]:
        """The items a user did something with lately, the latest last; without those disliked after."""
        rows = self._connection().execute(
            "SELECT item, kind FROM event WHERE user = ? AND time >= ? ORDER BY time DESC, number DESC LIMIT ?",
            (user, since, 4 * most),
        )
        found: dict[str, bool] = {}
        for item, kind in rows:
            found.setdefault(item, kind in AT_HAND)
        return tuple([item for item, liked in found.items() if liked][:most])[::-1]

    def waiting(self) -> int:
        """How many are not yet in the graph."""
        (count,) = self._connection().execute("SELECT count(*) FROM event WHERE written = 0").fetchone()
        return int(count)

    def write_out(
        self, store: GraphStore, schema: GraphSchema, known: Known, moment: float | None, most: int = 1000
    ) -> int:
        """Write the oldest waiting events to a graph, and mark them; returns how many were looked at.

        A purchase becomes an edge from its user to its item where the schema has such an interaction, or else a bundle
        of one item. Whoever is not in the graph, and other kinds of events, are marked and left. Both sides are
        idempotent: a write that was cut off is done again, to the same edges. An edge's time is the event's in days
        since 1970, or `moment` where the graph has a clock of its own.

        Raises:
            StoreError: The store cannot be written; all is tried again.
        """
        connection = self._connection()
        rows = connection.execute(
            "SELECT number, id, user, item, kind, time FROM event WHERE written = 0 ORDER BY number LIMIT ?", (most,)
        ).fetchall()
        if not rows:
            return 0
        taken = [r for r in rows if r[4] in TAKEN and r[2] in known.users and r[3] in known.items]
        if taken:
            _write(store, schema, taken, moment)
        connection.execute("UPDATE event SET written = 1 WHERE written = 0 AND number <= ?", (rows[-1][0],))
        log.info("%d events looked at, %d written to the graph", len(rows), len(taken))
        return len(rows)

    def set(self, name: str, value: str) -> None:
        """Keep a setting that all workers share."""
        self._connection().execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))

    def get(self, name: str) -> str:
        """A setting; "" where there is none."""
        row = self._connection().execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return row[0] if row else ""

    def close(self) -> None:
        """Close every thread's connection."""
        with self._lock:
            for connection in self._open:
                connection.close()
            self._open.clear()
        self._local = threading.local()


@dataclass(frozen=True)
class Known:
    """Which users and items the graph has."""

    users: frozenset[str]
    items: frozenset[str]


def _write(store: GraphStore, schema: GraphSchema, taken: Sequence[tuple[Any, ...]], moment: float | None) -> None:
    user, item, bundle = schema.of_role("user"), schema.item, schema.of_role("bundle")
    users, items = ([row[n] for row in taken] for n in (2, 3))
    times = [row[5] / 86_400 if moment is None else moment for row in taken]
    made = {(e.role, e.source, e.target): e for e in reversed(schema.edges)}
    direct = made.get(("interaction", user.name, item.name)) if user else None
    if direct is not None:
        store.write_edges(direct, schema, [_edges(direct, users, items, times)])
    elif user and bundle:
        ids = [f"event-{hashlib.sha256(json.dumps(row).encode()).hexdigest()[:24]}" for row in taken]
        blank = {name: pa.nulls(len(ids), pa.string()) for name in bundle.columns}
        store.write_nodes(bundle, [pa.RecordBatch.from_pydict({"id": ids, **blank})])
        for edge in schema.edges:
            if (edge.role, edge.source, edge.target) == ("interaction", user.name, bundle.name):
                store.write_edges(edge, schema, [_edges(edge, users, ids, times)])
            if (edge.role, edge.source, edge.target) == ("membership", bundle.name, item.name):
                store.write_edges(edge, schema, [_edges(edge, ids, items, times)])


def _edges(edge: EdgeType, sources: Sequence[str], targets: Sequence[str], times: Sequence[float]) -> pa.RecordBatch:
    columns: dict[str, object] = {"source": list(sources), "target": list(targets)}
    if edge.weight:
        columns["weight"] = [1.0] * len(sources)
    if edge.time:
        columns["time"] = list(times)
    return pa.RecordBatch.from_pydict(columns)


def now() -> float:
    """Seconds since 1970."""
    return time.time()
