"""A run of the trained checkerboard, and a copy to damage."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fusion.runs.saved import write


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    # The text model that the recipe names is gone when the run is opened.
    recipe = replace(
        trained.recipe, text=replace(trained.recipe.text, model="/no/such/model")
    )
    return write(trained.recommender, recipe, tmp_path_factory.mktemp("runs"))


@pytest.fixture
def copy(run, tmp_path):
    return Path(shutil.copytree(run, tmp_path / "copy"))
