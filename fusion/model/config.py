"""The shape of the hybrid."""

from __future__ import annotations

from dataclasses import dataclass

from fusion.model.gate import FUSIONS
from kg.errors import InputError


@dataclass(frozen=True)
class FusionConfig:
    """The hybrid's shape.

    Attributes:
        embedding_dim: D, of every vector.
        fuse: "gate", "concatenation" or "sum".
        modality_drop: Chance that one side of a node's fusion is dropped in training.
        text: Use texts. At least one of text, graph and paths must be used.
        graph: Use the GNN.
        paths: Use the metapath counts.
        bm25: Count how a query's words and items match the items' texts, though `text` is
            off; else only with it.
        candidates_per_path: Candidates a metapath count brings.
        vector_candidates: Candidates the vector search brings.
        hidden: Units of the feature head.
        head_dropout: In the feature head.
        fanout: Neighbours sampled a relation, hop by hop; as many as the GNN has layers.
        cold_candidates: Candidates that the vector search brings from among cold items,
            which no count can bring.
    """

    embedding_dim: int = 128
    fuse: str = "gate"
    modality_drop: float = 0.1
    text: bool = True
    graph: bool = True
    paths: bool = True
    bm25: bool = False
    candidates_per_path: int = 60
    vector_candidates: int = 60
    hidden: int = 64
    head_dropout: float = 0.1
    fanout: tuple[int, ...] = (8, 4)
    cold_candidates: int = 20

    def __post_init__(self) -> None:
        if not (self.text or self.graph or self.paths):
            raise InputError(
                "fusion: at least one of text, graph and paths must be used"
            )
        if self.bm25 and not self.paths:
            raise InputError(
                "fusion.bm25 = true: a match is counted, so fusion.paths must be true, too"
            )
        if self.fuse not in FUSIONS:
            raise InputError(
                f"fusion.fuse = {self.fuse!r}: it is one of {', '.join(FUSIONS)}"
            )
        for name in (
            "embedding_dim",
            "candidates_per_path",
            "vector_candidates",
            "hidden",
        ):
            if getattr(self, name) < 1:
                raise InputError(
                    f"fusion.{name} must be at least 1, not {getattr(self, name)}"
                )

    @property
    def vectors(self) -> bool:
        """Whether there are vectors at all."""
        return self.text or self.graph

    @property
    def uses_bm25(self) -> bool:
        """Whether the features match words."""
        return self.text or self.bm25
