"""Security: who may do what, and how often."""

from __future__ import annotations

import hmac
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from kg.errors import InputError
from serve.access.keys import ROLES, Key, hash_of, read_keys
from serve.problems import Problem

PUBLIC = frozenset(
    {"/", "/health/live", "/health/ready", "/docs", "/openapi.json", "/favicon.ico"}
)
PUBLIC_FOLDERS = ("/explorer/", "/docs/")
_KEY = re.compile(r"trs_([A-Za-z0-9][A-Za-z0-9_-]{0,63})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    name: str
    role: str

    def may(self, role: str) -> bool:
        """Whether this role is had."""
        return ROLES.index(self.role) >= ROLES.index(role)


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
                    f"{self.file} holds no keys: python -m serve keys add NAME --keys {self.file}"
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
        match = _KEY.fullmatch(text)
        key = self.keys().get(match.group(1)) if match else None
        known = hmac.compare_digest(hash_of(text), key.hash if key else "0" * 64)
        if (
            key is None
            or not known
            or (
                key.expires
                and datetime.now(UTC).date() >= date.fromisoformat(key.expires)
            )
        ):
            reason = (
                "the API key is not, or no longer, known"
                if text
                else "an API key is needed"
            )
            raise Problem(
                401,
                f"{reason}: Authorization: Bearer trs_...",
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

    def settle(
        self, day: str, reported: Mapping[str, int], used: Mapping[str, int]
    ) -> None:
        """What was pending is reported, and all have used this."""
        with self._lock:
            if day == self._day:
                self._used = used
                self._more.subtract(reported)


def needed(path: str) -> str:
    """The role that a path needs; whatever is not listed needs a reader's."""
    if path in {"/metrics", "/v1/admin/reload"}:
        return "operator"
    return "admin" if path.startswith("/v1/admin") else "reader"


def _until_tomorrow() -> int:
    now = datetime.now(UTC)
    return 86_400 - (now.hour * 3600 + now.minute * 60 + now.second)
