"""Middleware: around every request: its id, its caller, limits, safe headers, logs and metrics."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import re
import secrets
import time
import traceback
import uuid

from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.access.security import Authorizer
from serve.metrics import Metrics
from serve.problems import Problem, problem_response
from serve.settings import Settings, loopback

log = logging.getLogger("serve")
access = logging.getLogger("serve.access")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SALT = secrets.token_bytes(32)
READING = 15.0  # seconds for a body to arrive
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
]


def pseudonym(user: str) -> str:
    """What logs call a user: the same one within a process, and nobody outside it can tell whom."""
    return hmac.new(_SALT, user.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[
        :12
    ]


class RequestMiddleware:
    """The middleware.

    Args:
        app: What is within.
        settings: Limits.
        guard: Who may.
        metrics: Where it is counted.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, guard: Authorizer, metrics: Metrics
    ) -> None:
        self.app, self.settings, self.guard, self.metrics = (
            app,
            settings,
            guard,
            metrics,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI calls it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0
        headers = {
            name: value.decode("latin-1") for name, value in reversed(scope["headers"])
        }
        given = headers.get(b"x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        state = scope.setdefault("state", {})
        state.update(request_id=request_id, user="", caller=None)

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                extra = [*HEADERS, (b"x-request-id", request_id.encode())]
                known = {name for name, _ in message["headers"]}
                if b"cache-control" not in known:
                    extra.append((b"cache-control", b"no-store"))
                message["headers"] = [
                    *message["headers"],
                    *(one for one in extra if one[0] not in known),
                ]
            await send(message)

        try:
            self._check_host(headers)
            if not _preflight(scope, headers):
                state["caller"] = self.guard.admit(scope["path"], scope["headers"])
            await self.app(scope, await self._body(scope, headers, receive), sending)
        except Problem as problem:
            await problem_response(problem, request_id)(scope, receive, sending)
        except Exception as error:
            # The message may hold what was sent, so it is left out.
            where = " < ".join(
                f"{f.filename}:{f.lineno}"
                for f in reversed(traceback.extract_tb(error.__traceback__))
            )
            log.error(
                "request %s failed: %s at %s", request_id, type(error).__name__, where
            )
            if status:
                raise
            failure = Problem(
                500, "something went wrong here; the request's id finds it in the log"
            )
            await problem_response(failure, request_id)(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            seconds = time.perf_counter() - began
            self.metrics.request(route, scope["method"], status, seconds)
            key, took = (
                state["caller"].name if state["caller"] else "",
                round(1000 * seconds, 2),
            )
            line = {
                "id": request_id,
                "key": key,
                "method": scope["method"],
                "route": route,
                "status": status,
                "ms": took,
                "user": state["user"],
            }
            access.info(
                json.dumps({name: value for name, value in line.items() if value != ""})
            )

    def _check_host(self, headers: dict[bytes, str]) -> None:
        """An insecure server answers to localhost only: DNS rebinding is turned away."""
        if self.settings.insecure and not loopback(
            re.sub(r":\d+$", "", headers.get(b"host", ""))
        ):
            raise Problem(421, "this server answers to localhost only")

    async def _body(
        self, scope: Scope, headers: dict[bytes, str], receive: Receive
    ) -> Receive:
        """The whole body, read within a size and a time."""
        if scope["method"] != "POST":  # no other has a body here, and none is read
            return receive
        if (
            headers.get(b"content-type", "").partition(";")[0].strip().lower()
            != "application/json"
        ):
            if all(
                route.matches(scope)[0] is not Match.FULL
                for route in scope["app"].routes
            ):
                return receive  # nothing here takes it: the router says 404 or 405
            raise Problem(415, "send JSON, with Content-Type: application/json")
        most, length = self.settings.body, headers.get(b"content-length", "0")
        if not length.isdigit() or int(length) > most:
            raise Problem(413, f"a body has at most {most} bytes")
        parts: list[bytes] = []
        size, more = 0, True
        try:
            async with asyncio.timeout(READING):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        break
                    parts.append(message.get("body", b""))
                    size, more = size + len(parts[-1]), message.get("more_body", False)
                    if size > most:
                        raise Problem(413, f"a body has at most {most} bytes")
        except TimeoutError:
            raise Problem(
                408, f"the body did not arrive within {READING:g} seconds"
            ) from None
        whole: list[Message] = [
            {"type": "http.request", "body": b"".join(parts), "more_body": False}
        ]

        async def replay() -> Message:
            return whole.pop() if whole else await receive()

        return replay


def _preflight(scope: Scope, headers: dict[bytes, str]) -> bool:
    return (
        scope["method"] == "OPTIONS"
        and b"origin" in headers
        and b"access-control-request-method" in headers
    )
