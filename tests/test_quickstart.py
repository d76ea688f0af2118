"""examples/quickstart.py answers on a real run."""

import runpy
from pathlib import Path

from fusion.runs.artifacts import save
from fusion.runs.folder import list_runs, new_run

SCRIPT = Path(__file__).parents[1] / "examples" / "quickstart.py"


def test_the_quickstart_asks_everything_once(trained, tmp_path, capsys):
    with new_run(tmp_path, "small") as folder:
        save(trained.recommender, trained.recipe, folder)
    runpy.run_path(str(SCRIPT))["main"](str(list_runs(tmp_path)[0]))
    printed = capsys.readouterr().out
    blocks = printed.strip("\n").split("\n\n")
    assert len(blocks) == 5
    assert all(len(block.splitlines()) >= 2 for block in blocks)
