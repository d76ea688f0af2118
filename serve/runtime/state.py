"""State: what one process holds, and its tasks beside answering: reloads, store, events."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kg.errors import RunError, StoreError
from kg.stores.base import GraphStore
from kg.stores.open import open_store
from serve.access.security import Authorizer, Caller
from serve.feedback.events import Event, Events, now
from serve.metrics import Metrics
from serve.problems import Problem
from serve.runtime.engine import Engine
from serve.runtime.loaded import Loaded
from serve.settings import Settings

log = logging.getLogger("serve")
audit = logging.getLogger("serve.audit")
FOLLOW, LOOK = (
    1.0,
    5.0,
)  # seconds between looks at the shared settings, and at the store


class GraphConnection:
    """The graph store: a server stays connected, a file is let go each time.

    A server that was away is connected again.

    Args:
        uri: Its address; "" for none.
    """

    def __init__(self, uri: str) -> None:
        self.uri, self.status = uri, "unknown" if uri else "not asked for"
        self._store: GraphStore | None = None
        self._lock = threading.Lock()

    @contextmanager
    def store(self, write: bool = False) -> Iterator[GraphStore]:
        """The store; StoreError where it does not answer."""
        if "://" not in self.uri:
            there = Path(self.uri).is_file()  # to write is not to make one
            with self._lock, open_store(self.uri, create=write and there) as store:
                yield store
            return
        with self._lock:
            if self._store is None:
                self._store = open_store(self.uri)
            store = self._store
        yield store

    def look(self) -> str:
        """Whether it answers now: "up" or "down"."""
        if self.uri:
            try:
                with self.store() as store:
                    store.schema()
                self.status = "up"
            except Exception as error:  # whatever a driver may raise, serving goes on
                what = (
                    error if isinstance(error, StoreError) else type(error).__name__
                )  # ours hold no secret
                log.warning("the graph store does not answer: %s", what)
                self.status = "down"
                self.close()
        return self.status

    def close(self) -> None:
        """Let go of it."""
        with self._lock:
            if self._store is not None:
                with suppress(Exception):
                    self._store.close()
            self._store = None


class State:
    """What an app holds.

    Args:
        settings: What it was started with.
        guard: Who may query.
        metrics: What is counted.
    """

    def __init__(self, settings: Settings, guard: Authorizer, metrics: Metrics) -> None:
        self.settings, self.guard, self.metrics = settings, guard, metrics
        self.events = Events(
            settings.state or Path(settings.run).resolve().parent / "events.sqlite"
        )
        self.graph = GraphConnection(settings.graph)
        self.engine = Engine(settings)
        self._row = f"run {settings.launch}"
        self.followed = ""
        self._following = asyncio.Lock()
        self.queue: dict[
            str, int
        ] = {}  # of events on their way to the graph, how many wait and how many it refused
        self._tried = 0.0
        self.durable = "up"
        self.spend()

    def session(self, loaded: Loaded, user: str | None) -> tuple[str, ...]:
        """The latest items of a user that are not yet in the graph."""
        if user is None or not self.settings.session:
            return ()
        since = now() - 3600 * self.settings.session_hours
        return self.events.session(user, self.settings.session, since, loaded.folded)

    def spend(self) -> None:
        """Exchange with the other workers what was used of quotas."""
        if self.settings.keys is not None:
            day, more = self.guard.pending()
            self.guard.settle(day, more, self.events.spend(day, more))

    async def keep(self, events: Sequence[Event]) -> int:
        """Put events on the disk; 503 where that cannot be done."""
        try:
            new = await asyncio.to_thread(self.events.add, events)
        except sqlite3.Error as error:
            log.error("events cannot be kept: %s", error)
            self.durable = "down"
            raise Problem(
                503,
                "events cannot be kept now; send them again",
                headers={"Retry-After": "5"},
            ) from error
        self.durable = "up"
        return new

    async def reload(
        self, run: str, caller: Caller, request_id: str
    ) -> tuple[str, str]:
        """Serve another run, here at once and in every other worker within a second."""
        try:
            async with (
                self._following
            ):  # until the others are told, what they were told before is not followed
                before, fresh = await self.engine.reload(run)
                self.followed = f"{fresh.run} {fresh.since}"
                await asyncio.to_thread(self.events.set, self._row, self.followed)
        except RunError as error:
            self.metrics.reloads.labels("refused").inc()
            self.act(caller, request_id, "reload", run, "refused")
            reason = " ".join(str(error).replace(f"{self.engine.folder}/", "").split())
            raise Problem(409, f"{reason}; {self.engine.now.run} goes on") from error
        self.metrics.reloads.labels("done").inc()
        self.act(caller, request_id, "reload", run, "done")
        return before.run, fresh.run

    def act(
        self, caller: Caller, request_id: str, act: str, on: str, outcome: str
    ) -> None:
        """Note an administrative act."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps(
            {
                "at": at,
                "who": caller.name,
                "role": caller.role,
                "act": act,
                "on": on,
                "outcome": outcome,
                "id": request_id,
            }
        )
        audit.info(line)
        if self.settings.audit:
            with open(self.settings.audit, "a", encoding="utf-8") as file:
                file.write(line + "\n")

    def health(self) -> dict[str, Any]:
        """What works: "degraded" where something that not all questions need is down."""
        explains = "up" if self.engine.now.explains.is_set() else "warming"
        parts = {
            "answers": "up",
            "explanations": explains,
            "events": self.durable,
            "graph": self.graph.status,
        }
        status = "degraded" if "down" in parts.values() else "ready"
        return {
            "status": status,
            "run": self.engine.now.run,
            "parts": parts,
            "queue": self.queue,
        }

    async def follow(self) -> None:
        """Take over the run that another worker serves, and what others used of quotas."""
        while True:
            await self.catch_up()
            try:
                await asyncio.to_thread(self.spend)
            except sqlite3.Error as error:
                log.error("quotas cannot be kept: %s", error)
            await asyncio.sleep(FOLLOW)

    async def fold(self) -> None:
        """Fold purchases in, at once after a start or a reload, and then every so many minutes."""
        while self.settings.fold_minutes:
            if now() - self.engine.now.looked >= 60 * self.settings.fold_minutes:
                try:
                    await self.engine.fold(self.events)
                except (
                    Exception
                ) as error:  # what is served goes on, and it is tried again
                    log.error("purchases cannot be folded in: %s", type(error).__name__)
            await asyncio.sleep(FOLLOW)

    async def catch_up(self) -> None:
        """Serve what the workers were told last, unless a reload is under way here."""
        if self._following.locked():
            return
        try:
            async with self._following:
                wanted = await asyncio.to_thread(self.events.get, self._row)
                if wanted != self.followed:
                    self.followed = wanted
                    await self.engine.reload(wanted.partition(" ")[0])
        except (RunError, sqlite3.Error) as error:
            log.error("cannot follow: %s", error)

    async def write(self) -> None:
        """Look at the store, write what is waiting, and count what is left."""
        while True:
            up = await asyncio.to_thread(self.graph.look) == "up"
            await asyncio.to_thread(self.write_out if up else self.count)
            await asyncio.sleep(LOOK)

    def write_out(self) -> int:
        """Write what is waiting to the graph; returns how many events were looked at.

        What the graph refused before is tried again with each run that is loaded: its nodes
        may be back by then.
        """
        loaded, done = self.engine.now, 0
        try:
            if loaded.since != self._tried:
                self.events.retry()
                self._tried = loaded.since
            with self.graph.store(write=True) as store:
                while count := self.events.write_out(
                    store, loaded.recommender.tables.schema, loaded.known
                ):
                    done += count
        except Exception as error:  # whatever a driver may raise, it is tried again
            log.warning("events wait: %s", type(error).__name__)
        self.count()
        return done

    def count(self) -> None:
        """Count what is on its way to the graph, for health and metrics."""
        if self.settings.graph:
            with suppress(sqlite3.Error):
                self.queue = {
                    "waiting": self.events.waiting(),
                    "refused": self.events.refused(),
                }
                self.metrics.waiting.set(self.queue["waiting"])
                self.metrics.refused.set(self.queue["refused"])

    def close(self) -> None:
        """Let go of everything."""
        self.engine.close()
        with suppress(sqlite3.Error):
            self.spend()
        self.events.close()
        self.graph.close()
