"""Settings: what a server is started with, checked before anything is loaded."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import asdict, dataclass
from typing import Self

from kg.errors import InputError


@dataclass(frozen=True)
class Settings:
    """What a server is started with.

    Attributes:
        run: A run folder; its siblings are the runs that it can be made to reload.
        keys: The file of API keys; None only where `insecure`.
        insecure: Everybody may do everything; only on a loopback address.
        host: The address to listen on.
        port: The port to listen on.
        graph: A store, or the address of one, for looking explanations' edges up and writing
            events to; "" for none.
        state: Where events are kept: an SQLite file; "" for a file "events.sqlite" beside the runs.
        cors: Origins whose pages may send queries; none where empty.
        audit: A file to which administrative acts are appended as JSON; "" for the log alone.
        workers: Processes.
        threads: Answers computed at once in each.
        waiting: Requests that may be in the house at once in each, beyond which others are
            turned away with 503.
        body: Most bytes of a request's body.
        seconds: Most seconds for an answer, beyond which it is 504.
        launch: Which start of the server this is: its workers serve the run that one of them
            was told to.
        session: How many of a user's latest events enter that user's queries.
        session_hours: How old these may be.
        fold_minutes: How often purchases are folded into the graph that is served; 0 for never.
    """

    run: str
    keys: str | None = None
    insecure: bool = False
    host: str = "127.0.0.1"
    port: int = 8000
    graph: str = ""
    state: str = ""
    cors: tuple[str, ...] = ()
    audit: str = ""
    workers: int = 1
    threads: int = 4
    waiting: int = 256
    body: int = 262_144
    seconds: float = 30.0
    launch: str = ""
    session: int = 20
    session_hours: float = 24.0
    fold_minutes: float = 10.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "cors", tuple(self.cors))
        if self.insecure and self.keys:
            raise InputError(
                "--insecure lets everybody in and --keys does not; give one of them",
                field="insecure",
            )
        if self.insecure and not loopback(self.host):
            raise InputError(
                "--insecure lets everybody in, so it listens on 127.0.0.1 or ::1, "
                f"not on {self.host}",
                field="host",
            )
        if not self.insecure and not self.keys:
            raise InputError(
                "who may query? make a key (python -m serve keys add NAME --keys keys.toml) "
                "and give --keys keys.toml, or give --insecure to let everybody on this "
                "machine in",
                field="keys",
            )
        if "*" in self.cors:
            raise InputError(
                "--cors takes origins like https://shop.example, not *", field="cors"
            )
        for name in ("workers", "threads", "waiting", "body"):
            if getattr(self, name) < 1:
                raise InputError(
                    f"{name} must be at least 1, not {getattr(self, name)}", field=name
                )
        if not self.fold_minutes >= 0:
            raise InputError(
                f"--fold-in takes minutes, 0 for never, not {self.fold_minutes}",
                field="fold_minutes",
            )

    def to_json(self) -> str:
        """For the environment of worker processes."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of to_json."""
        return cls(**json.loads(text))


def loopback(host: str) -> bool:
    """Whether an address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
