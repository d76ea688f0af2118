"""The shipped recipes, and the parts of a recipe's model trained alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

from lightning.fabric import Fabric

import fusion
from fusion.experiment import Recipe
from fusion.model.bm25 import Lexical
from fusion.pipeline import train
from fusion.preparation import Prepared
from fusion.recommender import Recommender
from kg import config as recipes


class Part(TypedDict):
    """Which sides of the hybrid a part of it uses; as in FusionConfig."""

    text: bool
    graph: bool
    paths: bool
    bm25: bool


RECIPES = Path(fusion.__file__).parent / "recipes"
PARTS: dict[str, Part] = {
    "text": {"text": True, "graph": False, "paths": False, "bm25": False},
    "graph": {"text": False, "graph": True, "paths": False, "bm25": False},
    "metapath counts": {"text": False, "graph": False, "paths": True, "bm25": False},
    "counts and BM25": {
        "text": False,
        "graph": False,
        "paths": True,
        "bm25": True,
    },  # all but vectors
}


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe file, or a shipped one by its name, with key=value overrides laid over it.

    A schema that the file names lies beside the file, one that an override names where the
    program runs.

    Raises:
        InputError: It cannot be read or does not fit.
    """
    path, shipped = Path(name), RECIPES / f"{name}.toml"
    if shipped.is_file() and not path.is_file():
        path = shipped
    recipe = recipes.load(Recipe, path, overrides)
    keys = {override.partition("=")[0].strip() for override in overrides}
    if not recipe.schema or "schema" in keys:
        return recipe
    return replace(recipe, schema=str(path.parent / recipe.schema))


def train_parts(
    prepared: Prepared,
    recipe: Recipe,
    work: Path,
    fabric: Fabric,
    bars: bool,
) -> dict[str, Recommender]:
    """By the name in the tables, each part trained alone by the same queries and schedule.

    Without any event there is nothing to count but the BM25 score.
    """
    found = {}
    texts = prepared.texts.of_type(prepared.graph.item)
    whole = {
        side for side in ("text", "graph", "paths") if getattr(recipe.fusion, side)
    }
    whole |= (
        {"bm25"}
        if recipe.fusion.paths and recipe.fusion.uses_bm25 and Lexical.fits(texts)
        else set()
    )
    for part, switches in PARTS.items():
        counted = (
            len(prepared.graph.events) or switches["bm25"] or not switches["paths"]
        )
        if counted and {side for side, on in switches.items() if on} < whole:
            folder = work / part.replace(" ", "-")
            if fabric.is_global_zero:
                folder.mkdir(exist_ok=True)
            alone = replace(recipe, fusion=replace(recipe.fusion, **switches))
            trained = train(prepared, alone, folder, fabric, bars)
            found[f"{part} alone"] = trained.recommender
    return found
