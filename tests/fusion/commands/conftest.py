"""A run folder for the commands."""

import pytest


@pytest.fixture(scope="module")
def run_folder(trained, tmp_path_factory):
    """A run folder of the trained checkerboard."""
    from fusion.runs.artifacts import save
    from fusion.runs.folder import new_run

    out = tmp_path_factory.mktemp("runs")
    with new_run(out, "tiny") as folder:
        save(trained.recommender, trained.recipe, folder)
    return next(out.iterdir())
