"""python -m serve: answer over HTTP. python -m serve keys: who may query it."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

from fusion.runs.folder import list_runs, open_run
from kg.errors import InputError, RunError, TrousseauError
from serve.access.keys import ROLES, add_key, read_keys, revoke_key
from serve.settings import Settings

GRACE = 30  # seconds for requests to end when the server is told to stop
# What the server is made of; `keys` does without.
EXTRA = ("fastapi", "prometheus_client", "pydantic", "uvicorn")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; 2 on bad input, told in one line on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _keys(given[1:]) if given[:1] == ["keys"] else _serve(given)
    except (TrousseauError, OSError) as error:
        print(f"serve: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _serve(given: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m serve", description=__doc__)
    parser.add_argument(
        "--run", metavar="DIR", help="a run folder (default: the newest under --runs)"
    )
    parser.add_argument(
        "--runs", default="runs", metavar="DIR", help="where runs lie (default: runs)"
    )
    parser.add_argument(
        "--keys", metavar="FILE", help="the API keys: python -m serve keys --help"
    )
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="let everybody on this machine do everything",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to listen on (default: 127.0.0.1)",
    )
    parser.add_argument(
        "--port", type=int, default=8000, help="the port to listen on (default: 8000)"
    )
    parser.add_argument(
        "--graph",
        default="",
        metavar="URI",
        help="a store: edges of explanations are looked up "
        "in it, purchases written to it",
    )
    parser.add_argument(
        "--state",
        default="",
        metavar="FILE",
        help="where events are kept (default: events.sqlite beside the runs)",
    )
    parser.add_argument(
        "--cors",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let this origin's pages send queries",
    )
    parser.add_argument(
        "--audit",
        default="",
        metavar="FILE",
        help="append administrative acts to this file",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        help="processes, each with the run in memory (default: 1)",
    )
    parser.add_argument(
        "--threads", type=int, default=4, help="answers at once in each (default: 4)"
    )
    parser.add_argument(
        "--fold-in",
        type=float,
        default=10.0,
        metavar="MINUTES",
        help="how often purchases are folded "
        "into the graph that is served, without training (default: 10; 0: never)",
    )
    options = parser.parse_args(given)
    _need_extra()
    run = options.run
    if run is None:
        runs = list_runs(options.runs) if Path(options.runs).is_dir() else []
        if not runs:
            raise RunError(
                f"{options.runs}: no runs there; train one (python train.py --graph) "
                "or name one by --run"
            )
        run = str(runs[-1])
    settings = Settings(
        run,
        options.keys,
        options.insecure,
        options.host,
        options.port,
        options.graph,
        options.state,
        tuple(options.cors),
        options.audit,
        options.workers,
        options.threads,
        launch=uuid.uuid4().hex,
        fold_minutes=options.fold_in,
    )
    open_run(run)  # before any worker starts, so that a damaged one is one line
    _listen(settings)
    return 0


def _need_extra() -> None:
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"{missing[0]} is not installed; install the server's extra: "
            "pip install 'trousseau[serve]'"
        )


def _listen(settings: Settings) -> None:
    import uvicorn

    from serve.app import SETTINGS, create_app, log_to_stderr

    log_to_stderr()
    options = {
        "host": settings.host,
        "port": settings.port,
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": GRACE,
        "timeout_keep_alive": 15,
        "log_config": None,
    }
    if settings.workers == 1:
        uvicorn.run(create_app(settings), **options)  # type: ignore[arg-type]
        return
    os.environ[SETTINGS] = settings.to_json()
    with tempfile.TemporaryDirectory(prefix="trousseau-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = (
            folder  # read by prometheus_client when workers import it
        )
        uvicorn.run(
            "serve.app:from_environment",
            factory=True,
            workers=settings.workers,
            **options,  # type: ignore[arg-type]
        )


def _keys(given: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m serve keys",
        description="Who may query: API keys, kept as hashes.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("add", help="make a key and print it, once")
    revoke = commands.add_parser("revoke", help="take a key away")
    shown = commands.add_parser("list", help="names, roles and limits")
    for command in (add, revoke, shown):
        command.add_argument(
            "--keys",
            default="keys.toml",
            metavar="FILE",
            help="the key file (default: keys.toml)",
        )
    for command in (add, revoke):
        command.add_argument("name", help="whose")
    add.add_argument(
        "--role",
        choices=ROLES,
        default="reader",
        help="what it may do (default: reader)",
    )
    add.add_argument(
        "--rate", type=float, default=50.0, help="requests a second (default: 50)"
    )
    add.add_argument("--quota", type=int, help="requests a day (default: no limit)")
    add.add_argument(
        "--expires",
        default="",
        metavar="DATE",
        help="the first day on which it is no longer taken",
    )
    options = parser.parse_args(given)
    if options.command == "add":
        secret = add_key(
            options.keys,
            options.name,
            options.role,
            options.rate,
            options.quota,
            options.expires,
        )
        print(secret)
    elif options.command == "revoke":
        revoke_key(options.keys, options.name)
    else:
        for key in read_keys(options.keys).values():
            quota = "any" if key.quota is None else key.quota
            limits = f"{key.rate or 'any'}/s, {quota}/day"
            until = f"until {key.expires}" if key.expires else ""
            print(f"{key.name}  {key.role}  {limits}  {until}".rstrip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
