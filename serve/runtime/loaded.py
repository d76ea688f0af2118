"""Loaded: a run in memory, for many threads; words encoded in batches, purchases folded in."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from encoders.text.export import quicken
from fusion.explain.explainer import explain
from fusion.explain.explanation import Explanation
from fusion.model.inputs import encode_words
from fusion.query import Query
from fusion.query_batch import QueryBatch
from fusion.recommender import Recommender
from kg.errors import DataError, RunError
from kg.tables import FloatArray
from serve.feedback.purchases import Known, Purchase

log = logging.getLogger("serve")
BATCH = 64  # texts encoded at once


class ServingModel(Recommender):
    """A recommender for many threads: words queried at the same moment are encoded in one batch.

    Whoever needs words that nobody knows waits for the encoder; who gets it encodes what all
    others wait for, too. So nobody waits for a batch to fill, and batches grow with the load.
    """

    kept = 10_000  # texts whose vectors are remembered, the latest used

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._encoder, self._mutex = threading.Lock(), threading.Lock()
        self._vectors: OrderedDict[str, Tensor] = OrderedDict()
        self._waiting: dict[str, None] = {}
        self.batches = self.encoded = 0

    def inherit(self, before: ServingModel) -> None:
        """Remember the words that another of the same encoder remembers."""
        with before._mutex:
            self._vectors = before._vectors.copy()
            self.batches, self.encoded = before.batches, before.encoded

    def words(self, queries: QueryBatch) -> Tensor:
        """(B, D) vectors of the queries' words."""
        vectors: dict[str, Tensor] = {}
        wanted = list(dict.fromkeys(queries.texts))
        while missing := self._remembered(wanted, vectors):
            with self._encoder:
                missing = self._remembered(missing, vectors)
                if missing:
                    vectors |= self._encode(missing[:BATCH])
        return torch.stack([vectors[text] for text in queries.texts])

    def _remembered(self, wanted: list[str], vectors: dict[str, Tensor]) -> list[str]:
        """Adds what is known to `vectors`; the rest waits, and is returned."""
        with self._mutex:
            for text in wanted:
                if text not in vectors and text in self._vectors:
                    self._vectors.move_to_end(text)
                    vectors[text] = self._vectors[text]
            missing = [text for text in wanted if text not in vectors]
            self._waiting.update(dict.fromkeys(missing))
        return missing

    def _encode(self, wanted: list[str]) -> dict[str, Tensor]:
        with self._mutex:
            batch = [*wanted, *(text for text in self._waiting if text not in wanted)][
                :BATCH
            ]
            for text in batch:
                self._waiting.pop(text, None)
        with torch.no_grad():
            queries = self.queries([Query(text=text) for text in batch])
            vectors = dict(
                zip(
                    batch,
                    encode_words(self.model, queries, self.snapshot.device),
                    strict=True,
                )
            )
        with self._mutex:
            self.batches, self.encoded = self.batches + 1, self.encoded + len(batch)
            self._vectors.update(vectors)
            while len(self._vectors) > self.kept:
                self._vectors.popitem(last=False)
        return vectors


