"""What every test runs under: seeds, one thread, no network, no server it did not ask for."""

import json
import os
import random
import sys
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

# Before anything imports torch or transformers, which read these once.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import pyarrow as pa
import pytest
from filelock import FileLock
from hypothesis import settings

from kg.schema import GraphSchema
from kg.tables import Tables
from tests.shops import make_shop
from tests.skips import refuse_skip

if TYPE_CHECKING:
    from kg.stores.neo4j import Neo4jStore

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def surroundings(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    """Seed what draws at random; a Neo4j is for tests that are marked neo4j, one at a time."""
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
    if request.node.get_closest_marker("neo4j") is None:
        monkeypatch.delenv("NEO4J_URI", raising=False)
        yield
        return
    # A database holds one schema, and processes that run side by side share the database.
    with FileLock(tmp_path_factory.getbasetemp().parent / "neo4j.lock"):
        yield


@pytest.fixture(scope="session")
def tiny_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a BERT of two narrow layers, untrained: it knows nothing and takes no time."""
    import torch
    import transformers

    from encoders.text import pretrained

    folder = tmp_path_factory.mktemp("text")
    shape: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    torch.manual_seed(0)
    with pretrained.quiet():
        config = transformers.BertConfig(**shape, intermediate_size=32)
        transformers.AutoModel.from_config(config).save_pretrained(folder)
        transformers.AutoTokenizer.from_pretrained(
            pretrained.model_folder("default")
        ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def checkerboard(tiny_text: Path) -> Callable[..., Any]:
    """The checkerboard recipe with the tiny text model, changed by "key=value", ...

    No queries are set aside, so that every joint step and every query can be counted.
    """
    from fusion.experiment import Recipe
    from kg import config as recipes

    file = Path(__file__).parents[1] / "fusion" / "recipes" / "checkerboard.toml"
    return lambda *overrides: recipes.load(
        Recipe,
        file,
        [f"text.model={tiny_text}", "training.finetune_share=0.0", *overrides],
    )


@pytest.fixture(scope="session")
def trainer_of(checkerboard: Callable[..., Any]) -> Callable[..., Any]:
    """(folder, "key=value", ...) to .recipe, .prepared and the untrained .trainer."""
    from lightning.fabric import Fabric

    from fusion.pipeline import make_trainer
    from fusion.preparation import prepare

    def make(folder: Path, *overrides: str) -> SimpleNamespace:
        recipe = checkerboard(*overrides)
        prepared = prepare(recipe.split(recipe.source.load()), recipe, progress=False)
        fabric = Fabric(
            accelerator="cpu", devices=1, precision=recipe.training.precision
        )
        trainer = make_trainer(prepared, recipe, folder, fabric, progress=False)
        return SimpleNamespace(recipe=recipe, prepared=prepared, trainer=trainer)

    return make


@pytest.fixture(scope="session")
def trained(
    trainer_of: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """The checkerboard trained: .recipe, .prepared, .trainer, .history, .recommender; read only."""
    from fusion.pipeline import finish

    made: SimpleNamespace = trainer_of(tmp_path_factory.mktemp("trained"))
    made.history = made.trainer.fit(progress=False)
    made.recommender = finish(made.trainer, made.prepared)
    return made


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where train.py keeps its embedded stores."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def command(tiny_text: Path, data: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """A quick checkerboard run into tmp_path/runs: command("--flag", ..., "key=value", ...)."""
    folders = [
        "--quiet",
        "--device",
        "cpu",
        "--out",
        str(tmp_path / "runs"),
        "--data",
        str(data),
    ]
    quick = [
        "training.epochs=1",
        "training.finetune_share=0.0",
        "evaluation.baselines=false",
        "evaluation.draws=10",
    ]

    def made(*arguments: str) -> list[str]:
        if "--resume" in arguments:
            return [*arguments, *folders]
        flags = [a for a in arguments if a.startswith("-") or "=" not in a]
        values = [
            f"text.model={tiny_text}",
            *quick,
            *(a for a in arguments if a not in flags),
        ]
        return [
            "checkerboard",
            *flags,
            *folders,
            *(part for value in values for part in ("--set", value)),
        ]

    return made


@pytest.fixture
def one_run(tmp_path: Path) -> Callable[[], SimpleNamespace]:
    """Reads the only run in tmp_path/runs: .folder, .metrics (no seconds), .data, .losses."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read() -> SimpleNamespace:
        (folder,) = (tmp_path / "runs").iterdir()  # and nothing unfinished beside it
        metrics, data = (
            json.loads((folder / f"{name}.json").read_text())
            for name in ("metrics", "data")
        )
        for row in (
            r
            for report in metrics["test"].values()
            for block in report["blocks"]
            for r in block["rows"]
        ):
            assert row.pop("seconds") >= 0
        events = EventAccumulator(str(folder / "logs"))
        events.Reload()
        losses = [event.value for event in events.Scalars("train/loss")]
        return SimpleNamespace(folder=folder, metrics=metrics, data=data, losses=losses)

    return read


@pytest.fixture(scope="session")
def prefix() -> str:
    """What the labels that tests write to a Neo4j begin with; of this run alone."""
    return f"Test{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def neo4j_uri(prefix: str) -> Iterator[str]:
    """The server's address; afterwards the prefix's constraints are gone, the schema as before."""
    from kg.stores.neo4j import Neo4jStore

    if not os.environ.get("NEO4J_URI"):
        pytest.skip("NEO4J_URI is not set")
    uri = os.environ["NEO4J_URI"]
    with Neo4jStore.connect(uri) as store:
        saved = store.schema()
    yield uri
    with Neo4jStore.connect(uri) as store:
        for name, labels in list(
            store.rows(
                "SHOW CONSTRAINTS YIELD name, labelsOrTypes RETURN name, labelsOrTypes"
            )
        ):
            if labels[0].startswith(prefix):
                store._write(f"DROP CONSTRAINT `{name}`", None)
        if saved:
            store.write_schema(saved)


@pytest.fixture
def neo4j_store(neo4j_uri: str, prefix: str) -> "Iterator[Neo4jStore]":
    """An open store; afterwards the prefix's nodes, and the schema node, are gone."""
    from kg.stores.neo4j import Neo4jStore

    with Neo4jStore.connect(neo4j_uri) as store:
        yield store
    with Neo4jStore.connect(neo4j_uri) as store:
        where = f"n:TrousseauSchema OR any(label IN labels(n) WHERE label STARTS WITH '{prefix}')"
        store._write(f"MATCH (n) WHERE {where} DETACH DELETE n", None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[
    None, pytest.TestReport, pytest.TestReport
]:
    report = yield
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[
    None, pytest.CollectReport, pytest.CollectReport
]:
    report = yield
    refuse_skip(report)
    return report


@pytest.fixture(scope="session")
def shop():
    """Makes small random graphs: shop(seed, timed)."""
    return make_shop


@pytest.fixture(scope="session")
def worded():
    """As shop, and the bundles have words, b3 but for: worded(seed, timed)."""

    def make(seed: int = 0, timed: bool = True) -> Tables:
        tables = make_shop(seed, timed)
        schema = tables.schema.to_dict()
        schema["nodes"][1] |= {"text": ["intent"]}
        intents = [
            None if n == 3 else f"what b{n} is for"
            for n in range(len(tables.nodes["bundle"]))
        ]
        bundles = tables.nodes["bundle"].append_column("intent", pa.array(intents))
        return Tables(
            GraphSchema.from_dict(schema),
            {**tables.nodes, "bundle": bundles},
            tables.edges,
        )

    return make
