import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from fusion.runs import folder as runs
from fusion.runs.folder import (
    environment,
    finished,
    list_runs,
    model_card,
    new_run,
    open_run,
)
from kg.errors import RunError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with new_run(tmp_path / "runs", "demo") as folder:
        (folder / "item_vectors.safetensors").write_bytes(bytes(range(256)) * 20)
        (folder / "graph").mkdir()
        (folder / "graph" / "nodes.parquet").write_bytes(b"rows")
    return finished(folder)


def test_a_run_appears_whole_under_its_id(run: Path) -> None:
    assert open_run(run) == run
    assert re.fullmatch(r"\d{8}-\d{6}-demo", run.name)
    assert [p.name for p in run.parent.iterdir()] == [run.name]
    manifest = json.loads((run / "manifest.json").read_text())
    assert set(manifest["files"]) == {"item_vectors.safetensors", "graph/nodes.parquet"}
    assert manifest["id"] == run.name


def test_a_run_is_not_there_before_its_block_ends_nor_after_it_fails(
    tmp_path: Path,
) -> None:
    with pytest.raises(KeyboardInterrupt), new_run(tmp_path, "demo") as folder:
        (folder / "half").write_text("half")
        assert not finished(folder).exists()
        assert list_runs(tmp_path) == []
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_at_the_last_step_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(runs, "_sync", full)
    with pytest.raises(OSError, match="No space"), new_run(tmp_path, "demo") as folder:
        (folder / "weights").write_text("w")
    assert list(tmp_path.iterdir()) == []


def test_runs_of_the_same_second_get_their_own_ids(tmp_path: Path) -> None:
    with new_run(tmp_path, "demo") as first, new_run(tmp_path, "demo") as second:
        pass
    with new_run(tmp_path, "demo") as third:
        pass
    ids = {finished(f).name for f in (first, second, third)}
    assert len(ids) == 3
    assert {p.name for p in list_runs(tmp_path)} == ids


def test_leftovers_and_strangers_are_passed_over(run: Path) -> None:
    shutil.copytree(run, run.with_name(".unfinished-" + run.name))
    (run.parent / "notes").mkdir()
    (run.parent / "file.txt").write_text("x")
    assert list_runs(run.parent) == [run]
    assert list_runs(run.parent / "nowhere") == []


@pytest.mark.parametrize("name", ["", "a/b", "../up", ".hidden", "two words"])
def test_a_name_that_is_no_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="a run's name is"), new_run(tmp_path, name):
        pytest.fail("the block ran")


def test_an_out_dir_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(RunError, match=r"cannot write a run to .*file"),
        new_run(tmp_path / "file", "demo"),
    ):
        pytest.fail("the block ran")


@pytest.mark.parametrize("at", [0, 2500, 5119])
def test_one_flipped_byte_is_found(run: Path, at: int) -> None:
    file = run / "item_vectors.safetensors"
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)
    fault = f"{run} is damaged: item_vectors.safetensors has changed"
    message = f"{fault}; copy the run again or retrain"
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        open_run(run)


def test_a_cut_file_and_a_missing_file_are_found(run: Path) -> None:
    file = run / "graph" / "nodes.parquet"
    file.write_bytes(b"row")
    with pytest.raises(RunError, match=r"damaged: graph/nodes\.parquet has changed"):
        open_run(run)
    file.unlink()
    with pytest.raises(RunError, match=r"damaged: graph/nodes\.parquet is missing"):
        open_run(run)


def test_what_is_no_run_is_said_to_be_none(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no such folder"):
        open_run(tmp_path / "nowhere")
    with pytest.raises(RunError, match="there is no such folder"):
        open_run(run / "manifest.json")
    with pytest.raises(
        RunError, match=r"is no run, or was not finished: it has no manifest\.json"
    ):
        open_run(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "3",
        '{"format": 1}',
        '{"format": 1, "files": []}',
        '{"format": 1, "files": {"a": {"bytes": 1}}}',
        '{"format": 1, "files": {"../a": {"bytes": 1, "sha256": "x"}}}',
        '{"format": 1, "files": {"/etc/passwd": {"bytes": 1, "sha256": "x"}}}',
    ],
)
def test_a_broken_manifest_is_damage(run: Path, content: str) -> None:
    (run / "manifest.json").write_text(content)
    with pytest.raises(RunError, match=r"damaged: manifest\.json cannot be read"):
        open_run(run)


def test_another_format_says_which_is_read(run: Path) -> None:
    manifest: dict[str, Any] = {"format": 99, "shape": "unheard of"}
    (run / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match="has format 99 and this version reads format 1"):
        open_run(run)


def test_the_environment_tells_versions_and_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = environment()
    assert found["cpu_count"] >= 1
    assert found["packages"]["pyarrow"].count(".") >= 1
    assert json.loads(json.dumps(found)) == found
    assert found["git_commit"] is None or re.fullmatch(
        r"[0-9a-f]{40}(-dirty)?", found["git_commit"]
    )
    monkeypatch.setattr(runs, "__file__", str(tmp_path / "fusion" / "runs.py"))
    assert environment()["git_commit"] is None


def test_the_model_card_reads_as_one() -> None:
    recipe = {"name": "demo", "text": {"model": "org/bert: tiny", "tune": "lora"}}
    table = "| model | HR@10 |\n|---|---|\n| fusion | .213 |"
    card = ModelCard(
        model_card("20260101-demo", recipe, {"product": 92331}, table, environment())
    )
    assert card.data.to_dict()["library_name"] == "trousseau"
    assert card.data.to_dict()["base_model"] == "org/bert: tiny"
    assert "# 20260101-demo" in card.text
    assert "| product | 92,331 |" in card.text
    assert table in card.text
    assert (
        json.loads(card.text.partition("```json\n")[2].partition("\n```")[0]) == recipe
    )
    assert "base_model" not in ModelCard(model_card("x", {}, {}, "", {})).data.to_dict()
