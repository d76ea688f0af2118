"""Keys: a file of API keys, kept as hashes, with roles, rates and quotas."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import tomllib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from kg.errors import InputError

ROLES = ("reader", "operator", "admin")  # each may do what those before it may
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Key:
    """An API key, less the secret.

    Attributes:
        name: Whose; part of the key, so that it is found at once.
        role: One of ROLES.
        hash: SHA-256 of the whole key. Its secret has 256 random bits, so a slow hash would
            add nothing but latency.
        rate: Requests a second, bursts of twice as many; None for no limit.
        quota: Requests a day (UTC); None for no limit.
        expires: The first day (UTC) on which it is no longer taken; "" for never.
    """

    name: str
    role: str
    hash: str
    rate: float | None = 50.0
    quota: int | None = None
    expires: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(
                f"a key's name is up to 64 letters, digits, - and _, not {self.name!r}",
                field="name",
            )
        if self.role not in ROLES:
            raise InputError(
                f"key {self.name!r}: there is no role {self.role!r}; there are {', '.join(ROLES)}",
                field="role",
            )
        if self.rate is not None and not self.rate > 0:
            raise InputError(
                f"key {self.name!r}: a rate is above 0, not {self.rate}", field="rate"
            )
        if self.quota is not None and self.quota < 0:
            raise InputError(
                f"key {self.name!r}: a quota is at least 0, not {self.quota}",
                field="quota",
            )
        if self.expires:
            try:
                date.fromisoformat(self.expires)
            except ValueError:
                raise InputError(
                    f"key {self.name!r}: {self.expires!r} is no date like 2027-01-31",
                    field="expires",
                ) from None


def read_keys(file: str | Path) -> dict[str, Key]:
    """The keys of a TOML file.

    Raises:
        InputError: It is not there, is no TOML, or a key is wrong.
    """
    try:
        data = tomllib.loads(Path(file).read_text(encoding="utf-8"))
        keys = [Key(**one) for one in data.get("keys", [])]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, TypeError) as error:
        raise InputError(f"{file}: {error}") from error
    if len({key.name for key in keys}) < len(keys):
        raise InputError(f"{file}: two keys have the same name")
    return {key.name: key for key in keys}


def change_keys(file: str | Path, change: Callable[[dict[str, Key]], None]) -> None:
    """Change a key file, one process at a time; only its owner may read it."""
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(path.name + ".lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        keys = read_keys(path) if path.exists() else {}
        change(keys)
        lines = ["# API keys, as hashes: python -m serve keys --help"]
        for key in keys.values():
            facts = {
                name: value
                for name, value in asdict(key).items()
                if value not in (None, "")
            }
            lines += [
                "",
                "[[keys]]",
                *(f"{name} = {json.dumps(value)}" for name, value in facts.items()),
            ]
        fresh = path.with_name(path.name + ".new")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write("\n".join(lines) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(path)


def add_key(
    file: str | Path,
    name: str,
    role: str,
    rate: float | None = 50.0,
    quota: int | None = None,
    expires: str = "",
) -> str:
    """Make a key; what is returned is told this once and kept nowhere.

    Raises:
        InputError: There is one of that name, or what is wanted is wrong.
    """
    text = f"trs_{name}.{secrets.token_urlsafe(32)}"
    key = Key(name, role, hash_of(text), rate, quota, expires)

    def change(keys: dict[str, Key]) -> None:
        if name in keys:
            raise InputError(
                f"there is a key {name!r} already; revoke it first", field="name"
            )
        keys[name] = key

    change_keys(file, change)
    return text


def revoke_key(file: str | Path, name: str) -> None:
    """Take a key away; InputError where there is none."""

    def change(keys: dict[str, Key]) -> None:
        if keys.pop(name, None) is None:
            raise InputError(f"there is no key {name!r}", field="name")

    change_keys(file, change)


def hash_of(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()
