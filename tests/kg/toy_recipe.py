"""A recipe of every kind of field."""

from dataclasses import dataclass, field
from typing import Any, Literal

from fusion.query import Query
from kg.config import Component


@dataclass(frozen=True)
class Training:
    epochs: int = 5
    rate: float = 1e-3
    mixed: bool = False
    tune: Literal["full", "lora", 1] = "full"
    limit: int | None = None
    sizes: tuple[int, ...] = (10, 5)
    range: tuple[float, str] = (0.5, "x")

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise ValueError("epochs must not be negative")


@dataclass(frozen=True)
class Recipe:
    name: str
    query: Component[Any] = Query(k=3, items=("a",))
    plan: Component[Query] | None = None
    parts: tuple[Component[Any], ...] = ()
    tasks: dict[str, Component[Any]] = field(
        default_factory=lambda: {"usual": Query(k=2)}
    )
    training: Training = Training(epochs=7)


FULL = """
name = "demo"
[query]
class = "fusion.query:Query"
user = "u1"
[[parts]]
class = "fusion.query:Constraints"
exclude = ["x"]
[tasks.basket]
class = "fusion.query:Query"
k = 4
where = { exclude = ["y"] }
[training]
rate = 1
sizes = [3]
"""
