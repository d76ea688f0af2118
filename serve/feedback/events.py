"""Events: what users do, on disk before it is acknowledged, in the graph in batches."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kg.schema import GraphSchema
from kg.stores.base import GraphStore
from serve.feedback.purchases import Known, Purchase, deliver

log = logging.getLogger("serve")
INTERACTIONS = ("purchase",)  # kinds that become edges of the graph
CONTEXT = ("view", "like", "cart", "purchase")  # kinds that enter a user's queries
# In the column `written`, 0 waits for the graph, 1 is done with, and 2 was refused by it.
_TABLES = """
CREATE TABLE IF NOT EXISTS event (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    caller TEXT NOT NULL DEFAULT '',
    id TEXT,
    user TEXT NOT NULL,
    item TEXT NOT NULL,
    kind TEXT NOT NULL,
    time REAL NOT NULL,
    written INTEGER NOT NULL DEFAULT 0,
    UNIQUE (caller, id)
);
CREATE INDEX IF NOT EXISTS of_user ON event (user, time);
CREATE INDEX IF NOT EXISTS unwritten ON event (number) WHERE written = 0;
CREATE INDEX IF NOT EXISTS refused ON event (number) WHERE written = 2;
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS used (
    day TEXT, key TEXT, count INTEGER NOT NULL, PRIMARY KEY (day, key)
);
"""
_ADD = """
INSERT INTO event (caller, id, user, item, kind, time)
VALUES (:caller, :id, :user, :item, :kind, :time) ON CONFLICT (caller, id) DO NOTHING
"""
_LATEST = """
SELECT item, kind, number FROM event WHERE user = ? AND time >= ?
ORDER BY time DESC, number DESC LIMIT ?
"""
_PURCHASES = """
SELECT number, user, item, time FROM event WHERE number > ? AND kind = ? ORDER BY number
"""
_WAITING = """
SELECT number, user, item, time, kind FROM event WHERE written = 0
ORDER BY number LIMIT ?
"""


@dataclass(frozen=True)
class Event:
    """Something that a user did with an item.

    Time is in seconds since 1970, id the caller's own or None; the caller is the name of the
    key that it was sent with.
    """

    user: str
    item: str
    kind: str
    time: float
    id: str | None = None
    caller: str = ""


class Events:
    """A durable queue in one SQLite file, shared by all workers.

    Write-ahead log with synchronous FULL: what was committed is on the disk, whether the
    process, the machine or the power goes. A thread has its own connection.

    Args:
        file: Made where it is not there.
    """

    def __init__(self, file: str | Path) -> None:
        self.file = Path(file)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        with self._changing() as connection:
            for statement in _TABLES.split(";"):  # executescript would commit halfway
                connection.execute(statement)

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(
                self.file, timeout=10, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            self._local.connection = connection
            with self._lock:
                self._open.append(connection)
        return connection

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """A change that is made whole or not at all, one process at a time."""
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    def add(self, events: Sequence[Event]) -> int:
        """Keep events, all or none; returns how many are new.

        An id that its caller sent before is passed over.

        Raises:
            sqlite3.Error: The disk is full, or the file cannot be written.
        """
        with self._changing() as connection:
            before = connection.total_changes
            connection.executemany(_ADD, [vars(event) for event in events])
            return connection.total_changes - before

    def session(
        self, user: str, most: int, since: float, folded: int = 0
    ) -> tuple[str, ...]:
        """A user's latest items, the latest last; without those disliked after.

        Purchases up to the number `folded` are in the graph, and so not in the session.
        """
        rows = self._connection().execute(
            _LATEST,
            (user, since, 4 * most),
        )
        context: dict[str, bool] = {}
        for item, kind, number in rows:
            context.setdefault(
                item,
                kind in CONTEXT and not (kind in INTERACTIONS and number <= folded),
            )
        return tuple([item for item, liked in context.items() if liked][:most])[::-1]

    def purchases(self, after: int) -> list[Purchase]:
        """All with a number above `after`, in order."""
        rows = self._connection().execute(
            _PURCHASES,
            (after, *INTERACTIONS),
        )
        return [Purchase(*row) for row in rows]

    def spend(self, day: str, more: Mapping[str, int]) -> dict[str, int]:
        """Add to what keys have used on a day; returns the use of each in all workers."""
        if more:
            with self._changing() as connection:
                connection.executemany(
                    "INSERT INTO used VALUES (?, ?, ?) "
                    "ON CONFLICT (day, key) DO UPDATE SET count = count + excluded.count",
                    [(day, key, count) for key, count in more.items()],
                )
                connection.execute("DELETE FROM used WHERE day < ?", (day,))
        return dict(
            self._connection()
            .execute("SELECT key, count FROM used WHERE day = ?", (day,))
            .fetchall()
        )

    def waiting(self) -> int:
        """How many are not yet in the graph."""
        (count,) = (
            self._connection()
            .execute("SELECT count(*) FROM event WHERE written = 0")
            .fetchone()
        )
        return int(count)

    def refused(self) -> int:
        """How many the graph has refused."""
        (count,) = (
            self._connection()
            .execute("SELECT count(*) FROM event WHERE written = 2")
            .fetchone()
        )
        return int(count)

    def retry(self) -> None:
        """Let those that the graph has refused wait again."""
        self._connection().execute("UPDATE event SET written = 0 WHERE written = 2")

    def write_out(
        self, store: GraphStore, schema: GraphSchema, known: Known, most: int = 1000
    ) -> int:
        """Write the oldest waiting events to a graph; returns how many were looked at.

        A purchase becomes an edge from its user to its item where the schema has such an
        interaction, or else one of a bundle. Whoever is not in the graph, and other kinds of
        events, are marked and left; what the store refuses is
        marked as refused. Both sides are idempotent: a write that was cut off is done again,
        to the same edges.

        Raises:
            StoreError: The store cannot be written; all is tried again.
        """
        connection = self._connection()
        rows = connection.execute(
            _WAITING,
            (most,),
        ).fetchall()
        if not rows:
            return 0
        taken = [Purchase(*row[:4]) for row in rows if row[4] in INTERACTIONS]
        taken = [
            one
            for one in taken
            if known.users.row(one.user) >= 0 and known.items.row(one.item) >= 0
        ]
        refused = deliver(store, schema, known, taken) if taken else {}
        marks = [(2 if row[0] in refused else 1, row[0]) for row in rows]
        with self._changing():
            connection.executemany(
                "UPDATE event SET written = ? WHERE number = ? AND written = 0", marks
            )
        for why in dict.fromkeys(refused.values()):
            numbers = [number for number, reason in refused.items() if reason == why]
            listed = ", ".join(map(str, numbers[:20])) + (
                f" and {len(numbers) - 20} more" if len(numbers) > 20 else ""
            )
            log.warning("refused by the graph store: %s (events %s)", why, listed)
        log.info(
            "%d events looked at, %d written to the graph",
            len(rows),
            len(taken) - len(refused),
        )
        return len(rows)

    def set(self, name: str, value: str) -> None:
        """Keep a setting that all workers share."""
        self._connection().execute(
            "INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value)
        )

    def get(self, name: str) -> str:
        """A setting; "" where there is none."""
        row = (
            self._connection()
            .execute("SELECT value FROM setting WHERE name = ?", (name,))
            .fetchone()
        )
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
