"""Errors as problem+json (RFC 9457): what is wrong, in which field, and the request's id."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from fusion.bundles.plan import Plan
from kg.errors import DataError, InputError, StoreError

log = logging.getLogger("serve")
TITLES = {
    400: "The request cannot be read",
    401: "Who are you?",
    403: "You may not",
    404: "Not there",
    405: "Not in this way",
    408: "Too slow",
    409: "Not as things stand",
    413: "Too large",
    415: "Not JSON",
    421: "Not this host",
    422: "The request does not fit",
    429: "Too many requests",
    500: "Our fault",
    503: "Not now",
    504: "Too slow",
}
# What a plan holds; a body that holds a plan has these below `plan`.
PLAN_FIELDS = frozenset(field.name for field in fields(Plan))


class Problem(Exception):  # noqa: N818 - as RFC 9457 calls it
    """An answer that is an error.

    Args:
        status: Of HTTP.
        detail: A sentence for the caller.
        errors: (field, what is wrong with it).
        headers: Further ones.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors, self.headers = (
            status,
            detail,
            list(errors),
            dict(headers or {}),
        )


def problem_response(problem: Problem, request_id: str) -> Response:
    """As it goes over the wire; what cannot be written as UTF-8 is replaced."""
    title = TITLES.get(problem.status, "Error")
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.errors:
        body["errors"] = [
            {"field": field, "message": message} for field, message in problem.errors
        ]
    body["request_id"] = request_id
    content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    return Response(
        content, problem.status, problem.headers, "application/problem+json"
    )


@contextmanager
def refused(plan: str = "") -> Iterator[None]:
    """Turn what the recommender refuses into 422, and what is not there for it into 503.

    Any other error is a bug of ours, and is left to become 500.

    Args:
        plan: Where the body holds its plan; "" where a plan's fields stand in the body itself.
    """
    try:
        yield
    except (InputError, DataError) as error:
        message = " ".join(str(error).split())
        field = error.field
        if plan and field.partition(".")[0] in PLAN_FIELDS:
            field = f"{plan}.{field}"
        raise Problem(422, message, [(field, message)] if field else []) from error
    except StoreError as error:
        log.warning("store: %s", error)
        raise Problem(
            503,
            "the graph store does not answer; query without verify",
            headers={"Retry-After": "10"},
        ) from error


def validation(error: RequestValidationError) -> Problem:
    """Which fields do not fit, and why; what was sent is not repeated."""
    errors = []
    for one in error.errors()[:20]:
        where = [str(part)[:60] for part in one["loc"]]
        if one["type"] == "json_invalid":
            return Problem(
                400,
                "the body is no JSON",
                [("body", str(one.get("ctx", {}).get("error", "")))],
            )
        field = ".".join(where[1:] if len(where) > 1 and where[0] == "body" else where)
        errors.append((field, str(one["msg"])[:300]))
    first = f"{errors[0][0]}: {errors[0][1]}" if errors else "the request does not fit"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return Problem(422, first + more, errors)


def install(app: FastAPI) -> None:
    """Make every error of an app a problem."""

    async def known(request: Request, error: Exception) -> Response:
        if isinstance(error, RequestValidationError):
            problem = validation(error)
        elif isinstance(error, HTTPException):
            problem = Problem(
                error.status_code, str(error.detail), headers=error.headers
            )
        else:
            assert isinstance(error, Problem)
            problem = error
        return problem_response(problem, request.state.request_id)

    for kind in (Problem, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, known)
