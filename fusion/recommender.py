"""Recommender: the one object that is evaluated, saved, loaded and served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from fusion.ask import Ask, Asks, Constraints, Ragged, Recommendation, ids_of
from fusion.complements import Complements
from fusion.explanation import Explanation
from fusion.facts import Facts
from fusion.model import Bank, Hybrid, Scores
from fusion.plan import Combination, Plan
from fusion.season import seasonal
from fusion.step import encode_words
from fusion.world import NodeTexts, World
from kg.graph import build_graph
from kg.paths import PathCounts
from kg.tables import IntArray, Tables

if TYPE_CHECKING:
    from fusion.combinations import Judgement, RankedBundle
    from fusion.explain import Explainer

ANYTHING = Constraints()
ANY_PLAN = Plan()
WORDS_KEPT = 10_000  # queries whose vectors are kept


class Recommender:
    """Answers asks over one catalogue.

    What it does not know is no error: an unknown user is nobody in particular, unknown items at hand are passed
    over, and an ask of which nothing is known is answered by recent popularity.

    Args:
        model: Trained.
        world: The training graph.
        bank: The vectors of its items and users.
        tables: The training tables.
        counts: Its counted paths.
    """

    name = "hybrid"
    store = ""  # the address of the graph that it was trained on, where that is known
    explainer: Explainer | None = None  # made when an item is first explained

    def __init__(self, model: Hybrid, world: World, bank: Bank, tables: Tables, counts: PathCounts) -> None:
        # By column, one ask's product with every item takes a third of the time.
        self.bank = replace(bank, items=bank.items._replace(fused=bank.items.fused.T.contiguous().T))
        self.model, self.world, self.tables, self.counts = model.eval(), world, tables, counts
        self.items = world.graph.vocabs[world.item]
        self.facts = Facts(tables)
        self._words: dict[str, Tensor] = {}
        self._titles = tables.titles(world.item)

    @classmethod
    def assemble(
        cls, model: Hybrid, tables: Tables, counts: PathCounts, device: torch.device | str, bank: Bank | None = None
    ) -> Self:
        """Put a trained model and the facts together; without a bank, every vector is computed anew."""
        config, texts, device = model.config, NodeTexts.of(tables), torch.device(device)
        world = World(build_graph(tables), counts, texts, config.fanout, config.neighbours, device, config.matches)
        if bank is None:
            vectors = model.text.encode_table(model.text.table(texts.texts)) if model.text is not None else None
            bank = model.encode(world, vectors)
        return cls(model, world, bank, tables, counts)

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> Self:
        """Open a run folder; needs no database and no network.

        Raises:
            RunError: The folder is no run, or is damaged; the message says which file.
        """
        from fusion.artifacts import load_parts

        parts = load_parts(folder)
        made = cls.assemble(parts.model.to(device), parts.tables, parts.counts, device, parts.bank.to(device))
        made.store = parts.store
        made.world.learned_from(parts.taken)
        return made

    def recommend(self, user: str, k: int = 10, where: Constraints = ANYTHING) -> list[Recommendation]:
        """What this user may want next."""
        return self.answer(Ask(user=user, k=k, where=where))

    def complete(
        self, items: Sequence[str], user: str | None = None, text: str | None = None, k: int = 10,
        where: Constraints = ANYTHING, one_per: str = "", diversity: float = 0.0, complements: float = 0.0,
        season: int | None = None,
    ) -> list[Recommendation]:  # fmt: skip
        """What goes with these items: an outfit, a basket, a bundle.

        With one_per, the best item of each category (or whatever it names) that no item at hand has; diversity, 0..1,
        is how unlike each other the items should be; complements and season as in Plan.
        """
        from fusion.combinations import complete

        ask = Ask(user, ids_of(items), text, k, where)
        if season is None and not (one_per or diversity or complements):
            return self.answer(ask)
        rows, scores = complete(self, ask, one_per, diversity, complements, season)
        return self._listed(rows, scores[rows])

    def search(
        self, text: str, user: str | None = None, k: int = 10, where: Constraints = ANYTHING
    ) -> list[Recommendation]:
        """What these words mean, for this user where one is given."""
        return self.answer(Ask(user=user, text=text, k=k, where=where))

    def similar(self, item: str, k: int = 10, where: Constraints = ANYTHING) -> list[Recommendation]:
        """The items whose vectors are nearest: alike, not complements.

        An unknown item has none, and so has one without a vector: every item where the model counts paths only.
        """
        ask = Ask(items=(item,), k=k, where=where)
        row = self.items.row(item)
        if row < 0 or not self.bank.items.fused[row].any():
            return []
        scores = (self.bank.items.fused @ self.bank.items.fused[row]).cpu().numpy().copy()
        scores[row] = -np.inf
        return self._top(scores, ask.k, ask.where)

    def build(
        self, plan: Plan = ANY_PLAN, user: str | None = None, items: Sequence[str] = (), text: str | None = None
    ) -> list[Combination]:
        """Whole combinations under a plan, the items at hand kept; see fusion.bundles.build for what it raises."""
        from fusion.bundles import build

        return build(self, plan, user, items, text)

    def judge(
        self, items: Sequence[str], user: str | None = None, text: str | None = None, plan: Plan = ANY_PLAN,
        category: str | None = None,
    ) -> Judgement:  # fmt: skip
        """How well items go together, and the best single swap; see fusion.combinations.judge."""
        from fusion.combinations import judge

        return judge(self, items, user, text, plan, category)

    def rank_bundles(
        self, bundles: Mapping[str, Sequence[str]] | None = None, user: str | None = None, text: str | None = None,
        items: Sequence[str] = (), k: int = 10,
    ) -> list[RankedBundle]:  # fmt: skip
        """Bundles, the graph's own or any others, for a user or words; see fusion.combinations.rank_bundles."""
        from fusion.combinations import rank_bundles

        return rank_bundles(self, bundles, user, text, items, k)

    def explain(self, ask: Ask, item: str, k: int = 3, support: bool = True, verify: str | bool = False) -> Explanation:
        """Why an item is where it is in an answer; fusion.explain.explain has more settings."""
        from fusion.explain import explain

        return explain(self, ask, item, k, support, verify)

    @cached_property
    def complements(self) -> Complements:
        """What goes with what, as against what stands in for what; learned on first use."""
        return Complements(self)

    def seasonal(self, month: int) -> npt.NDArray[np.float64]:
        """(I,) how much more each item is taken in a month; see fusion.season."""
        return seasonal(self.world.graph, self.facts, month)

    def title(self, row: int) -> str:
        """What people read of an item."""
        return self._titles[row]

    def answer(self, ask: Ask) -> list[Recommendation]:
        """The k best items for any ask, best first; fewer where the catalogue or the constraints leave fewer."""
        asks = self.asks([ask])
        found = self.scores(asks)
        rows, scores = found.rows[0].cpu().numpy(), found.score[0].cpu().numpy()
        fits = np.flatnonzero(rows >= 0)
        if len(fits) < ask.k or not asks.told(self.model.config.matches)[0]:
            return self._top(self._ranked(asks, found), ask.k, ANYTHING)
        best = fits[np.argsort(-scores[fits], kind="stable")[: ask.k]]  # candidates come before all others
        return self._listed(rows[best], scores[best])

    def ranking(self, ask: Ask) -> npt.NDArray[np.float64]:
        """(I,) a score for every item, -inf for those at hand and those that ask.where leaves out."""
        return self._ranked(self.asks([ask]))

    def _ranked(self, asks: Asks, found: Scores | None = None) -> npt.NDArray[np.float64]:
        scores: npt.NDArray[np.float64] = self.score(asks, found)[0].astype(np.float64)
        scores[asks.unranked[0]] = -np.inf
        return scores

    def asks(self, asks: Sequence[Ask]) -> Asks:
        """Ids to rows; what is unknown is left out, and what the constraints leave out is masked."""
        rows = [self._user(a.user) for a in asks]
        items = [[row for row in dict.fromkeys(map(self.items.row, a.items)) if row >= 0] for a in asks]
        texts, none = tuple(a.text or "" for a in asks), Ragged.of([[]] * len(asks))
        masked = None
        if any(a.where != ANYTHING for a in asks):  # so that it takes no candidate's place
            masked = Ragged.of([np.flatnonzero(~self.allowed(a.where, a.user)) for a in asks])
        return Asks(np.array(rows, np.int64), Ragged.of(items), texts, none, np.arange(len(asks)), masked)

    def _user(self, user: str | None) -> int:
        return self.world.graph.vocabs[self.world.user].row(user) if self.world.user and user is not None else -1

    @torch.inference_mode()
    def scores(self, asks: Asks) -> Scores:
        """The candidates of B asks and their scores, with everything these are made of."""
        return self.model.score(self.world, asks, self.bank.items, self.bank.users, self.words(asks))

    def words(self, asks: Asks) -> Tensor:
        """(B, D) vectors of the asks' words; those of the latest words are kept, since people ask alike."""
        new = [b for b, text in enumerate(asks.texts) if text not in self._words]
        if len(self._words) + len(new) > WORDS_KEPT:
            self._words, new = {}, list(range(len(asks)))
        if new:
            found = encode_words(self.model, asks.take(np.array(new)), self.world.device)
            self._words.update((asks.texts[b], vector) for b, vector in zip(new, found, strict=True))
        return torch.stack([self._words[text] for text in asks.texts])

    def score(self, asks: Asks, found: Scores | None = None) -> npt.NDArray[np.float32]:
        """(B, I) a score for every item: the candidates by the full score, below them the rest by vector alone."""
        found = self.scores(asks) if found is None else found
        present = found.rows >= 0
        lowest = torch.where(present, found.score, torch.inf).amin(1, keepdim=True)
        rest = found.vector - found.vector.amax(1, keepdim=True) - 1
        out = torch.where(lowest.isfinite(), lowest, 0.0) + rest.nan_to_num(nan=-1e6, neginf=-1e6)
        owner = torch.arange(len(out), device=out.device)[:, None].expand_as(found.rows)[present]
        out[owner, found.rows[present]] = found.score[present]
        known = asks.told(self.model.config.matches)
        if not known.all():
            popular = self.counts.item["recent popularity"] + 1e-6 * self.counts.item["popularity"]
            out[torch.as_tensor(~known, device=out.device)] = torch.as_tensor(popular).to(out)
        array: npt.NDArray[np.float32] = out.float().cpu().numpy()
        return array

    def _top(self, scores: npt.NDArray[np.floating], k: int, where: Constraints) -> list[Recommendation]:
        scores = np.where(self.allowed(where), scores, -np.inf)
        k = min(k, int(np.isfinite(scores).sum()))
        rows = np.flatnonzero(scores >= (np.partition(scores, -k)[-k] if k else np.inf))  # sorting all takes long
        rows = rows[np.argsort(-scores[rows], kind="stable")][:k]
        return self._listed(rows, scores[rows])

    def _listed(self, rows: IntArray, scores: npt.NDArray[np.floating]) -> list[Recommendation]:
        share = self.bank.items.share.cpu().numpy()
        return [
            Recommendation(self.items.key(int(row)), self._titles[row], float(score), float(share[row]))
            for row, score in zip(rows, scores, strict=True)
        ]

    def allowed(self, where: Constraints, user: str | None = None) -> npt.NDArray[np.bool_]:
        """(I,) which items the constraints leave to a user; DataError where one names what is not there."""
        allowed = self.facts.allowed(where)
        if where.new:
            allowed[self.counts.taken(self._user(user))] = False
        return allowed

    def add_items(self, items: pa.Table, edges: Mapping[str, pa.Table] | None = None) -> Self:
        """A recommender that knows further items, without training.

        Args:
            items: Columns as the item type's: id and what its text is made of; of its other properties those known.
            edges: By relation name, source and target ids: what is known of the new items (category, brand, ...).

        Returns:
            A new recommender; this one stays as it is.

        Raises:
            DataError: An id is there already, or a table breaks the schema.
        """
        from fusion.fold_in import add_items

        return add_items(self, items, edges)

    def with_events(self, events: pa.Table) -> Self:
        """A recommender that knows what users did since, without training.

        Its graph, counted paths and vectors are those that the weights give over the graph with these events. What is
        in the graph already changes nothing.

        Args:
            events: Columns user and item, ids; time, in the graph's unit, or dates (its latest moment where there is
                none); and bundle, the id of what was taken together (all that a user took at one moment where there
                is none). Users may be new.

        Returns:
            A new recommender, or this one where nothing is new; this one stays as it is.

        Raises:
            DataError: An item is not in the catalogue, a column is missing or wrong, or users take nothing in it.
        """
        from fusion.fold_in import with_events

        return with_events(self, events)
