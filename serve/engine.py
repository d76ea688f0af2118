"""Engine: the run that is served, swapped whole; answers in threads, words encoded in batches."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from fusion.ask import Ask, Asks
from fusion.explain import explain
from fusion.explanation import Explanation
from fusion.recommender import Recommender
from fusion.runs import RunError
from fusion.step import encode_words
from serve.errors import Problem
from serve.settings import Settings

log = logging.getLogger("serve")
T = TypeVar("T")
BATCH = 64  # texts encoded at once


class Served(Recommender):
    """A recommender for many threads: words that are asked at the same moment are encoded in one batch.

    Whoever needs words that nobody knows waits for the encoder; who gets it encodes what all others wait for, too. So
    nobody waits for a batch to fill, and batches grow with the load.
    """

    kept = 10_000  # texts whose vectors are remembered, the latest used

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._encoder, self._mutex = threading.Lock(), threading.Lock()
        self._vectors: OrderedDict[str, Tensor] = OrderedDict()
        self._waiting: dict[str, None] = {}
        self.batches = self.encoded = 0

    def words(self, asks: Asks) -> Tensor:
        """(B, D) vectors of the asks' words."""
        found: dict[str, Tensor] = {}
        wanted = list(dict.fromkeys(asks.texts))
        while missing := self._remembered(wanted, found):
            with self._encoder:
                missing = self._remembered(missing, found)
                if missing:
                    found |= self._encode(missing[:BATCH])
        return torch.stack([found[text] for text in asks.texts])

    def _remembered(self, wanted: list[str], found: dict[str, Tensor]) -> list[str]:
        """Adds what is known to `found`; the rest waits, and is returned."""
        with self._mutex:
            for text in wanted:
                if text not in found and text in self._vectors:
                    self._vectors.move_to_end(text)
                    found[text] = self._vectors[text]
            missing = [text for text in wanted if text not in found]
            self._waiting.update(dict.fromkeys(missing))
        return missing

    def _encode(self, mine: list[str]) -> dict[str, Tensor]:
        with self._mutex:
            batch = [*mine, *(text for text in self._waiting if text not in mine)][:BATCH]
            for text in batch:
                self._waiting.pop(text, None)
        with torch.no_grad():
            asks = self.asks([Ask(text=text) for text in batch])
            vectors = dict(zip(batch, encode_words(self.model, asks, self.world.device), strict=True))
        with self._mutex:
            self.batches, self.encoded = self.batches + 1, self.encoded + len(batch)
            self._vectors.update(vectors)
            while len(self._vectors) > self.kept:
                self._vectors.popitem(last=False)
        return vectors


@dataclass(frozen=True)
class Loaded:
    """A run that is in memory."""

    folder: Path
    recommender: Served
    since: float = field(default_factory=time.time)
    one: threading.Lock = field(default_factory=threading.Lock)
    explains: threading.Event = field(default_factory=threading.Event)

    @property
    def run(self) -> str:
        """Its id."""
        return self.folder.name

    def explain(self, ask: Ask, item: str, **settings: Any) -> Explanation:
        """As fusion.explain.explain, one at a time."""
        with self.one:
            return explain(self.recommender, ask, item, **settings)

    def warm(self) -> None:
        """Explain once: what explaining needs takes a while to make, and nobody should wait for it."""
        first, second = (self.recommender.items.key(row) for row in (0, min(1, len(self.recommender.items) - 1)))
        try:
            if first != second:
                self.explain(Ask(items=(first,), text="a"), second)
        except Exception as error:  # whoever asks for one is told what is wrong
            log.error("explanations cannot be warmed: %s", type(error).__name__)
        self.explains.set()

    def shares(self, ids: list[str]) -> list[float]:
        """The share of language in each item's vector."""
        rows = torch.as_tensor(self.recommender.items.rows(ids))
        found: list[float] = self.recommender.bank.items.share.cpu()[rows].tolist()
        return found

    def prices(self, ids: list[str]) -> list[float | None]:
        """Each item's price; None where none is known."""
        if "price" not in self.recommender.facts.names:
            return [None] * len(ids)
        found = self.recommender.facts.numbers("price")[self.recommender.items.rows(ids)]
        return [None if price != price else float(price) for price in found]

    def item(self, row: int) -> dict[str, Any]:
        """What is known of an item: its properties, and the attributes it has by name."""
        recommender = self.recommender
        schema, tables = recommender.tables.schema, recommender.tables
        facts = tables.nodes[schema.item.name].slice(row, 1).to_pylist()[0]
        named: dict[str, list[str]] = {}
        for edge in schema.edges:
            if edge.source == schema.item.name and schema.node(edge.target).role == "attribute":
                values = recommender.facts.values(edge.name)
                first, last = np.searchsorted(values.item, [row, row + 1])
                named.setdefault(edge.target, []).extend(values.titles[v] for v in values.value[first:last])
        id_ = facts.pop("id")
        (share,) = self.shares([id_])
        return {"id": id_, "title": recommender.title(row), "language": share, "properties": facts, "attributes": named}

    def about(self, users: int) -> dict[str, Any]:
        """What is served, for people: sizes, names to narrow by, kinds by how many items they have, some users."""
        recommender = self.recommender
        facts, world = recommender.facts, recommender.world
        kinds: list[str] = []
        if facts.kind:
            values = facts.values(facts.kind)
            often = np.bincount(values.value, minlength=len(values.names))
            kinds = [values.titles[v] for v in np.argsort(-often, kind="stable")[:500] if often[v]]
        some = list(world.graph.vocabs[world.user].ids[:users].to_pylist()) if world.user else []
        bundle = world.graph.schema.of_role("bundle")
        prices = None
        if "price" in facts.names:
            known = facts.numbers("price")
            if np.isfinite(known).any():
                prices = np.nanquantile(known, (0.05, 0.5, 0.95)).tolist()
        return {
            "item_type": world.item, "items": world.items, "user_type": world.user, "users": world.users,
            "kind": facts.kind, "kinds": kinds, "names": list(facts.names), "prices": prices,
            "bundle_type": bundle.name if bundle else None, "example_users": some,
        }  # fmt: skip


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
            raise Problem(503, "too many requests are waiting", headers={"Retry-After": "1"})
        future: Future[T] = (self.slow if slow else self.quick).submit(work)
        self.inside += 1
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.is_closed() or loop.call_soon_threadsafe(self._left))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self.settings.seconds)
        except TimeoutError:
            raise Problem(504, f"no answer within {self.settings.seconds:g} seconds") from None

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

    def close(self) -> None:
        """Let what runs end, and what waits."""
        self.quick.shutdown(wait=True, cancel_futures=True)
        self.slow.shutdown(wait=True, cancel_futures=True)
        self.beside.shutdown(wait=True, cancel_futures=True)


def load(folder: str | Path) -> Loaded:
    """A run, checked, in memory and warm.

    Raises:
        RunError: As Recommender.load raises it, or it cannot answer.
    """
    loaded = Loaded(Path(folder).resolve(), Served.load(folder))
    recommender = loaded.recommender
    try:
        first = recommender.items.key(0)
        for ask in (Ask(), Ask(text="a"), Ask(items=(first,), text="a b")):
            recommender.answer(ask)
    except Exception as error:
        raise RunError(f"{folder} was read but cannot answer: {error}") from error
    return loaded
