"""Servers over a trained checkerboard: two runs, keys of every role, and a client for each."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from fusion.runs import artifacts
from fusion.runs.folder import finished, new_run
from serve.access.keys import ROLES, add_key
from serve.app import create_app
from serve.feedback.events import Events
from serve.settings import Settings


@pytest.fixture(scope="session")
def runs(
    trained: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Two run folders beside each other, of the same model."""
    folders = []
    for name in ("one", "two"):
        with new_run(tmp_path_factory.getbasetemp() / "served", name) as folder:
            artifacts.save(trained.recommender, trained.recipe, folder)
        folders.append(finished(folder))
    return folders[0], folders[1]


@pytest.fixture
def serving(
    runs: tuple[Path, Path], tmp_path: Path
) -> Iterator[Callable[..., TestClient]]:
    """Starts a server in this process, and gives a client: serving(threads=2, ...).

    It is insecure without keys.
    """
    open_ones: list[TestClient] = []

    def start(**changes: Any) -> TestClient:
        given: dict[str, Any] = {
            "run": str(runs[0]),
            "state": str(tmp_path / "events.sqlite"),
            "threads": 2,
            **changes,
        }
        given.setdefault("insecure", "keys" not in given)
        client = TestClient(create_app(Settings(**given)), base_url="http://localhost")
        client.__enter__()
        open_ones.append(client)
        return client

    yield start
    for client in open_ones:
        client.__exit__(None, None, None)


@pytest.fixture(scope="session")
def api(
    runs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    """A server that lets everybody in, for tests that change nothing."""
    state = tmp_path_factory.mktemp("api") / "events.sqlite"
    settings = Settings(str(runs[0]), insecure=True, state=str(state), threads=2)
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        yield client


@pytest.fixture
def events(tmp_path: Path) -> Iterator[Events]:
    """A queue in a file of its own."""
    made = Events(tmp_path / "deep" / "events.sqlite")
    yield made
    made.close()


@pytest.fixture
def keys(tmp_path: Path) -> SimpleNamespace:
    """A key file and the headers of a key of each role: keys.file, keys.reader ..."""
    file = str(tmp_path / "keys.toml")
    made = {
        role: {"Authorization": f"Bearer {add_key(file, f'the-{role}', role)}"}
        for role in ROLES
    }
    return SimpleNamespace(file=file, **made)


@pytest.fixture
def listening(runs: tuple[Path, Path], tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts a server on a port, in a thread, and gives its address: listening(threads=2, ...)."""
    import uvicorn

    started: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(**changes: Any) -> str:
        given: dict[str, Any] = {
            "run": str(runs[0]),
            "state": str(tmp_path / "events.sqlite"),
            "threads": 2,
            **changes,
        }
        given.setdefault("insecure", "keys" not in given)
        config = uvicorn.Config(
            create_app(Settings(**given)), port=0, access_log=False, log_config=None
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        started.append((server, thread))
        deadline = time.monotonic() + 120
        while not server.started:
            assert thread.is_alive() and time.monotonic() < deadline, (
                "the server did not start"
            )
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    yield start
    for server, thread in started:
        server.should_exit = True
        thread.join(60)
