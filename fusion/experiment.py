"""The recipe: everything that a run is made from, with every default."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from encoders.graph.layers import GraphConfig, Sage
from encoders.text.encoder import TextConfig
from fusion.model.config import FusionConfig
from fusion.query_batch import QueryBatch
from fusion.ranking.metrics import metric_named
from fusion.tasks.basket_completion import BasketCompletion
from fusion.tasks.folds import FoldConfig
from fusion.training.config import TrainingConfig
from kg.config import Component
from kg.errors import InputError
from kg.events import Events
from kg.graph import Graph
from kg.metapaths.count import PathConfig
from kg.split.held import Split
from kg.split.time import TimeSplit
from kg.tables import Tables


@runtime_checkable
class Source(Protocol):
    """Where the tables of an embedded demo store come from."""

    def load(self) -> Tables:
        """Read and tidy the data."""


@dataclass(frozen=True)
class NoSource:
    """Where the recipe names none: the graph's address must be given."""

    def load(self) -> Tables:
        """There is nothing to read."""
        raise InputError(
            "the recipe names no [source]; name one, or give the graph's address with --graph"
        )


@runtime_checkable
class Splitter(Protocol):
    """Tables to what may be seen and what is asked."""

    def __call__(self, tables: Tables) -> Split:
        """Split."""


@runtime_checkable
class Task(Protocol):
    """How (ask, target) pairs are drawn.

    What a task may have beside: `needs`, what it finds nothing to ask without; and `synthetic`,
    whether its held-out queries are of nobody's, so that they do not say how far to trust vectors
    (fusion.training.shrinkage).
    """

    def training(self, graph: Graph, events: Events, seed: int) -> QueryBatch:
        """Queries about events that the graph does not hold, one target each."""

    def held_out(self, graph: Graph, events: Events, seed: int) -> QueryBatch:
        """Queries to measure on."""


@dataclass(frozen=True)
class EvaluationConfig:
    """How a run is measured.

    Attributes:
        limit: Most held-out queries a task and part, a seeded draw; 0 takes all.
        validation_limit: Most validation queries at the stops in training.
        draws: Of the bootstrap.
        baselines: Whether the table holds the baselines.
        ease: Penalties of EASE that validation chooses from.
        metric: What validation maximises: MRR, HR@k, NDCG@k or Recall@k.
    """

    limit: int = 0
    validation_limit: int = 2000
    draws: int = 1000
    baselines: bool = True
    ease: tuple[float, ...] = (100.0, 500.0, 2000.0)
    metric: str = "NDCG@10"

    def __post_init__(self) -> None:
        try:
            metric_named(self.metric)
        except InputError as error:
            message = f"evaluation.metric = {error}"
            raise InputError(message, field="evaluation.metric") from None
        for name, least in (("limit", 0), ("validation_limit", 0), ("draws", 1)):
            if getattr(self, name) < least:
                raise InputError(
                    f"evaluation.{name} must be at least {least}, not {getattr(self, name)}"
                )
        if self.baselines and not self.ease:
            raise InputError(
                "evaluation.ease: the baselines need at least one penalty of EASE"
            )


@dataclass(frozen=True)
class Recipe:
    """A run's recipe.

    Attributes:
        name: Part of the run's id.
        seed: Of everything random.
        source: What an embedded store is built from where there is none yet; where none is
            named, the graph's address must be given.
        schema: A schema file, for a graph whose store holds none; its path starts from the recipe's
            folder.
        split: What is held out.
        tasks: By name; the first is the one that validation looks at.
        text: BERT.
        gnn: The GNN.
        paths: The metapath counts.
        fusion: The hybrid's shape.
        folds: How training queries are kept out of the graph they are asked of.
        training: How it is trained.
        evaluation: How it is measured.
    """

    name: str = "demo"
    seed: int = 0
    source: Component[Source] = NoSource()
    schema: str = ""
    split: Component[Splitter] = field(default_factory=lambda: TimeSplit(44, 48))
    tasks: dict[str, Component[Task]] = field(
        default_factory=lambda: {"baskets": BasketCompletion()}
    )
    text: TextConfig = TextConfig()
    gnn: Component[GraphConfig] = Sage()
    paths: PathConfig = PathConfig()
    fusion: FusionConfig = FusionConfig()
    folds: FoldConfig = FoldConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    def __post_init__(self) -> None:
        if not self.tasks:
            raise InputError("a recipe needs at least one task")
        if not 0 <= self.seed < 2**32:
            raise InputError(
                f"seed must be at least 0 and below 2 ** 32, not {self.seed}"
            )
        layers = getattr(self.gnn, "layers", len(self.fusion.fanout))
        if self.fusion.graph and layers != len(self.fusion.fanout):
            hops = len(self.fusion.fanout)
            raise InputError(
                f"fusion.fanout has {hops} hops, the GNN {layers} layers: make them equal"
            )
