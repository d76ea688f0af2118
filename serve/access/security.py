"""Security: who may do what, and how often: API keys kept as hashes, roles, rates and quotas."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from kg.errors import InputError
from serve.problems import Problem

ROLES = ("reader", "operator", "admin")  # each may do what those before it may
PUBLIC = frozenset(
    {"/", "/health/live", "/health/ready", "/docs", "/openapi.json", "/favicon.ico"}
)
PUBLIC_FOLDERS = ("/explorer/", "/docs/")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_KEY = re.compile(r"trs_([A-Za-z0-9][A-Za-z0-9_-]{0,63})\.([A-Za-z0-9_-]{43})")


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
                f"a key's name is up to 64 letters, digits, - and _, not {self.name!r}"
            )
        if self.role not in ROLES:
            raise InputError(
                f"key {self.name!r}: there is no role {self.role!r}; there are {', '.join(ROLES)}"
            )
        if self.rate is not None and not self.rate > 0:
            raise InputError(f"key {self.name!r}: a rate is above 0, not {self.rate}")
        if self.quota is not None and self.quota < 0:
            raise InputError(
                f"key {self.name!r}: a quota is at least 0, not {self.quota}"
            )
        if self.expires:
            try:
                date.fromisoformat(self.expires)
            except ValueError:
                raise InputError(
                    f"key {self.name!r}: {self.expires!r} is no date like 2027-01-31"
                ) from None


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    name: str
    role: str

    def may(self, role: str) -> bool:
        """Whether this role is had."""
        return ROLES.index(self.role) >= ROLES.index(role)


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
    """Read, change and write a key file whole, one process at a time; only its owner may read it."""
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
            raise InputError(f"there is a key {name!r} already; revoke it first")
        keys[name] = key

    change_keys(file, change)
    return text


def revoke_key(file: str | Path, name: str) -> None:
    """Take a key away; InputError where there is none."""

    def change(keys: dict[str, Key]) -> None:
        if keys.pop(name, None) is None:
            raise InputError(f"there is no key {name!r}")

    change_keys(file, change)


def hash_of(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


@dataclass
class _Use:
    """What a key has left of its rate."""

    tokens: float
    at: float


@dataclass
class Authorizer:
    """Lets requests in, or not.

    Args:
        file: Of keys, read again when it changes; None lets everybody do everything.
        share: This process's part of every rate: 1 / workers. A quota is all workers'
            together: what is used of it goes to and fro by `pending` and `settle`.
    """

    file: str | None
    share: float = 1.0
    _keys: dict[str, Key] = field(default_factory=dict)
    _read: tuple[float, tuple[int, int, int]] = (-1.0, (0, 0, 0))
    _uses: dict[str, _Use] = field(default_factory=dict)
    _day: str = ""
    _used: Mapping[str, int] = field(
        default_factory=dict
    )  # today, by all workers, as settled last
    _more: Counter[str] = field(default_factory=Counter)  # since then, by this one
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if self.file is not None:
            self._keys = read_keys(self.file)
            if not self._keys:
                raise InputError(
                    f"{self.file} holds no keys: python -m serve keys add NAME --file {self.file}"
                )
            self._read = (time.monotonic(), self._stamp())

    def _stamp(self) -> tuple[int, int, int]:
        try:
            stat = os.stat(self.file or "")
        except OSError:
            return (0, 0, 0)
        return (stat.st_mtime_ns, stat.st_size, stat.st_ino)

    def keys(self) -> dict[str, Key]:
        """The keys as of at most a second ago; those known before where the file cannot be read."""
        now = time.monotonic()
        if self.file is not None and now - self._read[0] > 1:
            stamp = self._stamp()
            if stamp != self._read[1] and stamp[0]:
                try:
                    self._keys = read_keys(self.file)
                except InputError:
                    stamp = self._read[1]
            self._read = (now, stamp)
        return self._keys

    def admit(self, path: str, headers: Sequence[tuple[bytes, bytes]]) -> Caller | None:
        """Who asks; None where nobody needs to know.

        Raises:
            Problem: 401, 403 or 429.
        """
        if path in PUBLIC or path.startswith(PUBLIC_FOLDERS):
            return None
        if self.file is None:
            return Caller("insecure", "admin")
        caller, key = self._caller(headers)
        wanted = needed(path)
        if not caller.may(wanted):
            raise Problem(
                403,
                f"this needs the role {wanted}; the key {caller.name!r} has {caller.role}",
            )
        self._count(key)
        return caller

    def _caller(self, headers: Sequence[tuple[bytes, bytes]]) -> tuple[Caller, Key]:
        text = ""
        for name, value in headers:
            if name == b"x-api-key":
                text = value.decode("latin-1").strip()
            elif name == b"authorization" and value[:7].lower() == b"bearer ":
                text = value[7:].decode("latin-1").strip()
        found = _KEY.fullmatch(text)
        key = self.keys().get(found.group(1)) if found else None
        known = hmac.compare_digest(hash_of(text), key.hash if key else "0" * 64)
        if (
            key is None
            or not known
            or (
                key.expires
                and datetime.now(UTC).date() >= date.fromisoformat(key.expires)
            )
        ):
            told = (
                "the API key is not, or no longer, known"
                if text
                else "an API key is needed"
            )
            raise Problem(
                401,
                f"{told}: Authorization: Bearer trs_...",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return Caller(key.name, key.role), key

    def _count(self, key: Key) -> None:
        now = time.monotonic()
        with self._lock:
            self._today()
            if (
                key.quota is not None
                and self._used.get(key.name, 0) + self._more[key.name] >= key.quota
            ):
                raise Problem(
                    429,
                    f"the key {key.name!r} has used its {key.quota} requests of today",
                    headers={"Retry-After": str(_until_tomorrow())},
                )
            if key.rate is not None:
                most = max(1.0, 2 * key.rate * self.share)
                use = self._uses.setdefault(key.name, _Use(most, now))
                use.tokens = min(
                    most, use.tokens + (now - use.at) * key.rate * self.share
                )
                use.at = now
                if use.tokens < 1:
                    wait = (1 - use.tokens) / (key.rate * self.share)
                    raise Problem(
                        429,
                        f"the key {key.name!r} may ask {key.rate:g} times a second",
                        headers={"Retry-After": str(int(wait) + 1)},
                    )
                use.tokens -= 1
            if key.quota is not None:
                self._more[key.name] += 1

    def _today(self) -> None:
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        if self._day != today:
            self._day, self._used, self._more = today, {}, Counter()

    def pending(self) -> tuple[str, dict[str, int]]:
        """Today, and what was used of quotas here that the other workers do not know of."""
        with self._lock:
            self._today()
            return self._day, {
                name: count for name, count in self._more.items() if count
            }

    def finetune_head(
        self, day: str, told: Mapping[str, int], used: Mapping[str, int]
    ) -> None:
        """What was pending is told, and all have used this."""
        with self._lock:
            if day == self._day:
                self._used = used
                self._more.subtract(told)


def needed(path: str) -> str:
    """The role that a path needs; whatever is not listed needs a reader's."""
    if path in {"/metrics", "/v1/admin/reload"}:
        return "operator"
    return "admin" if path.startswith("/v1/admin") else "reader"


def _until_tomorrow() -> int:
    now = datetime.now(UTC)
    return 86_400 - (now.hour * 3600 + now.minute * 60 + now.second)