@dataclass(frozen=True)
class Loaded:
    """A run that is in memory.

    Attributes:
        folder: Where it lies.
        recommender: Of the run's graph and the purchases that were folded in.
        known: Of the run's own graph.
        since: When it was loaded.
        folded: Number of the last purchase that was folded in.
        looked: When purchases were looked for last.
        one: Held by who explains.
        explains: Set when explaining is quick.
    """

    folder: Path
    recommender: ServingModel
    known: Known
    since: float = field(default_factory=time.time)
    folded: int = 0
    looked: float = 0.0
    one: threading.Lock = field(default_factory=threading.Lock)
    explains: threading.Event = field(default_factory=threading.Event)

    @property
    def run(self) -> str:
        """Its id."""
        return self.folder.name

    def with_purchases(self, rows: list[Purchase]) -> Loaded:
        """The same run with purchases folded into its graph, but those of unknown items."""
        began, before = time.thread_time(), self.recommender
        # In a graph that ends long ago nothing happens much later, or all that it counts would
        # be old and gone.
        latest = self.known.last + before.counts.config.recent
        taken = [row for row in rows if self.known.items.row(row.item) >= 0]
        fresh = replace(
            self, folded=rows[-1].number if rows else self.folded, looked=time.time()
        )
        if not taken:
            return fresh
        recommender = before.with_events(self.known.purchases(taken, latest))
        if recommender is before:
            return fresh
        recommender.inherit(before)
        rehearse(recommender)
        log.info(
            "%d purchases folded in, %.1f s of processor",
            len(taken),
            time.thread_time() - began,
        )
        return replace(
            fresh,
            recommender=recommender,
            one=threading.Lock(),
            explains=threading.Event(),
        )

    def explain(self, query: Query, item: str, **settings: Any) -> Explanation:
        """As fusion.explain.explainer.explain, one at a time."""
        with self.one:
            return explain(self.recommender, query, item, **settings)

    def warm(self) -> None:
        """Explain once: what explaining needs takes a while, and nobody should wait for it."""
        first, second = (
            self.recommender.items.key(row)
            for row in (0, min(1, len(self.recommender.items) - 1))
        )
        try:
            if first != second:
                self.explain(Query(items=(first,), text="a"), second)
        except Exception as error:  # a caller is given the error
            log.error("explanations cannot be warmed: %s", type(error).__name__)
        self.explains.set()

    def shares(self, ids: list[str]) -> list[float]:
        """The text weight in each item's vector."""
        rows = torch.as_tensor(self.recommender.items.rows(ids))
        shares: list[float] = self.recommender.embeddings.items.share.cpu()[
            rows
        ].tolist()
        return shares

    @cached_property
    def _prices(self) -> FloatArray | None:
        try:
            return self.recommender.facts.numbers("price")
        except DataError:  # there is none, or it holds no numbers
            return None

    def prices(self, ids: list[str]) -> list[float | None]:
        """Each item's price; None where none is known."""
        if self._prices is None:
            return [None] * len(ids)
        prices = self._prices[self.recommender.items.rows(ids)]
        return [None if price != price else float(price) for price in prices]

    def item(self, row: int) -> dict[str, Any]:
        """What is known of an item: its properties, and the attributes it has by name."""
        recommender = self.recommender
        schema, tables = recommender.tables.schema, recommender.tables
        facts = tables.nodes[schema.item.name].slice(row, 1).to_pylist()[0]
        named: dict[str, list[str]] = {}
        for edge in schema.edges:
            if (
                edge.source == schema.item.name
                and schema.node(edge.target).role == "attribute"
            ):
                values = recommender.facts.values(edge.name)
                first, last = np.searchsorted(values.item, [row, row + 1])
                named.setdefault(edge.target, []).extend(
                    values.titles[v] for v in values.value[first:last]
                )
        id_ = facts.pop("id")
        (share,) = self.shares([id_])
        return {
            "id": id_,
            "title": recommender.title(row),
            "text_weight": share,
            "properties": facts,
            "attributes": named,
        }

    def about(self, users: int) -> dict[str, Any]:
        """What is served, for people: sizes, names to filter by, frequent kinds, some users."""
        recommender = self.recommender
        facts, snapshot = recommender.facts, recommender.snapshot
        kinds: list[str] = []
        if facts.kind:
            values = facts.values(facts.kind)
            often = np.bincount(values.value, minlength=len(values.names))
            kinds = [
                values.titles[v]
                for v in np.argsort(-often, kind="stable")[:500]
                if often[v]
            ]
        example_users = (
            list(snapshot.graph.vocabs[snapshot.user].ids[:users].to_pylist())
            if snapshot.user
            else []
        )
        bundle = snapshot.graph.schema.of_role("bundle")
        prices = None
        if self._prices is not None and np.isfinite(self._prices).any():
            prices = np.nanquantile(self._prices, (0.05, 0.5, 0.95)).tolist()
        return {
            "item_type": snapshot.item,
            "items": snapshot.items,
            "user_type": snapshot.user,
            "users": snapshot.users,
            "kind": facts.kind,
            "kinds": kinds,
            "names": list(facts.names),
            "prices": prices,
            "bundle_type": bundle.name if bundle else None,
            "types": [n.name for n in snapshot.graph.schema.nodes],
            "example_users": example_users,
        }


def load(folder: str | Path) -> Loaded:
    """A run, checked, in memory and warm.

    Raises:
        RunError: As Recommender.load raises it, or it cannot answer.
    """
    recommender = ServingModel.load(folder)
    try:
        if recommender.model.text is not None and quicken(
            recommender.model.text, Path(folder) / "text"
        ):
            log.info("words are encoded by ONNX Runtime")
        rehearse(recommender)
    except Exception as error:
        raise RunError(f"{folder} was read but cannot answer: {error}") from error
    return Loaded(
        Path(folder).resolve(), recommender, Known.of(recommender.snapshot.graph)
    )


def rehearse(recommender: Recommender) -> None:
    """Query once in each way: it must not fail, and what first use makes is there."""
    first = recommender.items.key(0)
    for query in (Query(), Query(text="a"), Query(items=(first,), text="a b")):
        recommender.answer(query)
