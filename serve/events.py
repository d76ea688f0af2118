"""Events: what users do, on the disk before it is acknowledged, in their answers at once, in the graph in batches."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa

from fusion.fold_in import as_tables, bundle_id
from kg.graph import Graph
from kg.schema import GraphSchema
from kg.store import GraphStore
from kg.tables import Vocab

log = logging.getLogger("serve")
TAKEN = ("purchase",)  # kinds that become edges of the graph
DAYS = (9_000, 40_000)  # what counts days since 1970 is now within; any other clock is the graph's own
AT_HAND = ("view", "like", "cart", "purchase")  # kinds that enter a user's asks
_TABLES = """
CREATE TABLE IF NOT EXISTS event (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, user TEXT NOT NULL, item TEXT NOT NULL,
    kind TEXT NOT NULL, time REAL NOT NULL, written INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS of_user ON event (user, time);
CREATE INDEX IF NOT EXISTS unwritten ON event (number) WHERE written = 0;
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS used (day TEXT, key TEXT, count INTEGER NOT NULL, PRIMARY KEY (day, key));
"""


@dataclass(frozen=True)
class Event:
    """Something that a user did with an item; time in seconds since 1970, id the caller's own or None."""

    user: str
    item: str
    kind: str
    time: float
    id: str | None = None


class Purchase(NamedTuple):
    """An event that becomes an edge: its number in the queue, who, what, when (seconds since 1970)."""

    number: int
    user: str
    item: str
    time: float


@dataclass(frozen=True)
class Known:
    """What the graph of a run has.

    Attributes:
        users: Their ids.
        items: Their ids.
        last: Its latest moment; NaN where it has no times.
    """

    users: Vocab
    items: Vocab
    last: float

    @classmethod
    def of(cls, graph: Graph) -> Self:
        """Of a run's own graph."""
        users = graph.vocabs[graph.user] if graph.user else Vocab([])
        return cls(users, graph.vocabs[graph.item], float(np.fmax.reduce(graph.events.time, initial=np.nan)))

    def purchases(self, rows: Sequence[Purchase], latest: float = np.inf) -> pa.Table:
        """As fusion.fold_in takes them, in the graph's unit of time, none after `latest`.

        What counts days since 1970 goes on; in a graph with a clock of its own all happens at its latest moment.
        """
        own = not DAYS[0] < self.last < DAYS[1]
        times = [np.nan_to_num(self.last) if own else min(row.time / 86_400, latest) for row in rows]
        columns = [[row.user for row in rows], [row.item for row in rows], [bundle_id(r.user, r.time) for r in rows]]
        kinds = {"user": pa.string(), "item": pa.string(), "bundle": pa.string(), "time": pa.float64()}
        return pa.table([*columns, times], schema=pa.schema(list(kinds.items())))


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

    def session(self, user: str, most: int, since: float, folded: int = 0) -> tuple[str, ...]:
        """The items a user did something with lately, the latest last; without those disliked after.

        Purchases up to the number `folded` are in the graph, and so not in the session.
        """
        rows = self._connection().execute(
            "SELECT item, kind, number FROM event WHERE user = ? AND time >= ? ORDER BY time DESC, number DESC LIMIT ?",
            (user, since, 4 * most),
        )
        found: dict[str, bool] = {}
        for item, kind, number in rows:
            found.setdefault(item, kind in AT_HAND and not (kind in TAKEN and number <= folded))
        return tuple([item for item, liked in found.items() if liked][:most])[::-1]

    def purchases(self, after: int) -> list[Purchase]:
        """All with a number above `after`, in order."""
        rows = self._connection().execute(
            "SELECT number, user, item, time FROM event WHERE number > ? AND kind = ? ORDER BY number", (after, *TAKEN)
        )
        return [Purchase(*row) for row in rows]

    def spend(self, day: str, more: Mapping[str, int]) -> dict[str, int]:
        """Add to what keys have used on a day; returns what each has by now, in all workers together."""
        connection = self._connection()
        if more:
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.executemany(
                    "INSERT INTO used VALUES (?, ?, ?) "
                    "ON CONFLICT (day, key) DO UPDATE SET count = count + excluded.count",
                    [(day, key, count) for key, count in more.items()],
                )
                connection.execute("DELETE FROM used WHERE day < ?", (day,))
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
        return dict(connection.execute("SELECT key, count FROM used WHERE day = ?", (day,)).fetchall())

    def waiting(self) -> int:
        """How many are not yet in the graph."""
        (count,) = self._connection().execute("SELECT count(*) FROM event WHERE written = 0").fetchone()
        return int(count)

    def write_out(self, store: GraphStore, schema: GraphSchema, known: Known, most: int = 1000) -> int:
        """Write the oldest waiting events to a graph, and mark them; returns how many were looked at.

        A purchase becomes an edge from its user to its item where the schema has such an interaction, or else one of a
        bundle. Whoever is not in the graph, and other kinds of events, are marked and left. Both sides are idempotent:
        a write that was cut off is done again, to the same edges.

        Raises:
            StoreError: The store cannot be written; all is tried again.
        """
        connection = self._connection()
        rows = connection.execute(
            "SELECT number, user, item, time, kind FROM event WHERE written = 0 ORDER BY number LIMIT ?", (most,)
        ).fetchall()
        if not rows:
            return 0
        taken = [Purchase(*row[:4]) for row in rows if row[4] in TAKEN]
        taken = [one for one in taken if known.users.row(one.user) >= 0 and known.items.row(one.item) >= 0]
        if taken:
            nodes, edges = as_tables(schema, known.purchases(taken))
            for name, table in nodes.items():
                store.write_nodes(schema.node(name), table.to_batches())
            for name, table in edges.items():
                store.write_edges(schema.edge(name), schema, table.to_batches())
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


def now() -> float:
    """Seconds since 1970."""
    return time.time()
