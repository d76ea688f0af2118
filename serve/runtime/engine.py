"""Engine: the run that is served, swapped whole; answers in threads."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch

from serve.feedback.events import Events
from serve.problems import Problem
from serve.runtime.loaded import Loaded, load
from serve.settings import Settings

log = logging.getLogger("serve")
T = TypeVar("T")


class Engine:
    """Serves one run at a time.

    `now` is read once a request and never locked: a request that began with a run ends with it.

    Args:
        settings: Which run, how many threads, how long.
    """

    def __init__(self, settings: Settings) -> None:
        torch.set_num_threads(1)
        self.settings = settings
        self.quick = ThreadPoolExecutor(settings.threads, "quick")
        self.slow = ThreadPoolExecutor(max(1, settings.threads // 2), "slow")
        self.inside = 0
        self._reloading = asyncio.Lock()
        self.beside = ThreadPoolExecutor(1, "beside")
        self.now = load(settings.run)
        self.beside.submit(self.now.warm)

    @property
    def folder(self) -> Path:
        """Where the runs lie."""
        return Path(self.settings.run).resolve().parent

    async def run(self, work: Callable[[], T], slow: bool = False) -> T:
        """Do work in a thread; what is slow does not stand in the way of what is quick.

        Raises:
            Problem: 503 where too much is waiting, 504 where it takes too long.
        """
        if self.inside >= self.settings.waiting:
            raise Problem(
                503, "too many requests are waiting", headers={"Retry-After": "1"}
            )
        future: Future[T] = (self.slow if slow else self.quick).submit(work)
        self.inside += 1
        loop = asyncio.get_running_loop()
        future.add_done_callback(
            lambda _: loop.is_closed() or loop.call_soon_threadsafe(self._left)
        )
        try:
            return await asyncio.wait_for(
                asyncio.wrap_future(future), self.settings.seconds
            )
        except TimeoutError:
            raise Problem(
                504, f"no answer within {self.settings.seconds:g} seconds"
            ) from None

    def _left(self) -> None:
        self.inside -= 1

    async def reload(self, run: str) -> tuple[Loaded, Loaded]:
        """Serve another run of the same folder; the old one goes on until the new one has answered.

        Returns:
            Before and now.

        Raises:
            RunError: There is none, or it is damaged; the old one stays.
        """
        async with self._reloading:
            before = self.now
            fresh = await asyncio.to_thread(load, self.folder / run)
            self.now = fresh
            self.beside.submit(fresh.warm)
            log.info("serving %s, before %s", fresh.run, before.run)
            return before, fresh

    async def fold(self, events: Events) -> None:
        """Serve the same run with the purchases since the last time folded in, if there are any.

        Raises:
            sqlite3.Error: The events cannot be read.
            DataError: They do not fit the graph; what is served stays.
        """
        async with self._reloading:
            before = self.now
            self.now = replace(before, looked=time.time())
            if (
                "user-item" in before.recommender.counts.user_item
            ):  # else nobody takes anything in this graph
                rows = await asyncio.to_thread(events.purchases, before.folded)
                self.now = fresh = await asyncio.to_thread(before.with_purchases, rows)
                if fresh.recommender is not before.recommender:
                    self.beside.submit(fresh.warm)

    def close(self) -> None:
        """Let what runs end, and what waits."""
        self.quick.shutdown(wait=True, cancel_futures=True)
        self.slow.shutdown(wait=True, cancel_futures=True)
        self.beside.shutdown(wait=True, cancel_futures=True)
