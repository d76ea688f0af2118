"""What the stages of a training share: the model, the folds, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass, field

from lightning.fabric import Fabric
from torch import Tensor

from encoders.text.source import TextSource
from fusion.model.hybrid import Hybrid
from fusion.model.nodes import EmbeddingCache
from fusion.model.snapshot import GraphSnapshot
from fusion.query_batch import QueryBatch, join
from fusion.training.config import TrainingConfig


@dataclass
class TrainingFold:
    """A graph, and queries about what it does not hold.

    Attributes:
        snapshot: The graph.
        queries: Of the joint training.
        embeddings: The latest vectors of the graph's nodes.
        finetune: Queries that only the head's fine-tuning sees; None where it takes `queries`.
    """

    snapshot: GraphSnapshot
    queries: QueryBatch
    embeddings: EmbeddingCache
    finetune: QueryBatch | None = None

    @property
    def every(self) -> QueryBatch:
        """All of its queries."""
        if self.finetune is None:
            return self.queries
        return join([self.queries, self.finetune])


@dataclass
class TrainingState:
    """The model in training and what it learns from.

    Attributes:
        model: Changed in place.
        source: The texts of all nodes, None where texts are not used.
        folds: What to learn from.
        serving: The whole training graph, for validation.
        config: How it is trained.
        seed: Of everything random.
        fabric: Device, precision and processes.
        initial_texts: (U, D) all texts' vectors before any training, where they are known.
        done: Steps of the joint training so far.
    """

    model: Hybrid
    source: TextSource | None
    folds: list[TrainingFold]
    serving: GraphSnapshot
    config: TrainingConfig
    seed: int
    fabric: Fabric
    initial_texts: Tensor | None = field(default=None, repr=False)
    done: int = 0

    def __post_init__(self) -> None:
        self._texts, self._texts_of = self.initial_texts, 0

    @property
    def edges(self) -> int:
        """How many message edges the largest fold has."""
        snapshots = [fold.snapshot for fold in self.folds]
        return max(
            sum(pairs.shape[1] for pairs in snapshot.edges.values())
            for snapshot in snapshots
        )

    def texts(self, progress: bool = False) -> Tensor | None:
        """(U, D) all texts' vectors by the present weights, no gradient; None without texts."""
        if self.source is not None and (
            self._texts is None or self._texts_of != self.done
        ):
            self._texts, self._texts_of = self.source.encode_all(progress), self.done
        return self._texts

    def forget_texts(self) -> None:
        """The weights changed in another way than by a step: encode the texts anew when asked."""
        self._texts = None

    def encode(self, snapshot: GraphSnapshot) -> EmbeddingCache:
        """The vectors of a graph's items and users by the present weights."""
        return self.model.encode(snapshot, self.texts())
