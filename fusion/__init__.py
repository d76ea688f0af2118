"""Meaning: the model, its training, and what people ask of it. Imports kg and encoders.

The public names are here, so that a first answer needs one import:

    from fusion import Recommender, Query
    Recommender.load("runs/demo").recommend("u1")

Each is imported when it is first used: `import fusion` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fusion.bundles.plan import Plan, Slot
    from fusion.explain.explanation import Explanation
    from fusion.query import Constraints, Query
    from fusion.recommender import Recommender
    from fusion.runs.folder import list_runs

__all__ = [
    "Constraints",
    "Explanation",
    "Plan",
    "Query",
    "Recommender",
    "Slot",
    "list_runs",
]
_HOME = {
    "Constraints": "query",
    "Explanation": "explain.explanation",
    "Plan": "bundles.plan",
    "Query": "query",
    "Recommender": "recommender",
    "Slot": "bundles.plan",
    "list_runs": "runs.folder",
}


def __getattr__(name: str) -> Any:
    """Import a public name."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"fusion.{_HOME[name]}"), name)
